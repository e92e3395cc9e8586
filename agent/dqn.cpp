#include "agent/dqn.hpp"

#include <torch/torch.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <map>
#include <sstream>

#include "agent/replay.hpp"
#include "agent/schedule.hpp"
#include "core/assert.hpp"
#include "core/file.hpp"

namespace reins::agent {

using policies::ActionMask;
using policies::HeadChoice;
using policies::LayerName;
using policies::NetworkShape;
using policies::PolicyNetwork;

// -- the maths
// ------------------------------------------------------------------------------------------------------------

std::size_t masked_argmax(std::span<const float> values, std::uint64_t mask) noexcept {
  REINS_ASSERT(mask != 0);
  auto best = static_cast<std::size_t>(std::countr_zero(mask));
  for (; mask != 0; mask &= mask - 1) {
    const auto i = static_cast<std::size_t>(std::countr_zero(mask));
    if (values[i] > values[best]) best = i;
  }
  return best;
}

double td_target(double reward, double time_s, double rho, double scale, double discount, double bootstrap) noexcept {
  const double paid = scale * (reward - rho * time_s);
  return discount == 0 ? paid : paid + discount * bootstrap;
}

double huber_loss(double error, double delta) noexcept {
  const double size = std::abs(error);
  return size <= delta ? 0.5 * error * error : delta * (size - 0.5 * delta);
}

double huber_slope(double error, double delta) noexcept { return std::clamp(error, -delta, delta); }

void adam_step(std::span<float> params, std::span<const float> grads, std::span<float> first, std::span<float> second,
               std::int64_t step, double learning_rate) noexcept {
  constexpr float kFirst = 0.9F, kSecond = 0.999F, kEpsilon = 1e-8F;
  const double first_bias = 1 - std::pow(0.9, static_cast<double>(step));
  const double second_bias = 1 - std::pow(0.999, static_cast<double>(step));
  const auto rate = static_cast<float>(learning_rate / first_bias);
  const auto root = static_cast<float>(1 / std::sqrt(second_bias));
  float* p = params.data();
  const float* g = grads.data();
  float* m = first.data();
  float* v = second.data();
  for (std::size_t i = 0; i < params.size(); ++i) {
    m[i] = kFirst * m[i] + (1 - kFirst) * g[i];
    v[i] = kSecond * v[i] + (1 - kSecond) * g[i] * g[i];
    p[i] -= rate * m[i] / (std::sqrt(v[i]) * root + kEpsilon);
  }
}

namespace {

// -- the network
// ----------------------------------------------------------------------------------------------------------

/// The weights as four wide layers in one flat array: few large products instead of many small ones. Layer 3 takes
/// [h, conditions] (T + M + L + 1) to the hidden layers of all heads (4 x head); layer 4 those to [V | M | L | P | P],
/// once for each part of the reward that is learnt apart. What a head may not see is a weight that stays zero (`live`
/// is 0 there). As layer 4 is linear, its parts add up to one PolicyNetwork.
struct FlatLayout {
  struct Part {
    std::size_t in, out, weight, bias;
  };
  NetworkShape shape;
  std::array<Part, 4> parts{};
  std::size_t components = 1;            // parts of the reward that are learnt apart
  std::size_t outputs = 0, total = 0;    // outputs: of one component
  std::size_t reach_at = 0;              // weights of opp_reach, which is no layer of the four; components x P
  std::array<std::size_t, 4> head_at{};  // first output of each head

  FlatLayout(const NetworkShape& s, std::size_t n) : shape(s), components(n) {
    outputs = 1 + s.mappings + s.levels + 2 * s.opps;
    head_at = {1, 1 + s.mappings, 1 + s.mappings + s.levels, 1 + s.mappings + s.levels + s.opps};
    const std::array<std::pair<std::size_t, std::size_t>, 4> sizes = {{{s.features, s.trunk},
                                                                       {s.trunk, s.trunk},
                                                                       {s.trunk + s.conditions(), 4 * s.head},
                                                                       {4 * s.head, components * outputs}}};
    for (std::size_t i = 0; i < 4; ++i) {
      const auto [in, out] = sizes[i];
      parts[i] = {in, out, total, total + in * out};
      total += in * out + out;
    }
    reach_at = total;
    total += components * s.opps;
  }

