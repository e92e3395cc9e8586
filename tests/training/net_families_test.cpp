// What may move in each family, and what must keep its bits.
#include "training/net_families.hpp"

#include <torch/torch.h>

#include <map>

#include "tests/support/matchers.hpp"
#include "training/rival_modules.hpp"

namespace reins::training {
namespace {

using inference::GroupArchitecture;

GroupArchitecture small(std::int64_t groups = 2) {
  GroupArchitecture a;
  a.groups = groups;
  a.size = 8;
  a.stages = {{4, true}, {8, true}};
  return a;
}

torch::Tensor some_images() { return torch::randn({6, 3, 8, 8}); }
torch::Tensor some_labels() { return torch::tensor({0, 1, 2, 3, 4, 5}, torch::kInt64); }

double count_of(torch::nn::Module& module) {
  double count = 0;
  for (const auto& parameter : module.parameters()) count += static_cast<double>(parameter.numel());
  return count;
}

/// Every parameter and buffer by name, copied.
std::map<std::string, torch::Tensor> all_of(torch::nn::Module& module) {
  std::map<std::string, torch::Tensor> all;
  for (const auto& item : module.named_parameters()) all[item.key()] = item.value().detach().clone();
  for (const auto& item : module.named_buffers()) all[item.key()] = item.value().clone();
  return all;
}

/// One SGD step of a part; the names of what it moved.
std::vector<std::string> moved_by(NetFamily& family, std::int64_t part) {
  const auto before = all_of(family.module());
  family.train_only(part);
  const auto parts = family.parts();
  torch::optim::SGD sgd(parts[static_cast<std::size_t>(part)].parameters, torch::optim::SGDOptions(0.1));
  const auto step = family.step(part, some_images(), some_labels(), false);
  sgd.zero_grad();
  step.loss.backward();
  sgd.step();
  std::vector<std::string> names;
  for (const auto& [name, tensor] : all_of(family.module())) {
    if (!torch::equal(tensor, before.at(name))) names.push_back(name);
  }
  return names;
}

TEST(SlimmableModule, KeepsOneWeightSetOfTheFullWidth) {
  const auto a = SlimmableArchitecture::of(small()).value();
  SlimmableModule module(a);
  EXPECT_EQ(count_of(*module), a.resident_parameters());
}

TEST(SlimmableModule, ANarrowWidthSeesNothingOfTheChannelsBehindIt) {
  torch::manual_seed(1);
  const auto a = SlimmableArchitecture::of(small()).value();
  SlimmableModule module(a);
  module->eval();
  torch::NoGradGuard no_grad;
  const torch::Tensor x = some_images();
  const torch::Tensor narrow = module->forward(x, 0);
  const torch::Tensor wide = module->forward(x, 1);
  ASSERT_EQ(narrow.sizes(), (torch::IntArrayRef{6, 10}));
  // What lies behind the narrow width in every shared tensor.
  const auto& few = a.widths[0].stages;
  auto parameters = module->named_parameters();
  for (std::size_t s = 0; s < few.size(); ++s) {
    torch::Tensor& conv = parameters["conv" + std::to_string(s + 1)];
    conv.narrow(0, few[s].channels, conv.size(0) - few[s].channels).normal_();
    const std::int64_t in = a.widths[0].input_channels(s);
    if (conv.size(1) > in) conv.narrow(1, in, conv.size(1) - in).normal_();
  }
  const std::int64_t columns = a.widths[0].features();
  torch::Tensor& classifier = parameters["classifier.weight"];
  classifier.narrow(1, columns, classifier.size(1) - columns).normal_();
  EXPECT_TRUE(torch::equal(module->forward(x, 0), narrow));
  EXPECT_FALSE(torch::equal(module->forward(x, 1), wide));
  // And what lies within it is both widths'.
  const torch::Tensor changed = module->forward(x, 1);
  parameters["conv1"].narrow(0, 0, 1).normal_();
  EXPECT_FALSE(torch::equal(module->forward(x, 0), narrow));
  EXPECT_FALSE(torch::equal(module->forward(x, 1), changed));
}

TEST(SlimmableModule, HasBatchStatisticsPerWidth) {
  SlimmableModule module(SlimmableArchitecture::of(small()).value());
  module->train();
  const auto before = all_of(*module);
  module->forward(some_images(), 0);
  for (const auto& [name, tensor] : all_of(*module)) {
    if (name.find("running_mean") == std::string::npos) continue;
    EXPECT_EQ(torch::equal(tensor, before.at(name)), name.starts_with("level2")) << name;
  }
}

TEST(EarlyExitModule, AnswersAtOneExitAsInAPassThroughAll) {
  torch::manual_seed(2);
  const auto a = EarlyExitArchitecture::of(small(3)).value();
  EarlyExitModule module(a);
  // Folded, a channel has a bias; unfolded, a scale and a shift.
  double channels = 4 + 8;
  for (const std::int64_t width : a.widths) channels += 2 * static_cast<double>(width);
  EXPECT_EQ(count_of(*module), a.resident_parameters() + channels);
  module->eval();
  torch::NoGradGuard no_grad;
  const torch::Tensor x = some_images();
  const auto all = module->all_exits(x);
  ASSERT_EQ(all.size(), 3U);
  for (std::int64_t level = 0; level < 3; ++level) {
    EXPECT_TRUE(torch::equal(module->forward(x, level), all[static_cast<std::size_t>(level)])) << level;
  }
  // What lies behind an exit does not reach it.
  for (auto& item : module->named_parameters()) {
    if (item.key().starts_with("segment3")) item.value().normal_();
  }
  EXPECT_TRUE(torch::equal(module->forward(x, 1), all[1]));
  EXPECT_FALSE(torch::equal(module->forward(x, 2), all[2]));
}

TEST(EarlyExitModule, ItsFirstExitIsOneGroupOfTheGroupNetwork) {
  torch::manual_seed(3);
  EarlyExitModule module(EarlyExitArchitecture::of(small()).value());
  inference::GroupModule group(small(1));
  torch::NoGradGuard no_grad;
  auto from = module->named_parameters();
  auto to = group->named_parameters();
  for (const std::string number : {"1", "2"}) {
    to["group1.conv" + number + ".weight"].copy_(from["segment1_" + number + "_conv.weight"]);
  }
  to["group1.classifier.weight"].copy_(from["exit1.weight"]);
  to["bias"].copy_(from["exit1.bias"]);
  module->eval();
  group->eval();
  const torch::Tensor x = some_images();
  EXPECT_TRUE(torch::allclose(module->forward(x, 0), group->forward(x, 0), 1e-5, 1e-6));
}

TEST(NetFamilies, AnIncrementalPartMovesItsGroupAlone) {
  torch::manual_seed(4);
  const Trainee trainee = incremental_family(small(3), 1, nullptr);
  for (std::int64_t part = 0; part < 3; ++part) {
    trainee.family->begin(part);
    const auto names = moved_by(*trainee.family, part);
    ASSERT_GT(names.size(), 6U);
    for (const std::string& name : names) {
      EXPECT_TRUE(name.starts_with("group" + std::to_string(part + 1) + ".") || (part == 0 && name == "bias")) << name;
    }
  }
}

TEST(NetFamilies, APartOfStaticNetworksMovesItsNetworkAlone) {
  torch::manual_seed(5);
  const Trainee trainee = static_family({small(1), small(2)});
  for (std::int64_t part = 0; part < 2; ++part) {
    const auto names = moved_by(*trainee.family, part);
    ASSERT_GT(names.size(), 6U);
    for (const std::string& name : names) EXPECT_TRUE(name.starts_with(std::to_string(part) + ".")) << name;
  }
  torch::NoGradGuard no_grad;
  trainee.family->train_only(-1);
  const torch::Tensor x = some_images();
  inference::GroupModule second = trainee.networks[1];
  EXPECT_TRUE(torch::equal(trainee.family->logits(x, 1), second->forward(x, 1))) << "a level is a network's full one";
}

TEST(NetFamilies, OneStepMovesEveryWeightOfTheOthers) {
  torch::manual_seed(6);
  Trainee trainees[] = {pruned_family(small()), slimmable_family(SlimmableArchitecture::of(small()).value()),
                        early_exit_family(EarlyExitArchitecture::of(small()).value())};
  for (Trainee& trainee : trainees) {
    ASSERT_EQ(trainee.family->parts().size(), 1U);
    EXPECT_EQ(moved_by(*trainee.family, 0).size(), all_of(trainee.family->module()).size());
  }
}

TEST(NetFamilies, OnlyThePrunedOneIsJudgedByItsFullLevelAlone) {
  using Levels = std::vector<std::int64_t>;
  EXPECT_EQ(pruned_family(small(3)).family->parts()[0].judged, Levels{2});
  EXPECT_EQ(static_family({small(1), small(2)}).family->parts()[1].judged, Levels{1});
  EXPECT_EQ(incremental_family(small(3), 1, nullptr).family->parts()[1].judged, Levels{1});
  EXPECT_EQ(slimmable_family(SlimmableArchitecture::of(small(3)).value()).family->parts()[0].judged, (Levels{0, 1, 2}));
  EXPECT_EQ(early_exit_family(EarlyExitArchitecture::of(small(3)).value()).family->parts()[0].judged,
            (Levels{0, 1, 2}));
}

}  // namespace
}  // namespace reins::training
