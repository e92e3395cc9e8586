// serving/translate.hpp: between the messages of protocol/ and the driver's types.
#pragma once

#include "control/driver.hpp"
#include "inference/api/engine.hpp"
#include "policies/goals.hpp"
#include "protocol/reply.hpp"
#include "protocol/request.hpp"

namespace reins::serving {

/// The tensor must outlive the view, and be aligned for its dtype.
inference::TensorView view_of(const protocol::Tensor& tensor) noexcept;
protocol::InferAnswer answer_of(const control::InferReply& reply);
protocol::GoalsInForce goals_of(const policies::Goals& goals) noexcept;
/// `goals` with the changes that a `goal` request asks for.
policies::Goals changed(policies::Goals goals, const protocol::Goal& change) noexcept;
/// A driver that has no energy source says nothing about energy: "none", and no figure.
protocol::MetricsAnswer answer_of(const control::DriverMetrics& metrics);

}  // namespace reins::serving