  /// Calls f(flat index, layer, index into its weights) for every weight of a PolicyNetwork, and for biases with `bias`
  /// true. The output layers' are those of `component`.
  template <typename F>
  void each_row(std::size_t component, F f) const {
    const NetworkShape& s = shape;
    const std::size_t first = component * outputs;
    const auto rows = [&](const Part& part, std::size_t row, std::size_t column, LayerName layer, std::size_t from,
                          std::size_t count, std::size_t width) {
      for (std::size_t i = 0; i < count; ++i)
        f(part.weight + (row + i) * part.out + column, layer, (from + i) * width, width, false);
    };
    rows(parts[0], 0, 0, LayerName::kTrunk1, 0, s.features, s.trunk);
    f(parts[0].bias, LayerName::kTrunk1, 0, s.trunk, true);
    rows(parts[1], 0, 0, LayerName::kTrunk2, 0, s.trunk, s.trunk);
    f(parts[1].bias, LayerName::kTrunk2, 0, s.trunk, true);
    const std::array<std::size_t, 4> conditions = {0, s.mappings, s.mappings + s.levels, s.conditions()};
    const std::array<std::size_t, 4> widths = {s.mappings, s.levels, s.opps, s.opps};
    for (std::size_t i = 0; i < 4; ++i) {
      const auto hidden = static_cast<LayerName>(static_cast<std::size_t>(LayerName::kMappingHidden) + i);
      const auto out = static_cast<LayerName>(static_cast<std::size_t>(LayerName::kMappingOut) + i);
      rows(parts[2], 0, i * s.head, hidden, 0, s.trunk + conditions[i], s.head);
      f(parts[2].bias + i * s.head, hidden, 0, s.head, true);
      rows(parts[3], i * s.head, first + head_at[i], out, 0, s.head, widths[i]);
      f(parts[3].bias + first + head_at[i], out, 0, widths[i], true);
    }
    rows(parts[3], 0, first, LayerName::kValueOut, 0, s.head, 1);
    f(parts[3].bias + first, LayerName::kValueOut, 0, 1, true);
    f(reach_at + component * s.opps, LayerName::kOppReach, 0, s.opps, false);
  }

  /// One component's network.
  void to_network(const float* flat, std::size_t component, PolicyNetwork& network) const {
    each_row(component, [&](std::size_t at, LayerName name, std::size_t index, std::size_t count, bool bias) {
      policies::DenseLayer& layer = network[name];
      std::copy_n(flat + at, count, (bias ? layer.bias : layer.weight).data() + index);
    });
  }
  /// The network of all components' sum, those behind the first counted `scale` times: what decides.
  void to_network(const float* flat, PolicyNetwork& network, float scale = 1) const {
    to_network(flat, std::size_t{0}, network);
    for (std::size_t component = 1; component < components; ++component) {
      each_row(component, [&](std::size_t at, LayerName name, std::size_t index, std::size_t count, bool bias) {
        if (name < LayerName::kMappingOut) return;  // shared
        float* sum = (bias ? network[name].bias : network[name].weight).data() + index;
        for (std::size_t i = 0; i < count; ++i) sum[i] += scale * flat[at + i];
      });
    }
  }
  /// Into the first component; the others' outputs stay as they are.
  void from_network(const PolicyNetwork& network, float* flat) const {
    each_row(0, [&](std::size_t at, LayerName name, std::size_t index, std::size_t count, bool bias) {
      const policies::DenseLayer& layer = network[name];
      std::copy_n((bias ? layer.bias : layer.weight).data() + index, count, flat + at);
    });
  }
};

/// Uniform in +-1/sqrt(inputs), as torch::nn::Linear; drawn from our own stream, so the same with every libtorch.
PolicyNetwork initial_network(const NetworkShape& shape, const policies::ReachTable& reach, Rng& rng) {
  PolicyNetwork network = PolicyNetwork::zeros(shape, reach);
  for (policies::DenseLayer& layer : network.layers) {
    const double bound = 1 / std::sqrt(static_cast<double>(layer.in));
    for (float& w : layer.weight) w = static_cast<float>(rng.uniform(-bound, bound));
    for (float& b : layer.bias) b = static_cast<float>(rng.uniform(-bound, bound));
  }
  std::fill(network[LayerName::kOppReach].weight.begin(), network[LayerName::kOppReach].weight.end(), 0.0F);
  return network;
}

/// libtorch's exceptions end here.
template <typename F>
auto guarded(std::string_view doing, F f) -> decltype(f()) {
  try {
    return f();
  } catch (const std::exception& error) {
    const std::string text = error.what();
    return fail(ErrorKind::kInternal, "libtorch: " + text.substr(0, text.find('\n')), doing);
  }
}

torch::Tensor viewed(std::vector<float>& values, std::size_t from, std::size_t rows, std::size_t columns) {
  return torch::from_blob(values.data() + from, {static_cast<std::int64_t>(rows), static_cast<std::int64_t>(columns)});
}

}  // namespace

// -- the learner
// ----------------------------------------------------------------------------------------------------------

/// The mean value follows that of the batches over some twenty updates: past their noise, well before the target
/// network.
constexpr double kValueShare = 0.05;

struct Dqn::Impl {
  DqnConfig config;
  policies::ActionSpace space;
  FlatLayout layout;
  std::string place;
  std::vector<float> params, target, average, grads, first, second, live;
  std::array<torch::Tensor, 4> weights, biases;  // leaves that lie in `params`; their gradients lie in `grads`
  PolicyNetwork scratch;                         // on its way from `params` to the fast forward pass
  policies::NetworkForward online, target_forward, target_penalty;
  NStepAssembler assembler;
  Replay replay;
  Batch batch;
  std::vector<float> conditions, out_grad, sums;
  Rng act_rng, sample_rng, seed_rng;
  std::int64_t steps = 0, updates = 0, episodes = 0;
  bool in_episode = false;
  double mean_reward = 0, mean_dt_s = 0, mean_square = 0, mean_value = 0;
  LinearSchedule epsilon, learning_rate;

