#include "training/net_families.hpp"

#include <functional>
#include <numeric>

#include "training/rival_modules.hpp"

namespace reins::training {
namespace {

using inference::GroupArchitecture;
using inference::GroupModule;
using torch::nn::functional::cross_entropy;

constexpr double kForwardAndBackward = 3;  // forward passes that a training step costs

/// What a part that is a whole module is made of.
Part whole(std::string name, torch::nn::Module& module, std::vector<std::int64_t> judged, double forward_macs) {
  Part part;
  part.name = std::move(name);
  part.parameters = module.parameters();
  part.state = part.parameters;
  for (const auto& buffer : module.buffers()) part.state.push_back(buffer);
  part.judged = std::move(judged);
  part.macs = kForwardAndBackward * forward_macs;
  return part;
}

void train_whole(torch::nn::Module& module, bool on) {
  module.train(on);
  for (auto& parameter : module.parameters()) parameter.set_requires_grad(on);
}

std::vector<std::int64_t> first_levels(std::int64_t count) {
  std::vector<std::int64_t> levels(static_cast<std::size_t>(count));
  std::iota(levels.begin(), levels.end(), 0);
  return levels;
}

class Incremental final : public NetFamily {
 public:
  Incremental(GroupModule network, double own_loss, const Teacher* teacher)
      : network_(std::move(network)), own_loss_(own_loss), teacher_(teacher) {}

  torch::nn::Module& module() override { return *network_; }

  std::vector<Part> parts() override {
    std::vector<Part> parts;
    const double path_macs = network_->architecture().macs_of_level(0);
    for (std::int64_t g = 0; g < network_->architecture().groups; ++g) {
      Part part = whole("group " + std::to_string(g + 1), *network_->path(g), {g}, path_macs);
      part.macs += static_cast<double>(g) * path_macs;  // the frozen groups' forward passes
      if (teacher_ != nullptr) part.macs += teacher_->macs();
      if (g == 0) {
        part.parameters.push_back(network_->bias());
        part.state.push_back(network_->bias());
      }
      parts.push_back(std::move(part));
    }
    return parts;
  }

  /// A group starts from the one before it; the learning rate's restart drives it elsewhere (Huang et al. 2017,
  /// "Snapshot Ensembles"). From random weights it would spend its epochs on learning again what the frozen groups
  /// know.
  void begin(std::int64_t part) override {
    if (part == 0) return;
    torch::NoGradGuard no_grad;
    auto copy = [](std::vector<torch::Tensor> source, std::vector<torch::Tensor> target) {
      for (std::size_t i = 0; i < source.size(); ++i) target[i].copy_(source[i]);
    };
    copy(network_->path(part - 1)->parameters(), network_->path(part)->parameters());
    copy(network_->path(part - 1)->buffers(), network_->path(part)->buffers());
  }

  void train_only(std::int64_t part) override { network_->train_only(part); }

  Step step(std::int64_t part, const torch::Tensor& images, const torch::Tensor& labels, bool bfloat16) override {
    torch::Tensor own;
    torch::Tensor others;
    torch::Tensor taught;
    {
      const Precision precision(bfloat16, images.device());
      if (teacher_ != nullptr) taught = teacher_->answer(images);
      if (part > 0) others = frozen(images, part).to(torch::kFloat32);
      own = network_->path(part)->forward(images).to(torch::kFloat32);
    }
    const auto loss_of = [&](const torch::Tensor& logits) {
      return teacher_ != nullptr ? teacher_->loss(logits, taught, labels) : cross_entropy(logits, labels);
    };
    torch::Tensor logits = network_->bias() + own;
    torch::Tensor loss = loss_of(logits);
    if (part > 0) {
      logits = network_->bias() + (others + own) / (part + 1);
      loss = own_loss_ * loss + loss_of(logits);
    }
    return {loss, logits};
  }

  torch::Tensor logits(const torch::Tensor& images, std::int64_t level) override {
    return network_->forward(images, level);
  }

 private:
  torch::Tensor frozen(const torch::Tensor& images, std::int64_t part) {
    torch::NoGradGuard no_grad;
    return network_->partial_sum(images, part - 1);
  }

  GroupModule network_;
  double own_loss_;
  const Teacher* teacher_;
};

/// Networks of groups that are trained as wholes, one after the other. One network: its levels are the family's.
/// Several: each one's full level is one of them.
class Whole final : public NetFamily {
 public:
  explicit Whole(std::vector<GroupModule> networks) : networks_(std::move(networks)) {
    for (const GroupModule& network : networks_) all_->push_back(network.ptr());
  }

  torch::nn::Module& module() override { return *all_; }

  std::vector<Part> parts() override {
    std::vector<Part> parts;
    for (std::size_t i = 0; i < networks_.size(); ++i) {
      const std::int64_t last = last_level(networks_[i]);
      const std::int64_t judged = networks_.size() == 1 ? last : static_cast<std::int64_t>(i);
      const std::string name = networks_.size() == 1 ? "all groups" : "network " + std::to_string(i + 1);
      parts.push_back(whole(name, *networks_[i], {judged}, networks_[i]->architecture().macs_of_level(last)));
    }
    return parts;
  }

  void begin(std::int64_t) override {}

