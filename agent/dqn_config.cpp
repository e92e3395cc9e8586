#include <array>

#include "agent/dqn.hpp"
#include "core/csv.hpp"

namespace reins::agent {

std::span<const DqnConfig::Field> DqnConfig::fields() noexcept {
  using C = DqnConfig;
  static const std::array kFields = {
      Field{"steps", &C::steps, 1, 1e9, "environment steps to train for; the learning rate ends here"},
      Field{"seed", &C::seed, 0, 1e15, "of weights, exploration, sampling and episodes"},
      Field{"tau_s", &C::tau_s, 1e-3, 1e6, "discount exp(-dt/tau): how far ahead heat and queues matter"},
      Field{"gamma", &C::gamma, 1e-3, 1,
            "discount of each decision besides: with a long tau, what a slow answer puts off is not worth less"},
      Field{"n_step", &C::n_step, 1, 64,
            "rewards before bootstrapping: more spreads news faster, and mistakes exploration for consequences"},
      Field{"learning_rate", &C::learning_rate, 1e-6, 1, "Adam's, at the start"},
      Field{"learning_rate_end", &C::learning_rate_end, 0, 1,
            "Adam's, at `steps`, linear between: the last gaps are small"},
      Field{"batch", &C::batch, 1, 4096, "transitions an update"},
      Field{"replay_capacity", &C::replay_capacity, 1, 1e7, "transitions kept; about 8 O + 290 bytes each"},
      Field{"learn_start", &C::learn_start, 1, 1e7, "transitions before the first update"},
      Field{"learn_every", &C::learn_every, 1, 1e4, "environment steps an update"},
      Field{"target_period", &C::target_period, 1, 1e6, "updates between moves of the target network"},
      Field{"target_rate", &C::target_rate, 1e-5, 1, "share of the way it moves; 1 copies (periodic)"},
      Field{"average_rate", &C::average_rate, 1e-7, 1,
            "weight of an update in the averaged network, which is deployed"},
      Field{"epsilon_start", &C::epsilon_start, 0, 1, "chance that a head explores, at the start"},
      Field{"epsilon_end", &C::epsilon_end, 0, 1, "the same after epsilon_steps; four heads explore independently"},
      Field{"epsilon_steps", &C::epsilon_steps, 1, 1e9, "environment steps to get there, linearly"},
      Field{"near", &C::near, 0, 1,
            "chance that a greedy operating or park point is moved by one or two: what lies next to the choice is what "
            "must be told apart from it"},
      Field{"huber", &C::huber, 1e-6, 1e6, "error beyond which the loss grows linearly"},
      Field{"grad_clip", &C::grad_clip, 1e-6, 1e9, "largest norm of the gradient"},
      Field{"penalty_weight", &C::penalty_weight, 0, 1e3,
            "weight of the penalty's loss beside the rest's, each with outputs of its own; 0: one value for both"},
      Field{"reward_scale", &C::reward_scale, 1e-9, 1e9, "multiplies rewards in targets"},
      Field{"normalise_reward", &C::normalise_reward, 0, 1, "divides rewards in targets by their running spread"},
      Field{"differential", &C::differential, 0, 1,
            "subtracts the running reward rate: the offset rho * tau hides the gaps"},
      Field{"rate_gain", &C::rate_gain, 0, 10,
            "share of the mean value that is taken off each step's reward: keeps values near zero"},
      Field{"rate_steps", &C::rate_steps, 1, 1e9, "steps that the averages of reward and its spread look back"},
      Field{"double_q", &C::double_q, 0, 1, "online network picks, target network values; else the target does both"},
      Field{"trunk", &C::trunk, 64, 256, "units of each trunk layer, a multiple of 64"},
      Field{"head", &C::head, 32, 128, "units of each head's hidden layer, a multiple of 32"},
  };
  return kFields;
}

Result<DqnConfig> DqnConfig::parse(const TomlTable& table) {
  DqnConfig config;
  for (const Field& field : fields()) {
    if (const auto* integer = std::get_if<std::int64_t DqnConfig::*>(&field.member)) {
      REINS_ASSIGN(config.**integer,
                   table.integer_or(field.name, config.**integer, static_cast<std::int64_t>(field.low),
                                    static_cast<std::int64_t>(field.high)));
    } else if (const auto* number = std::get_if<double DqnConfig::*>(&field.member)) {
      REINS_ASSIGN(config.**number, table.number_or(field.name, config.**number, field.low, field.high));
    } else {
      bool DqnConfig::*const flag = std::get<bool DqnConfig::*>(field.member);
      REINS_ASSIGN(config.*flag, table.boolean_or(field.name, config.*flag));
    }
  }
  REINS_TRY(table.reject_unknown());
  return config;
}

std::string DqnConfig::toml() const {
  std::string text;
  for (const Field& field : fields()) {
    text += std::string(field.name) + " = ";
    if (const auto* integer = std::get_if<std::int64_t DqnConfig::*>(&field.member)) {
      text += std::to_string(this->**integer);
    } else if (const auto* number = std::get_if<double DqnConfig::*>(&field.member)) {
      text += format_number(this->**number);
    } else {
      text += this->*std::get<bool DqnConfig::*>(field.member) ? "true" : "false";
    }
    text += "\n";
  }
  return text;
}

}  // namespace reins::agent