  Impl(const DqnConfig& c, const policies::ActionSpace& s, PolicyNetwork initial, policies::NetworkForward forward)
      : config(c),
        space(s),
        layout(initial.shape, c.penalty_weight > 0 ? 2 : 1),
        params(layout.total),
        target(layout.total),
        average(layout.total),
        grads(layout.total),
        first(layout.total),
        second(layout.total),
        live(layout.total),
        scratch(std::move(initial)),
        online(forward),
        target_forward(forward),
        target_penalty(forward),
        assembler(static_cast<std::size_t>(c.n_step), c.tau_s, layout.shape.features, c.gamma),
        replay(static_cast<std::size_t>(c.replay_capacity), layout.shape.features),
        act_rng(Rng(static_cast<std::uint64_t>(c.seed)).fork(1)),
        sample_rng(Rng(static_cast<std::uint64_t>(c.seed)).fork(2)),
        seed_rng(Rng(static_cast<std::uint64_t>(c.seed)).fork(3)),
        epsilon{c.epsilon_start, c.epsilon_end, c.epsilon_steps},
        learning_rate{c.learning_rate, c.learning_rate_end, c.steps} {
    layout.from_network(scratch, params.data());
    target = average = params;
    for (std::size_t component = 0; component < layout.components; ++component) {
      layout.each_row(component, [&](std::size_t at, LayerName, std::size_t, std::size_t count, bool) {
        std::fill_n(live.data() + at, count, 1.0F);
      });
    }
    refresh_target();  // no penalty is expected at the start
    for (std::size_t i = 0; i < 4; ++i) {
      const FlatLayout::Part& part = layout.parts[i];
      weights[i] = viewed(params, part.weight, part.in, part.out).requires_grad_();
      biases[i] = viewed(params, part.bias, 1, part.out).squeeze(0).requires_grad_();
      weights[i].mutable_grad() = viewed(grads, part.weight, part.in, part.out);
      biases[i].mutable_grad() = viewed(grads, part.bias, 1, part.out).squeeze(0);
    }
    const auto rows = static_cast<std::size_t>(c.batch);
    conditions.resize(rows * layout.shape.conditions());
    out_grad.resize(rows * layout.components * layout.outputs);
    sums.resize(layout.outputs);
  }

  void refresh(policies::NetworkForward& forward, const std::vector<float>& from) {
    layout.to_network(from.data(), scratch);
    forward.load(scratch);
  }
  void refresh_target() {
    refresh(target_forward, target);
    if (layout.components == 1) return;
    layout.to_network(target.data(), 1, scratch);
    target_penalty.load(scratch);
  }

  /// Reward per second as observed, exploration included.
  double observed_rate() const noexcept { return mean_dt_s > 0 ? mean_reward / mean_dt_s : 0; }
  /// What is subtracted from rewards: the observed rate, and what the mean of the values says it is off by.
  double rho() const noexcept {
    if (!config.differential) return 0;
    return observed_rate() + (mean_dt_s > 0 ? config.rate_gain * mean_value / (scale() * mean_dt_s) : 0);
  }
  double scale() const noexcept {
    return config.normalise_reward ? config.reward_scale / (std::sqrt(mean_square) + 1e-8) : config.reward_scale;
  }

  void condition(const float* obs, const HeadChoice& choice, float* row) const {
    const NetworkShape& s = layout.shape;
    const policies::NetworkForward::Points& points = online.points();
    std::fill_n(row, s.conditions(), 0.0F);
    row[choice.mapping] = 1;
    row[s.mappings + choice.level] = 1;
    float* of_point = row + s.mappings + s.levels;
    of_point[0] = points.relative[choice.mapping][choice.opp];
    of_point[1] = points.reached(obs, choice.mapping, choice.opp);
    of_point[2 + choice.opp] = 1;
  }

  /// What opp_reach adds to the operating points of `mapping`, in all components of a row of outputs. Linear: its
  /// gradient needs no libtorch.
  void add_reach(const float* obs, std::size_t mapping, float* q) const {
    const NetworkShape& s = layout.shape;
    for (std::size_t component = 0; component < layout.components; ++component) {
      float* opp_values = q + component * layout.outputs + layout.head_at[2];
      const float* weight = params.data() + layout.reach_at + component * s.opps;
      for (std::size_t o = 0; o < s.opps; ++o) opp_values[o] += weight[o] * online.points().reached(obs, mapping, o);
    }
  }

  /// What all components say together of a row of outputs; valid until the next call.
  const float* summed(const float* q) {
    std::copy_n(q, layout.outputs, sums.data());
    for (std::size_t component = 1; component < layout.components; ++component)
      for (std::size_t i = 0; i < layout.outputs; ++i) sums[i] += q[component * layout.outputs + i];
    return sums.data();
  }

  /// B x O observations and B x C conditions to B x components x [V | M | L | P | P].
  torch::Tensor forward(const torch::Tensor& obs, const torch::Tensor& given) const {
    torch::Tensor h = torch::relu(torch::addmm(biases[0], obs, weights[0]));
    h = torch::relu(torch::addmm(biases[1], h, weights[1]));
    const torch::Tensor u = torch::relu(torch::addmm(biases[2], torch::cat({h, given}, 1), weights[2]));
    return torch::addmm(biases[3], u, weights[3]);
  }

