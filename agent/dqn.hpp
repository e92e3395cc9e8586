// agent/dqn.hpp: a deep Q-network whose action is chosen head by head: mapping, level, operating point, park point.
//
// Papers: DQN (Mnih et al. 2015), double Q-learning (van Hasselt, Guez & Silver 2016), duelling (Wang et al. 2016),
// n-step returns (Sutton 1988; in DQN: Hessel et al. 2018), relative values (RVI: Abounadi, Bertsekas & Borkar 2001),
// one value per action dimension (branching: Tavakoli, Pardo & Kormushev 2018) made conditional, one dimension after
// the other (Metz, Ibarz, Jaitly & Davidson 2017, "Discrete Sequential Prediction of Continuous Actions for Deep RL",
// SDQN), semi-Markov discount (Sutton, Precup & Singh 1999), parts of the reward learnt apart (van Seijen et al. 2017,
// "Hybrid Reward Architecture"; Juozapaitis et al. 2019, "Explainable RL via Reward Decomposition", drDQN).
//
// Shapes: B batch, O observation, M mappings, L levels, P operating points (and park points).
//   h = trunk(obs); V(s) and f(h,m) from the mapping head; Q(s,m) = V + f(h,m); Q(s,m,l) = V + f(h,m,l);
//   Q(s,m,l,p) = V + f(h,m,l,p) + w(p) r(s,m,p); Q(s,m,l,p,k) = V + f(h,m,l,p,r(s,m,p),k), with r the reach: the
//   feature that says whether point p of mapping m keeps the pace (decision 014).
// Targets, along the action that was applied (stop-gradient): the park head gets the n-step double-Q return
//   y = sum of discounted (reward - rho dt) + discount * Q_target(s', argmax of the online heads at s');
// every head before it gets the largest allowed value of the next one. As no target looks at what exploration did in
// later heads, exploring there biases nothing.
// With penalty_weight above 0 all of this is done twice, for the step's penalty and for the rest of its reward, by two
// sets of output weights over the same hidden layers; their sum picks every action, in targets too. As outputs are
// linear, the sum is a network of the same shape: a frozen policy costs no more (decision 020).
//
// clang-format off
// | deviation                      | from                | why                                                          |
// |--------------------------------|---------------------|--------------------------------------------------------------|
// | one network for all heads      | SDQN: one per head  | a decision is one short forward pass                         |
// | V shared by all heads          | Wang: one head      | returns dwarf the gaps between actions: learn them once      |
// | target network in last head    | SDQN: upper network | the last head alone is regressed to returns                  |
// | reach told to the heads        | -                   | an edge between two points is lost on its way through h      |
// | no mean subtracted from f      | Wang: A - mean A    | it would have to agree with three heads that have none       |
// | V learns from last head alone  | Wang: from all      | in the errors of the others it cancels                       |
// | discount gamma exp(-dt/tau)    | Mnih: constant      | either: heat is a matter of time, requests one of decisions  |
// | reward rate rho subtracted     | Mnih: plain return  | with a long tau, rho * tau is all that a network sees        |
// | rho corrected by mean value    | RVI (Abounadi,      | the observed rate is the exploring policy's; the rest would  |
// |                                | Bertsekas & Borkar) | gather in the values, over tau / dt target updates           |
// | soft target update by default  | Mnih: every 10,000  | smoother; target_period and target_rate give either          |
// | the parts' sum picks actions   | HRA: each its own   | each part's value must be that of what is really done        |
// | one step by default            | Hessel: three       | uncorrected n-step takes later exploration for consequences  |
// clang-format on
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "agent/environment.hpp"
#include "core/toml.hpp"
#include "policies/network_forward.hpp"
#include "policies/policy_file.hpp"

namespace reins::agent {

/// Every knob; fields() says range and reason, and is what parsing, help and log derive from.
struct DqnConfig {
  std::int64_t steps = 150'000;
  std::int64_t seed = 1;
  double tau_s = 60;
  double gamma = 1;
  std::int64_t n_step = 1;
  double learning_rate = 1e-3;
  double learning_rate_end = 1e-4;
  std::int64_t batch = 64;
  std::int64_t replay_capacity = 100'000;
  std::int64_t learn_start = 1'000;
  std::int64_t learn_every = 2;
  std::int64_t target_period = 1;
  double target_rate = 0.005;
  double average_rate = 0.005;
  double epsilon_start = 1;
  double epsilon_end = 0.05;
  std::int64_t epsilon_steps = 60'000;
  double near = 0;
  double huber = 1;
  double grad_clip = 10;
  double penalty_weight = 0;
  double reward_scale = 1;
  bool normalise_reward = false;
  bool differential = true;
  double rate_gain = 1;
  std::int64_t rate_steps = 20'000;
  bool double_q = true;
  std::int64_t trunk = 64;
  std::int64_t head = 32;

