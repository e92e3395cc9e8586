// consumer/main.cpp: an engine of one's own under the Runtime: one request from arrival to reply.
#include <cstdio>
#include <vector>

#include "boards/board.hpp"
#include "boards/physics.hpp"
#include "control/runtime.hpp"
#include "inference/api/engine.hpp"
#include "policies/baselines.hpp"

namespace {

using namespace reins;

/// Stands for TensorRT, ONNX Runtime or ncnn: two levels; the class is the brightest channel.
class BrightestChannel final : public inference::Engine {
 public:
  BrightestChannel() {
    facts_.name = "brightest-channel";
    facts_.dataset = "made up";
    facts_.fingerprint = "0123456789abcdef";
    facts_.input_shape = {1, 3, 2, 2};
    facts_.classes = 3;
    for (const double share : {0.25, 1.0}) {
      inference::LevelFacts level;
      level.macs = 48e6 * share;
      level.bytes = 4e6 * share;
      level.accuracy = 0.6 + 0.1 * share;
      level.layers = {{level.macs, level.bytes, 1}};
      facts_.levels.push_back(level);
    }
  }
  const inference::NetworkFacts& facts() const noexcept override { return facts_; }
  Status place(const inference::Placement&) override { return {}; }
  Status begin(const inference::TensorView& input, LevelId level) override {
    if (input.shape != facts_.input_shape || level.index() >= facts_.levels.size()) {
      return fail(ErrorKind::kUsage, "not a shape or level of this network", facts_.name);
    }
    const auto* pixels = static_cast<const float*>(input.data);
    for (std::size_t c = 0; c < 3; ++c) {
      scores_[c] = 0;
      for (std::size_t i = 0; i < 4; ++i) scores_[c] += pixels[4 * c + i] / 4;
    }
    level_ = level;
    return {};
  }
  Status grow() override {
    if (level_.index() + 1 >= facts_.levels.size()) return fail(ErrorKind::kUsage, "already full", facts_.name);
    level_ = LevelId(level_.index() + 1);
    return {};
  }
  Result<inference::Answer> finish() override {
    int best = 0;
    for (int c = 1; c < 3; ++c)
      best = scores_[static_cast<std::size_t>(c)] > scores_[static_cast<std::size_t>(best)] ? c : best;
    return inference::Answer{best, level_, scores_};
  }

 private:
  inference::NetworkFacts facts_;
  std::array<float, 3> scores_{};
  LevelId level_;
};

Status decide_once(const char* boards_folder) {
  BrightestChannel engine;
  REINS_ASSIGN(const boards::Board board, boards::find_board("odroid-xu3", boards_folder));
  REINS_ASSIGN(const policies::ActionSpace space, policies::ActionSpace::make(board, engine.facts().levels.size()));
  policies::Profile profile(space);
  for (std::size_t l = 0; l < space.levels; ++l) {
    for (std::size_t m = 0; m < space.mappings.size(); ++m) {
      for (std::size_t o = 0; o < space.opps(MappingId(m)); ++o) {
        policies::ProfilePoint point;
        point.level = LevelId(l);
        point.mapping = MappingId(m);
        point.opp = OppId(o);
        point.latency_s = boards::inference_time_s(board, point.mapping, point.opp, engine.facts().levels[l].layers);
        point.power_w = boards::cluster_power_w(board.cluster_of(point.mapping), point.opp, 1, 0, 50);
        point.energy_j = *point.power_w * point.latency_s;
        point.accuracy = engine.facts().levels[l].accuracy;
        profile.set(point);
      }
    }
  }

  control::Runtime runtime(board, space, profile, {});
  policies::ParetoPolicy policy(space, profile, 0.1);
  policies::Goals goals;
  goals.latency_s = 0.5;
  goals.accuracy_floor = 0.7;  // only the full network meets it
  runtime.set_goals(goals);

  const std::vector<float> image = {0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0};
  control::Effects effects;
  runtime.arrive(10.0, {1, AppId(0), 10.0, std::nullopt, 0}, effects);
  if (!runtime.deciding()) return fail(ErrorKind::kInternal, "no decision is asked for");
  effects.clear();
  runtime.decide(10.0, policy.decide(runtime.observation()), 100, effects);
  for (const control::Effect& effect : effects) {
    if (effect.kind != control::EffectKind::kStart) continue;
    REINS_TRY(engine.begin({image.data(), inference::DType::kFloat32, {1, 3, 2, 2}}, effect.action.level));
  }
  REINS_ASSIGN(const inference::Answer answer, engine.finish());
  effects.clear();
  runtime.complete(10.2, answer.level, effects);
  for (const control::Effect& effect : effects) {
    if (effect.kind != control::EffectKind::kReply) continue;
    std::printf("class %d, level %d of 2, on %s, %.0f ms, %s\n", answer.predicted, answer.level.value + 1,
                space.mappings[effect.outcome.applied.mapping.index()].name.c_str(), effect.outcome.latency_s * 1e3,
                effect.outcome.missed ? "missed" : "in time");
  }
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  const Status status = decide_once(argc > 1 ? argv[1] : "boards");
  if (!status.has_value()) std::fprintf(stderr, "consumer: %s\n", status.error().line().c_str());
  return status.has_value() ? 0 : 1;
}