  /// The four heads' losses of transition b given its outputs `q`, with their gradients into `grad`. `targets`: one a
  /// component. The components' sum decides which action of the next head a head looks at.
  void head_losses(std::size_t b, const float* q, std::span<const double> targets, float* grad, LearnStats& stats) {
    const NetworkShape& s = layout.shape;
    const HeadChoice c = batch.choice[b];
    const ActionMask& mask = batch.mask[b];
    const float* sum = summed(q);
    const std::array<std::size_t, 4> taken = {layout.head_at[0] + c.mapping, layout.head_at[1] + c.level,
                                              layout.head_at[2] + c.opp, layout.head_at[3] + c.park};
    const auto best = [&](std::size_t head, std::size_t width, std::uint64_t allowed) {
      return layout.head_at[head] + masked_argmax({sum + layout.head_at[head], width}, allowed);
    };
    const std::array<std::size_t, 3> next = {best(1, s.levels, mask.levels), best(2, s.opps, mask.opps[c.mapping]),
                                             best(3, s.opps, mask.parks(c.mapping))};
    const float reached = online.points().reached(batch.obs.data() + b * s.features, c.mapping, c.opp);
    const auto rows = static_cast<double>(batch.size);
    double value = 0, wanted = 0;
    for (std::size_t component = 0; component < layout.components; ++component) {
      const float* own = q + component * layout.outputs;
      const auto at = [&](std::size_t i) { return static_cast<double>(own[i]); };
      const double weight = component == 0 ? 1 : config.penalty_weight;
      // V is part of value and target alike in all heads but the last.
      const std::array<double, 4> errors = {at(taken[0]) - at(next[0]), at(taken[1]) - at(next[1]),
                                            at(taken[2]) - at(next[2]), at(0) + at(taken[3]) - targets[component]};
      std::array<float, 4> slopes{};
      for (std::size_t i = 0; i < 4; ++i) {
        stats.loss += weight * huber_loss(errors[i], config.huber) / rows;
        slopes[i] = static_cast<float>(weight * huber_slope(errors[i], config.huber) / rows);
      }
      value += at(0) + at(taken[3]);
      wanted += targets[component];

      float* own_grad = grad + component * layout.outputs;
      std::fill_n(own_grad, layout.outputs, 0.0F);
      own_grad[0] = slopes[3];
      for (std::size_t i = 0; i < 4; ++i) own_grad[taken[i]] += slopes[i];
      grads[layout.reach_at + component * s.opps + c.opp] += slopes[2] * reached;
    }
    stats.td_error += std::abs(value - wanted) / rows;
    stats.value += value / rows;
  }
};

Dqn::Dqn(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Dqn::~Dqn() = default;

Result<std::unique_ptr<Dqn>> Dqn::make(const DqnConfig& config, std::size_t features,
                                       const policies::ActionSpace& space, const policies::ReachTable& reach) {
  const NetworkShape shape =
      NetworkShape::of(features, space, static_cast<std::size_t>(config.trunk), static_cast<std::size_t>(config.head));
  REINS_TRY(shape.check());
  if (config.differential && config.penalty_weight > 0) {
    // One rate for both parts would push them apart, against each other.
    return fail(ErrorKind::kUsage, "the reward rate is not known part by part", "differential with penalty_weight",
                "set differential = false, or penalty_weight = 0");
  }
  Rng rng = Rng(static_cast<std::uint64_t>(config.seed)).fork(0);
  PolicyNetwork initial = initial_network(shape, reach, rng);
  REINS_ASSIGN(policies::NetworkForward forward, policies::NetworkForward::make(initial, space));
  return guarded("making the learner", [&]() -> Result<std::unique_ptr<Dqn>> {
    at::set_num_threads(1);  // the batches are far too small to be worth sharing
    return std::unique_ptr<Dqn>(new Dqn(std::make_unique<Impl>(config, space, std::move(initial), std::move(forward))));
  });
}

policies::Action Dqn::act(std::span<const float> obs, const ActionMask& mask) noexcept {
  const double chance = epsilon();
  policies::HeadDraws draws = policies::kGreedy;
  for (auto& draw : draws) {
    if (impl_->act_rng.uniform() < chance) draw = static_cast<std::int64_t>(impl_->act_rng.next() >> 1);
  }
  // The points' heads in turn: the park head sees the operating point that was drawn.
  for (const std::size_t head : {std::size_t{2}, std::size_t{3}}) {
    if (draws[head] >= 0 || impl_->act_rng.uniform() >= impl_->config.near) continue;
    const HeadChoice greedy = impl_->online.choose(obs, mask, draws);
    const std::uint64_t allowed = head == 2 ? mask.opps[greedy.mapping] : mask.parks(greedy.mapping);
    const auto below = (std::uint64_t{1} << (head == 2 ? greedy.opp : greedy.park)) - 1;
    const std::int64_t last = std::popcount(allowed) - 1;
    const auto by = static_cast<std::int64_t>(impl_->act_rng.below(4));
    draws[head] = std::clamp<std::int64_t>(std::popcount(allowed & below) + (by < 2 ? by - 2 : by - 1), 0, last);
  }
  return policies::action_of(impl_->online.choose(obs, mask, draws));
}

policies::Action Dqn::greedy(std::span<const float> obs, const ActionMask& mask) const noexcept {
  return policies::action_of(impl_->online.choose(obs, mask));
}

Status Dqn::observe(std::span<const float> obs, const ActionMask& mask, const Step& next) {
  Impl& self = *impl_;
  const auto finite = [](float x) { return std::isfinite(x); };
  if (!std::isfinite(next.reward) || !std::isfinite(next.penalty) || !std::isfinite(next.dt_s) || next.dt_s < 0 ||
      !std::all_of(next.obs.begin(), next.obs.end(), finite)) {
    return fail(ErrorKind::kGarbled, "a reward, time or observation is not a finite number", "the environment's step");
  }
  const policies::Action& a = next.applied;
  const std::size_t mappings = self.space.mappings.size();
  if (!a.mapping.valid() || a.mapping.index() >= mappings || !a.level.valid() || a.level.index() >= self.space.levels ||
      !a.opp.valid() || a.opp.index() >= self.space.opps(a.mapping) || !a.park.valid() ||
      a.park.index() >= self.space.opps(a.mapping)) {
    return fail(ErrorKind::kGarbled, "the applied action lies outside the action space", "the environment's step");
  }
  ++self.steps;
  const double share = 1 / static_cast<double>(std::min(self.steps, self.config.rate_steps));
  self.mean_reward += share * (next.reward - self.mean_reward);
  self.mean_dt_s += share * (next.dt_s - self.mean_dt_s);
  const double paid = next.reward - (self.config.differential ? self.observed_rate() * next.dt_s : 0);
  self.mean_square += share * (paid * paid - self.mean_square);
  for (const Transition& t : self.assembler.push(obs, mask, policies::choice_of(a), next)) self.replay.add(t);
  self.in_episode = next.end == StepEnd::kRunning;
  if (!self.in_episode) ++self.episodes;
  return {};
}

bool Dqn::ready() const noexcept {
  return impl_->replay.size() >=
         static_cast<std::size_t>(std::min(impl_->config.learn_start, impl_->config.replay_capacity));
}

Result<LearnStats> Dqn::learn() {
  REINS_ASSERT(ready());
  Impl& self = *impl_;
  const DqnConfig& config = self.config;
  Batch& batch = self.batch;
  self.replay.sample(self.sample_rng, static_cast<std::size_t>(config.batch), batch);
  const NetworkShape& shape = self.layout.shape;
  const std::size_t rows = batch.size;

  return guarded("an update", [&]() -> Result<LearnStats> {
    // Q of the actions taken, all heads along their prefix.
    for (std::size_t b = 0; b < rows; ++b)
      self.condition(batch.obs.data() + b * shape.features, batch.choice[b],
                     self.conditions.data() + b * shape.conditions());
    const torch::Tensor obs = viewed(batch.obs, 0, rows, shape.features);
    const torch::Tensor q = self.forward(obs, viewed(self.conditions, 0, rows, shape.conditions()));
    float* values = q.data_ptr<float>();
    std::fill(self.grads.begin(), self.grads.end(), 0.0F);

    // Targets and the gradient of the loss with respect to q.
    LearnStats stats;
    const double rho = self.rho();
    const std::size_t width = self.layout.components * self.layout.outputs;
    const bool apart = self.layout.components > 1;
    for (std::size_t b = 0; b < rows; ++b) {
      double bootstrap = 0, bootstrap_penalty = 0;
      if (batch.discount[b] > 0) {
        const std::span<const float> next_obs(batch.next_obs.data() + b * shape.features, shape.features);
        const HeadChoice next =
            (config.double_q ? self.online : self.target_forward).choose(next_obs, batch.next_mask[b]);
        bootstrap = static_cast<double>(self.target_forward.park_value(next_obs, next));
        if (apart) bootstrap_penalty = static_cast<double>(self.target_penalty.park_value(next_obs, next));
      }
      const auto reward = static_cast<double>(batch.reward[b]), penalty = static_cast<double>(batch.penalty[b]),
                 discount = static_cast<double>(batch.discount[b]);
      const std::array<double, 2> targets = {
          td_target(reward - (apart ? penalty : 0), static_cast<double>(batch.time_s[b]), rho, self.scale(), discount,
                    bootstrap - bootstrap_penalty),
          td_target(penalty, 0, 0, self.scale(), discount, bootstrap_penalty)};
      self.add_reach(batch.obs.data() + b * shape.features, batch.choice[b].mapping, values + b * width);
      self.head_losses(b, values + b * width, targets, self.out_grad.data() + b * width, stats);
    }
    if (!std::isfinite(stats.loss)) {
      return fail(ErrorKind::kInternal, "the loss is not finite", "an update", "lower learning_rate or reward_scale");
    }

    self.mean_value += kValueShare * (stats.value - self.mean_value);

    // Descend, clipped.
    q.backward(viewed(self.out_grad, 0, rows, width));
    double square = 0;
    for (std::size_t i = 0; i < self.grads.size(); ++i) {
      self.grads[i] *= self.live[i];
      square += static_cast<double>(self.grads[i]) * static_cast<double>(self.grads[i]);
    }
    stats.grad_norm = std::sqrt(square);
    if (stats.grad_norm > config.grad_clip) {
      const auto shrink = static_cast<float>(config.grad_clip / stats.grad_norm);
      for (float& g : self.grads) g *= shrink;
    }
    ++self.updates;
    adam_step(self.params, self.grads, self.first, self.second, self.updates, self.learning_rate.at(self.steps));
    self.refresh(self.online, self.params);
    // The first weights count for less and less: an average over all updates until there are enough of them.
    const auto share = static_cast<float>(std::max(config.average_rate, 1 / static_cast<double>(self.updates)));
    for (std::size_t i = 0; i < self.params.size(); ++i) self.average[i] += share * (self.params[i] - self.average[i]);

    if (self.updates % config.target_period == 0) {
      const auto rate = static_cast<float>(config.target_rate);
      for (std::size_t i = 0; i < self.params.size(); ++i) self.target[i] += rate * (self.params[i] - self.target[i]);
      self.refresh_target();
    }
    return stats;
  });
}

PolicyNetwork Dqn::network(bool averaged) const {
  PolicyNetwork network = PolicyNetwork::zeros(impl_->layout.shape, impl_->online.points().reach);
  impl_->layout.to_network((averaged ? impl_->average : impl_->params).data(), network);
  return network;
}

policies::HeadValues Dqn::torch_values(std::span<const float> obs, const HeadChoice& choice) const {
  Impl& self = *impl_;
  const NetworkShape& s = self.layout.shape;
  std::vector<float> row(obs.begin(), obs.end()), given(s.conditions());
  self.condition(row.data(), choice, given.data());
  const torch::NoGradGuard no_grad;
  const torch::Tensor q = self.forward(viewed(row, 0, 1, s.features), viewed(given, 0, 1, s.conditions()));
  self.add_reach(row.data(), choice.mapping, q.data_ptr<float>());
  const float* values = self.summed(q.data_ptr<float>());
  policies::HeadValues all;
  all.value = values[0];
  std::copy_n(values + self.layout.head_at[0], s.mappings, all.mapping.begin());
  std::copy_n(values + self.layout.head_at[1], s.levels, all.level.begin());
  std::copy_n(values + self.layout.head_at[2], s.opps, all.opp.begin());
  std::copy_n(values + self.layout.head_at[3], s.opps, all.park.begin());
  return all;
}

std::vector<policies::PolicyExample> Dqn::examples(std::size_t count, bool averaged) const {
  const Replay& replay = impl_->replay;
  policies::NetworkForward forward = impl_->online;
  if (averaged) forward.load(network(true));
  std::vector<policies::PolicyExample> all;
  count = std::min(count, replay.size());
  for (std::size_t i = 0; i < count; ++i) {
    const Transition t = replay.at(i * replay.size() / count);
    all.push_back({{t.obs.begin(), t.obs.end()}, t.mask, forward.choose(t.obs, t.mask)});
  }
  return all;
}

const DqnConfig& Dqn::config() const noexcept { return impl_->config; }
std::int64_t Dqn::steps() const noexcept { return impl_->steps; }
std::int64_t Dqn::updates() const noexcept { return impl_->updates; }
std::int64_t Dqn::episodes() const noexcept { return impl_->episodes; }
double Dqn::epsilon() const noexcept { return impl_->epsilon.at(impl_->steps); }
double Dqn::reward_rate() const noexcept { return impl_->observed_rate(); }
double Dqn::mean_reward() const noexcept { return impl_->mean_reward; }
std::uint64_t Dqn::next_seed() noexcept { return impl_->seed_rng.next(); }

// -- save and resume
// ------------------------------------------------------------------------------------------------------

namespace {

torch::Tensor bytes_tensor(std::string_view bytes) {
  torch::Tensor tensor = torch::empty({static_cast<std::int64_t>(bytes.size())}, torch::kUInt8);
  if (!bytes.empty()) std::memcpy(tensor.data_ptr(), bytes.data(), bytes.size());
  return tensor;
}

template <typename T>
std::string_view bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

/// What is not an array of weights. Fixed layout: part of the checkpoint.
struct Counters {
  std::int64_t steps, updates, episodes;
  double mean_reward, mean_dt_s, mean_square, mean_value;
  Rng::State act, sample, seed;
};
static_assert(std::is_trivially_copyable_v<Counters>);

std::string comparable(DqnConfig config) {
  config.steps = 1;  // a run may be made longer
  return config.toml();
}

/// Where two texts of comparable() differ: "seed = 1 (here 2)".
std::string differing(const std::string& there, const std::string& here) {
  const auto lines = [](const std::string& text) {
    std::map<std::string, std::string> values;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) {
      const std::size_t equals = line.find(" = ");
      if (equals != std::string::npos) values[line.substr(0, equals)] = line.substr(equals + 3);
    }
    return values;
  };
  const auto then = lines(there), now = lines(here);
  std::map<std::string, std::pair<std::string, std::string>> both;
  for (const auto& [key, value] : then) both[key].first = value;
  for (const auto& [key, value] : now) both[key].second = value;
  const auto shown = [](const std::string& value) { return value.empty() ? std::string("absent") : value; };
  std::string list;
  for (const auto& [key, values] : both) {
    if (values.first == values.second) continue;
    list += (list.empty() ? "" : ", ") + key + " = " + shown(values.first) + " (here " + shown(values.second) + ")";
  }
  return list;
}

}  // namespace

void Dqn::learns_in(std::string place) { impl_->place = std::move(place); }

Status Dqn::save(const std::filesystem::path& path) const {
  const Impl& self = *impl_;
  if (self.in_episode) {
    return fail(ErrorKind::kUsage, "a checkpoint is written between episodes only", path.native());
  }
  return guarded(path.native(), [&]() -> Status {
    const Counters counters{
        self.steps,       self.updates,    self.episodes,        self.mean_reward,        self.mean_dt_s,
        self.mean_square, self.mean_value, self.act_rng.state(), self.sample_rng.state(), self.seed_rng.state()};
    torch::serialize::OutputArchive archive;
    archive.write("config", bytes_tensor(comparable(self.config)));
    archive.write("planned", bytes_tensor(std::to_string(self.config.steps)));
    archive.write("place", bytes_tensor(self.place));
    archive.write("counters", bytes_tensor({reinterpret_cast<const char*>(&counters), sizeof counters}));
    archive.write("params", bytes_tensor(bytes_of(self.params)));
    archive.write("target", bytes_tensor(bytes_of(self.target)));
    archive.write("average", bytes_tensor(bytes_of(self.average)));
    archive.write("first", bytes_tensor(bytes_of(self.first)));
    archive.write("second", bytes_tensor(bytes_of(self.second)));
    if (self.steps < self.config.steps) archive.write("replay", bytes_tensor(self.replay.save()));
    std::ostringstream out;
    archive.save_to(out);
    std::string bytes = std::move(out).str();
    const std::uint32_t checksum = crc32(bytes);
    bytes.append(reinterpret_cast<const char*>(&checksum), sizeof checksum);
    return write_file_atomic(path, bytes);
  });
}

/// What save() wrote, its checksum verified and taken off. Errors: those of reading; garbled.
static Result<std::string> read_checkpoint(const std::filesystem::path& path, std::string_view instead) {
  REINS_ASSIGN(std::string bytes, read_file(path, std::size_t{8} << 30));
  std::uint32_t checksum = 0;
  const bool whole = bytes.size() > sizeof checksum;
  if (whole) {
    std::memcpy(&checksum, bytes.data() + bytes.size() - sizeof checksum, sizeof checksum);
    bytes.resize(bytes.size() - sizeof checksum);
  }
  if (!whole || checksum != crc32(bytes)) {
    return fail(ErrorKind::kGarbled, "not a whole training checkpoint: cut short or damaged", path.native(), instead);
  }
  return bytes;
}

static std::string array_of(torch::serialize::InputArchive& archive, const char* key) {
  torch::Tensor tensor;
  archive.read(key, tensor);
  return {static_cast<const char*>(tensor.data_ptr()), static_cast<std::size_t>(tensor.numel())};
}

Result<PricedNetwork> priced_network(const std::filesystem::path& checkpoint, const policies::NetworkShape& shape,
                                     const policies::ReachTable& reach, double penalty_scale) {
  REINS_ASSIGN(std::string bytes, read_checkpoint(checkpoint, "freeze without another price: best.policy is whole"));
  return guarded(checkpoint.native(), [&]() -> Result<PricedNetwork> {
    torch::serialize::InputArchive archive;
    std::istringstream in(std::move(bytes));
    archive.load_from(in);
    const std::string counted = array_of(archive, "counters"), average = array_of(archive, "average");
    const FlatLayout layout(shape, 2);
    if (average.size() == FlatLayout(shape, 1).total * sizeof(float)) {
      return fail(ErrorKind::kMismatch, "this run did not learn misses apart, so their price cannot change",
                  checkpoint.native(), "train with penalty_weight above 0");
    }
    Counters counters;
    if (average.size() != layout.total * sizeof(float) || counted.size() != sizeof counters) {
      return fail(ErrorKind::kMismatch, "the checkpoint is of another policy, or of another version of this program",
                  checkpoint.native(), "freeze it with what it was made with");
    }
    torch::Tensor replay;
    if (archive.try_read("replay", replay)) {
      return fail(ErrorKind::kUsage, "this run is not finished: what it holds so far is no policy yet",
                  checkpoint.native(), "go on with train --resume, or freeze without another price");
    }
    std::memcpy(static_cast<void*>(&counters), counted.data(), sizeof counters);
    std::vector<float> flat(layout.total);
    std::memcpy(flat.data(), average.data(), average.size());
    PricedNetwork priced{PolicyNetwork::zeros(shape, reach), counters.steps};
    layout.to_network(flat.data(), priced.network, static_cast<float>(penalty_scale));
    return priced;
  });
}

Status Dqn::resume(const std::filesystem::path& path) {
  Impl& self = *impl_;
  REINS_ASSIGN(std::string bytes, read_checkpoint(path, "start anew without --resume"));
  return guarded(path.native(), [&]() -> Status {
    torch::serialize::InputArchive archive;
    std::istringstream in(std::move(bytes));
    archive.load_from(in);
    const auto read = [&](const char* key) { return array_of(archive, key); };
    const auto other = [&] {
      return fail(ErrorKind::kMismatch,
                  "the checkpoint is of a run with another board or observation, or of another version of this program",
                  path.native(), "resume with what it was made with");
    };
    const std::string counted = read("counters"), params = read("params"), target = read("target"),
                      average = read("average"), first = read("first"), second = read("second");
    Counters counters;
    if (counted.size() != sizeof counters) return other();
    std::memcpy(static_cast<void*>(&counters), counted.data(), sizeof counters);
    torch::Tensor replay;
    if (!archive.try_read("replay", replay) || counters.steps >= self.config.steps) {
      return fail(ErrorKind::kUsage,
                  "this run is finished: all its " + std::to_string(counters.steps) + " steps are done", path.native(),
                  "freeze it; another number of steps makes another schedule, so train that anew");
    }
    torch::Tensor ignored;
    const bool placed = archive.try_read("place", ignored);  // checkpoints of older versions are not
    if (placed && !self.place.empty() && read("place") != self.place) {
      return fail(ErrorKind::kMismatch, "of a run with " + read("place") + " (here " + self.place + ")", path.native(),
                  "resume with what it was made with");
    }
    if (const std::string there = read("config"), here = comparable(self.config); there != here) {
      return fail(ErrorKind::kMismatch, "made with other settings: " + differing(there, here), path.native(),
                  "resume with those it was made with; some are scaled by the number of steps" +
                      (placed ? ": --steps " + read("planned") : ""));
    }
    for (const std::string* array : {&params, &target, &average, &first, &second}) {
      if (array->size() != self.params.size() * sizeof(float)) return other();
    }
    REINS_TRY(self.replay.restore(read("replay")));
    std::memcpy(self.params.data(), params.data(), params.size());
    std::memcpy(self.target.data(), target.data(), target.size());
    std::memcpy(self.average.data(), average.data(), average.size());
    std::memcpy(self.first.data(), first.data(), first.size());
    std::memcpy(self.second.data(), second.data(), second.size());
    self.steps = counters.steps;
    self.updates = counters.updates;
    self.episodes = counters.episodes;
    self.mean_reward = counters.mean_reward;
    self.mean_dt_s = counters.mean_dt_s;
    self.mean_square = counters.mean_square;
    self.mean_value = counters.mean_value;
    self.act_rng.restore(counters.act);
    self.sample_rng.restore(counters.sample);
    self.seed_rng.restore(counters.seed);
    self.assembler.clear();
    self.in_episode = false;
    self.refresh(self.online, self.params);
    self.refresh_target();
    return {};
  });
}

// -- the training loop
// ----------------------------------------------------------------------------------------------------

Result<TrainProgress> train(Dqn& dqn, Environment& environment, const TrainHooks& hooks) {
  const DqnConfig& config = dqn.config();
  TrainProgress progress;
  const auto report = [&]() -> const TrainProgress& {
    progress.steps = dqn.steps();
    progress.total = config.steps;
    progress.episodes = dqn.episodes();
    progress.updates = dqn.updates();
    progress.epsilon = dqn.epsilon();
    progress.mean_reward = dqn.mean_reward();
    progress.reward_rate = dqn.reward_rate();
    return progress;
  };
  std::vector<float> obs(environment.observation_spec().size());
  bool go_on = true;
  while (go_on && dqn.steps() < config.steps) {
    const std::int64_t at_start = dqn.steps();
    REINS_ASSIGN(Step step, environment.reset(dqn.next_seed()));
    if (step.obs.size() != obs.size()) {
      return fail(ErrorKind::kGarbled, "the observation is not as long as its table", "the environment's reset");
    }
    while (step.end == StepEnd::kRunning) {
      std::copy(step.obs.begin(), step.obs.end(), obs.begin());
      const ActionMask mask = step.mask;
      REINS_ASSIGN(step, environment.step(dqn.act(obs, mask)));
      REINS_TRY(dqn.observe(obs, mask, step));
      if (dqn.ready() && dqn.steps() % config.learn_every == 0) {
        REINS_ASSIGN(progress.last, dqn.learn());
      }
      if (hooks.progress && dqn.steps() % hooks.progress_every == 0) go_on = hooks.progress(report()) && go_on;
    }
    const bool done = !go_on || dqn.steps() >= config.steps;
    const auto due = [&](std::int64_t every) { return every > 0 && (done || dqn.steps() / every > at_start / every); };
    if (hooks.evaluate && due(hooks.evaluate_every)) REINS_TRY(hooks.evaluate(dqn, report()));
    if (hooks.checkpoint && (due(hooks.checkpoint_every) || (hooks.checkpoint_due && hooks.checkpoint_due()))) {
      REINS_TRY(hooks.checkpoint(dqn, report()));
    }
  }
  return report();
}

}  // namespace reins::agent