  struct Field {
    std::string_view name;
    std::variant<std::int64_t DqnConfig::*, double DqnConfig::*, bool DqnConfig::*> member;
    double low, high;
    std::string_view reason;
  };
  static std::span<const Field> fields() noexcept;
  /// Absent keys keep their defaults. Errors: garbled (an unknown key, a wrong type, out of range), with file and line.
  static Result<DqnConfig> parse(const TomlTable& table);
  /// Every field as a line of TOML.
  std::string toml() const;
  friend bool operator==(const DqnConfig&, const DqnConfig&) = default;
};

// -- the maths, as pure functions

/// Index of the largest of `values` among the bits of `mask`, which is not empty; the lowest among equals.
std::size_t masked_argmax(std::span<const float> values, std::uint64_t mask) noexcept;
/// scale * (reward - rho * time) + discount * bootstrap; bootstrap is not read where the discount is 0.
double td_target(double reward, double time_s, double rho, double scale, double discount, double bootstrap) noexcept;
/// Huber (1964): e^2/2 up to delta, then linear; and its derivative.
double huber_loss(double error, double delta) noexcept;
double huber_slope(double error, double delta) noexcept;

/// Adam (Kingma & Ba 2015): moments 0.9 and 0.999, epsilon 1e-8. `step` counts from 1.
void adam_step(std::span<float> params, std::span<const float> grads, std::span<float> first, std::span<float> second,
               std::int64_t step, double learning_rate) noexcept;

struct LearnStats {
  double loss = 0;       ///< mean over the batch of the heads' Huber losses, the penalty's times its weight
  double td_error = 0;   ///< mean absolute, of the last head
  double grad_norm = 0;  ///< before clipping
  double value = 0;      ///< mean of the last head at the actions taken
};

/// The learner. Threads: one instance, one thread; libtorch is held to one thread by make().
class Dqn {
 public:
  /// `reach`: see policies::PolicyNetwork. Errors: unsupported (widths), usage (differential with penalty_weight),
  /// internal (libtorch).
  static Result<std::unique_ptr<Dqn>> make(const DqnConfig& config, std::size_t features,
                                           const policies::ActionSpace& space, const policies::ReachTable& reach = {});
  ~Dqn();

  /// Epsilon-greedy in each head, within the mask; with chance `near` the operating point (and likewise the park point)
  /// is then moved by one or two. Microseconds; no libtorch.
  policies::Action act(std::span<const float> obs, const policies::ActionMask& mask) noexcept;
  policies::Action greedy(std::span<const float> obs, const policies::ActionMask& mask) const noexcept;
  /// One step of the environment: `next.applied` was done at `obs`. Errors: garbled (reward, time or an observation
  /// that is not finite, an applied action outside the space).
  Status observe(std::span<const float> obs, const policies::ActionMask& mask, const Step& next);
  /// One update on one batch. Only when ready(). Errors: internal (libtorch; a loss that is not finite).
  Result<LearnStats> learn();
  bool ready() const noexcept;

  /// Where it learns, for people to read ("board x, network y"): a checkpoint from elsewhere is not resumed. Empty (as
  /// made): not compared.
  void learns_in(std::string place);
  /// Everything: weights, target, moments, random numbers, replay, counters. Only between episodes (usage otherwise).
  /// One file, atomically: a libtorch archive with a CRC-32 behind it. Once all steps are done the replay, nearly all
  /// of its size, is left out: nothing goes on from there.
  Status save(const std::filesystem::path& path) const;
  /// Errors: those of reading; garbled (cut, damaged); usage (that run is finished); mismatch (another configuration,
  /// with the keys that differ; `steps` may; or learnt elsewhere).
  Status resume(const std::filesystem::path& path);

  /// The weights as they are, or averaged over the last 1 / average_rate updates: steadier, as single updates and the
  /// values they chase wander (Polyak & Juditsky 1992).
  policies::PolicyNetwork network(bool averaged = false) const;
  /// libtorch's own forward pass along `choice`: what the fast one is tested against.
  policies::HeadValues torch_values(std::span<const float> obs, const policies::HeadChoice& choice) const;
  /// Up to `count` observations of the replay buffer with their masks, evenly spread, decided by network(averaged).
  std::vector<policies::PolicyExample> examples(std::size_t count, bool averaged = false) const;

  const DqnConfig& config() const noexcept;
  std::int64_t steps() const noexcept;  ///< observed
  std::int64_t updates() const noexcept;
  std::int64_t episodes() const noexcept;  ///< ended
  double epsilon() const noexcept;
  double reward_rate() const noexcept;  ///< running average of reward per second, as observed
  double mean_reward() const noexcept;  ///< running average per step
  std::uint64_t next_seed() noexcept;   ///< for the next episode

 private:
  struct Impl;
  explicit Dqn(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// The averaged network of a checkpoint, and the steps it had learnt from.
struct PricedNetwork {
  policies::PolicyNetwork network;
  std::int64_t steps = 0;
};
/// The same with its penalties counted `penalty_scale` times: what was learnt apart can be given another price. Shape
/// and reach: those of the run's policy. Errors: those of reading; garbled (cut, damaged); usage (a run that is not
/// finished); mismatch (another shape; a run that learnt both together).
Result<PricedNetwork> priced_network(const std::filesystem::path& checkpoint, const policies::NetworkShape& shape,
                                     const policies::ReachTable& reach, double penalty_scale);

// -- the training loop

struct TrainProgress {
  std::int64_t steps = 0, total = 0, episodes = 0, updates = 0;
  double epsilon = 0, mean_reward = 0, reward_rate = 0;
  LearnStats last;
};

struct TrainHooks {
  /// Every `progress_every` steps. False: stop at the end of this episode.
  std::function<bool(const TrainProgress&)> progress;
  std::int64_t progress_every = 500;
  /// At the first episode end after every so many steps (0: never) and at the end of training; an error ends it. Must
  /// not change the learner, for resume to be exact.
  std::function<Status(const Dqn&, const TrainProgress&)> evaluate;
  std::int64_t evaluate_every = 0;
  std::function<Status(const Dqn&, const TrainProgress&)> checkpoint;
  std::int64_t checkpoint_every = 0;
  /// Asked at the end of every episode, where steps alone ask for none: true takes a checkpoint there. May be empty.
  std::function<bool()> checkpoint_due;
};

/// Until config().steps are observed; the episode then running is finished. Goes on where `dqn` stands.
Result<TrainProgress> train(Dqn& dqn, Environment& environment, const TrainHooks& hooks = {});

}  // namespace reins::agent
