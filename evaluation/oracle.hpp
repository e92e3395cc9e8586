// evaluation/oracle.hpp: the myopic oracle: true physics and queue known, the cheapest action that meets this deadline.
#pragma once

#include <vector>

#include "env/foresight.hpp"
#include "policies/policy.hpp"

namespace reins::evaluation {

/// At each decision: among the allowed actions those with the fewest late requests (this one, and those already waiting
/// if they were then served as fast as possible); among these the least energy up to the next arrival: this run, those
/// that wait and can be kept (each at the cheapest point that keeps the pace their deadlines ask for), and idle at the
/// cheapest park point for what is left of the true gap. Where this request is late whatever is done, the fastest. A
/// ceiling for what looks no further ahead.
class OraclePolicy final : public policies::Policy {
 public:
  explicit OraclePolicy(const env::Foresight& foresight) : foresight_(foresight) {}
  std::string_view name() const noexcept override { return "oracle"; }
  policies::Action decide(const policies::Observation& observation) noexcept override;
  void reset() noexcept override {}

 private:
  /// One more inference at the floor level, at one point of one mapping.
  struct Run {
    double time_s = 0, power_w = 0;
  };
  env::Foresight foresight_;
  std::vector<double> waiting_;
  std::vector<Run> runs_;
};

}  // namespace reins::evaluation