  void train_only(std::int64_t part) override {
    train_whole(*all_, false);
    if (part >= 0) train_whole(*networks_[static_cast<std::size_t>(part)], true);
  }

  Step step(std::int64_t part, const torch::Tensor& images, const torch::Tensor& labels, bool bfloat16) override {
    GroupModule& network = networks_[static_cast<std::size_t>(part)];
    torch::Tensor logits;
    {
      const Precision precision(bfloat16, images.device());
      logits = network->forward(images, last_level(network)).to(torch::kFloat32);
    }
    return {cross_entropy(logits, labels), logits};
  }

  torch::Tensor logits(const torch::Tensor& images, std::int64_t level) override {
    if (networks_.size() == 1) return networks_[0]->forward(images, level);
    GroupModule& network = networks_[static_cast<std::size_t>(level)];
    return network->forward(images, last_level(network));
  }

 private:
  static std::int64_t last_level(GroupModule& network) { return network->architecture().groups - 1; }

  std::vector<GroupModule> networks_;
  torch::nn::ModuleList all_;
};

/// A dynamic network whose levels are all trained at every step.
class AllLevels final : public NetFamily {
 public:
  using Forward = std::function<torch::Tensor(const torch::Tensor& images, std::int64_t level)>;
  using ForwardAll = std::function<std::vector<torch::Tensor>(const torch::Tensor& images)>;
  /// `macs`: of a forward pass through all levels.
  AllLevels(std::string name, std::shared_ptr<torch::nn::Module> module, std::int64_t levels, double macs,
            Forward forward, ForwardAll forward_all)
      : name_(std::move(name)),
        module_(std::move(module)),
        levels_(levels),
        macs_(macs),
        forward_(std::move(forward)),
        forward_all_(std::move(forward_all)) {}

  torch::nn::Module& module() override { return *module_; }
  std::vector<Part> parts() override { return {whole(name_, *module_, first_levels(levels_), macs_)}; }
  void begin(std::int64_t) override {}
  void train_only(std::int64_t part) override { train_whole(*module_, part >= 0); }

  Step step(std::int64_t, const torch::Tensor& images, const torch::Tensor& labels, bool bfloat16) override {
    std::vector<torch::Tensor> logits;
    {
      const Precision precision(bfloat16, images.device());
      logits = forward_all_(images);
    }
    torch::Tensor loss;
    for (torch::Tensor& level : logits) {
      level = level.to(torch::kFloat32);
      const torch::Tensor own = cross_entropy(level, labels);
      loss = loss.defined() ? loss + own : own;
    }
    // The papers sum, at rates of their own. The mean keeps the scale that this recipe's rate is meant for.
    return {loss / static_cast<double>(logits.size()), logits.back()};
  }

  torch::Tensor logits(const torch::Tensor& images, std::int64_t level) override { return forward_(images, level); }

 private:
  std::string name_;
  std::shared_ptr<torch::nn::Module> module_;
  std::int64_t levels_;
  double macs_;
  Forward forward_;
  ForwardAll forward_all_;
};

}  // namespace

Trainee incremental_family(const GroupArchitecture& architecture, double own_loss, const Teacher* teacher) {
  GroupModule network(architecture);
  return {std::make_unique<Incremental>(network, own_loss, teacher), {network}};
}

Trainee pruned_family(const GroupArchitecture& architecture) {
  GroupModule network(architecture);
  return {std::make_unique<Whole>(std::vector{network}), {network}};
}

Trainee static_family(const std::vector<GroupArchitecture>& architectures) {
  std::vector<GroupModule> networks;
  for (const GroupArchitecture& architecture : architectures) networks.emplace_back(architecture);
  return {std::make_unique<Whole>(networks), networks};
}

Trainee slimmable_family(const SlimmableArchitecture& architecture) {
  SlimmableModule module(architecture);
  const auto levels = static_cast<std::int64_t>(architecture.widths.size());
  double macs = 0;
  for (std::int64_t level = 0; level < levels; ++level) macs += architecture.macs(level);
  const auto forward = [module](const torch::Tensor& images, std::int64_t level) mutable {
    return module->forward(images, level);
  };
  const auto forward_all = [module, levels](const torch::Tensor& images) mutable {
    std::vector<torch::Tensor> logits;
    for (std::int64_t level = 0; level < levels; ++level) logits.push_back(module->forward(images, level));
    return logits;
  };
  return {std::make_unique<AllLevels>("all widths", module.ptr(), levels, macs, forward, forward_all), {}};
}

Trainee early_exit_family(const EarlyExitArchitecture& architecture) {
  EarlyExitModule module(architecture);
  const std::int64_t levels = architecture.levels();
  double macs = architecture.macs(levels - 1);
  for (std::int64_t level = 0; level + 1 < levels; ++level) macs += architecture.exit_macs(level);
  const auto forward = [module](const torch::Tensor& images, std::int64_t level) mutable {
    return module->forward(images, level);
  };
  const auto forward_all = [module](const torch::Tensor& images) mutable { return module->all_exits(images); };
  return {std::make_unique<AllLevels>("all exits", module.ptr(), levels, macs, forward, forward_all), {}};
}

}  // namespace reins::training
