#include "training/net_trainer.hpp"

#include <torch/torch.h>
#include <unistd.h>

#include "core/file.hpp"
#include "inference/answers.hpp"
#include "inference/engines.hpp"
#include "inference/network_file.hpp"
#include "inference/torch/group_module.hpp"
#include "tests/support/matchers.hpp"
#include "training/net_batches.hpp"
#include "training/net_loop.hpp"

namespace reins::training {
namespace {

using inference::GroupModule;
using reins::testing::IsError;
using ::testing::HasSubstr;

class NetTrainer : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("reins-net-" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  NetTrainConfig config(const std::string& out, std::int64_t groups) const {
    NetTrainConfig c;
    c.dataset = "synthetic";
    c.out_folder = folder_ / out;
    c.architecture.groups = groups;
    c.architecture.stages = {{4, true}, {8, true}, {8, true}};
    c.epochs = 2;
    c.batch = 64;
    c.images = 640;
    c.threads = 1;  // sums in one order: runs can be compared bit by bit
    c.gpu = false;  // the same
    return c;
  }
  std::string bytes(const std::string& out, const char* file) const {
    auto content = read_file(folder_ / out / file);
    EXPECT_OK(content);
    return content.value_or("");
  }
  GroupModule module_of(const std::string& out, const inference::GroupArchitecture& architecture) const {
    GroupModule module(architecture);
    torch::serialize::InputArchive archive;
    torch::serialize::InputArchive inner;
    archive.load_from((folder_ / out / "checkpoint.pt").string(), torch::kCPU);
    archive.read("module", inner);
    module->load(inner);
    return module;
  }

  std::filesystem::path folder_;
};

template <typename Tensors>
void expect_same_bits(const Tensors& a, const Tensors& b) {
  ASSERT_GT(a.size(), 0U);
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(torch::equal(a[i].value(), b[i].value())) << a[i].key();
}

// The run with two groups draws the same weights, order and augmentation for its first group as the run with one. So
// that group, weights and batch-norm statistics, must have the same bits after the second one was trained beside it.
TEST_F(NetTrainer, LeavesFrozenGroupsTheirBits) {
  const auto one = config("one", 1);
  const auto two = config("two", 2);
  ASSERT_OK(train_network(one));
  ASSERT_OK(train_network(two));
  GroupModule alone = module_of("one", one.architecture);
  GroupModule pair = module_of("two", two.architecture);
  ASSERT_TRUE(torch::equal(alone->bias(), pair->bias()));
  expect_same_bits(alone->path(0)->named_parameters(), pair->path(0)->named_parameters());
  expect_same_bits(alone->path(0)->named_buffers(), pair->path(0)->named_buffers());
  // And the second one has moved away from the first, from which it started.
  EXPECT_FALSE(torch::equal(pair->path(0)->parameters()[0], pair->path(1)->parameters()[0]));
}

TEST_F(NetTrainer, TrainsEightGroupsAndLeavesEachItsBits) {
  auto c = config("eight", 8);
  c.architecture.stages = {{2, true}, {2, true}};
  c.epochs = 1;
  c.images = 128;
  // The checkpoint as it was when each group's training was over.
  std::vector<GroupModule> after;
  const auto report = train_network(c, [&](const NetTrainProgress& at) {
    if (at.part > 1 && at.batch == 1) after.push_back(module_of("eight", c.architecture));
    return true;
  });
  ASSERT_OK(report);
  EXPECT_EQ(report->validation_accuracy.size(), 8U);
  EXPECT_EQ(report->test_accuracy.size(), 8U);
  const auto file = inference::NetworkFile::open(report->network);
  ASSERT_OK(file);
  const auto& levels = file->network().facts.levels;
  ASSERT_EQ(levels.size(), 8U);
  for (std::size_t level = 1; level < 8; ++level) EXPECT_GT(levels[level].macs, levels[level - 1].macs);

  GroupModule last = module_of("eight", c.architecture);
  ASSERT_EQ(after.size(), 7U);
  for (std::int64_t g = 0; g < 7; ++g) {
    GroupModule& then = after[static_cast<std::size_t>(g)];
    expect_same_bits(then->path(g)->named_parameters(), last->path(g)->named_parameters());
    expect_same_bits(then->path(g)->named_buffers(), last->path(g)->named_buffers());
    EXPECT_TRUE(torch::equal(then->bias(), last->bias()));
    EXPECT_FALSE(torch::equal(last->path(g)->parameters()[0], last->path(g + 1)->parameters()[0]))
        << "group " << g + 2 << " was not trained";
  }
}

TEST_F(NetTrainer, ShipsANetworkWhoseAccuraciesTheEngineConfirms) {
  auto report = train_network(config("net", 2));
  ASSERT_OK(report);
  auto file = inference::NetworkFile::open(report->network);
  ASSERT_OK(file);
  EXPECT_EQ(file->network().facts.name, "synthetic-group2");
  EXPECT_EQ(file->network().facts.dataset, "synthetic");
  auto answers = inference::Answers::read(report->answers);
  ASSERT_OK(answers);
  EXPECT_EQ(answers->network_fingerprint(), file->network().facts.fingerprint);
  EXPECT_EQ(answers->images(), 2000U);
  auto engine = inference::open_engine(report->network);
  ASSERT_OK(engine);
  auto again = inference::record_answers(**engine, data::make_synthetic(data::Split::kTest, 1));
  ASSERT_OK(again);
  EXPECT_EQ(again->format(), answers->format());
  for (std::size_t level = 0; level < 2; ++level) {
    EXPECT_EQ(file->network().facts.levels[level].accuracy, answers->accuracy(LevelId(level)));
    EXPECT_EQ(report->test_accuracy[level], answers->accuracy(LevelId(level)));
  }
  EXPECT_THAT(bytes("net", "train.log"), HasSubstr("level 2: validation accuracy"));
  ASSERT_FALSE(report->lines.empty());
  EXPECT_EQ(report->lines.back(), "network " + file->network().facts.fingerprint);
  EXPECT_THAT(bytes("net", "train.log"), HasSubstr("\n" + report->lines.back() + "\n"));
}

TEST_F(NetTrainer, ResumesBitForBitWhereverItWasStopped) {
  ASSERT_OK(train_network(config("whole", 2)));
  // Stopped at the end of an epoch, and in the middle of one.
  for (const bool whole_epoch : {true, false}) {
    auto c = config(whole_epoch ? "epoch" : "middle", 2);
    const auto stop = [&](const NetTrainProgress& at) {
      return !(at.part == 2 && at.epoch == (whole_epoch ? 1 : 2) && (at.validation_accuracy >= 0) == whole_epoch &&
               at.batch >= 5);
    };
    EXPECT_THAT(train_network(c, stop), IsError(ErrorKind::kGone, HasSubstr("--resume")));
    EXPECT_FALSE(std::filesystem::exists(c.out_folder / "network.rnet"));
    EXPECT_THAT(train_network(c), IsError(ErrorKind::kUsage, HasSubstr("--resume")));
    c.resume = true;
    ASSERT_OK(train_network(c));
    EXPECT_EQ(bytes(c.out_folder.filename(), "network.rnet"), bytes("whole", "network.rnet")) << whole_epoch;
    EXPECT_EQ(bytes(c.out_folder.filename(), "answers.rans"), bytes("whole", "answers.rans"));
    // The test images are read once.
    const std::string log = bytes(c.out_folder.filename(), "train.log");
    EXPECT_THAT(train_network(c), IsError(ErrorKind::kUsage, HasSubstr("has finished")));
    EXPECT_EQ(bytes(c.out_folder.filename(), "train.log"), log);
  }
}

// On a machine without a GPU it stays on the CPU.
TEST_F(NetTrainer, GoesOnOnAnotherDevice) {
  const std::string cpu = " device cpu\n";
  const std::string gpu = torch::cuda::is_available() ? " device cuda:0\n" : cpu;
  const auto stop_in = [](std::int64_t part) {
    return [part](const NetTrainProgress& at) { return !(at.part == part && at.validation_accuracy >= 0); };
  };
  auto c = config("devices", 2);
  c.images = 128;
  c.gpu = true;
  EXPECT_THAT(train_network(c, stop_in(1)), IsError(ErrorKind::kGone, HasSubstr("--resume")));
  c.resume = true;
  c.gpu = false;
  EXPECT_THAT(train_network(c, stop_in(2)), IsError(ErrorKind::kGone, HasSubstr("--resume")));
  c.gpu = true;
  ASSERT_OK(train_network(c));
  const std::string log = bytes("devices", "train.log");
  EXPECT_THAT(log, HasSubstr(", epochs=2 threads=1 float32" + gpu));
  EXPECT_THAT(log, HasSubstr("resumed: group 1, 1 epochs done, epochs=2 threads=1 float32" + cpu));
  EXPECT_THAT(log, HasSubstr("resumed: group 2, 1 epochs done, epochs=2 threads=1 float32" + gpu));
}

TEST_F(NetTrainer, RefusesACheckpointOfAnotherRunAndOptionsOutOfRange) {
  auto c = config("net", 1);
  ASSERT_OK(train_network(c));
  c.resume = true;
  c.seed = 2;
  EXPECT_THAT(train_network(c), IsError(ErrorKind::kMismatch, HasSubstr("another run")));
  c.seed = 1;
  ASSERT_OK(write_file_atomic(c.out_folder / "checkpoint.pt", "no archive"));
  EXPECT_FALSE(train_network(c).has_value());
  c = config("other", 1);
  c.epochs = 0;
  EXPECT_THAT(train_network(c), IsError(ErrorKind::kUsage, HasSubstr("--epochs")));
  c = config("other", 9);
  EXPECT_THAT(train_network(c), IsError(ErrorKind::kUsage, HasSubstr("groups")));
  c = config("other", 1);
  c.dataset = "imagenet";
  EXPECT_THAT(train_network(c), IsError(ErrorKind::kUsage, HasSubstr("imagenet")));
}

TEST(Precision, RunsLinearLayersInBfloat16WhileItLives) {
  const auto dtype = [] { return torch::linear(torch::ones({2, 4}), torch::ones({3, 4})).scalar_type(); };
  {
    const Precision precision(true, torch::kCPU);
    EXPECT_EQ(dtype(), torch::kBFloat16);
  }
  EXPECT_EQ(dtype(), torch::kFloat32);
  const Precision precision(false, torch::kCPU);
  EXPECT_EQ(dtype(), torch::kFloat32);
}

TEST(NetBatches, NormaliseToMeanZeroAndDeviationOne) {
  const auto images = data::make_synthetic(data::Split::kTrain, 1, 200);
  const Scaling scaling = scaling_of(images);
  std::vector<std::size_t> all(200);
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = i;
  Rng rng(1);
  const Batch batch = make_batch(images, all, scaling, false, rng);
  for (std::int64_t c = 0; c < 3; ++c) {
    const auto channel = batch.images.select(1, c);
    EXPECT_NEAR(channel.mean().item<double>(), 0, 1e-4);
    EXPECT_NEAR(channel.std().item<double>(), 1, 1e-3);
  }
  EXPECT_EQ(batch.labels[7].item<std::int64_t>(), images.labels[7]);
}

TEST(NetBatches, AugmentationShiftsByAtMostFourAndMirrors) {
  data::ImageSet images = data::make_synthetic(data::Split::kTrain, 1, 1);
  // One bright pixel in the middle of a black image.
  std::fill(images.pixels.begin(), images.pixels.end(), std::uint8_t{0});
  images.pixels[16 * 32 + 10] = 255;
  const Scaling scaling{.mean = {0, 0, 0}, .stddev = {1, 1, 1}};
  Rng rng(5);
  bool mirrored = false;
  bool straight = false;
  for (int i = 0; i < 200; ++i) {
    const std::vector<std::size_t> one{0};
    const Batch batch = make_batch(images, one, scaling, true, rng);
    const auto where = batch.images.select(1, 0).flatten().argmax().item<std::int64_t>();
    const std::int64_t y = where / 32;
    const std::int64_t x = where % 32;
    EXPECT_LE(std::abs(y - 16), 4);
    const bool is_straight = std::abs(x - 10) <= 4;
    const bool is_mirrored = std::abs(x - 21) <= 4;
    EXPECT_TRUE(is_straight || is_mirrored) << x;
    straight = straight || is_straight;
    mirrored = mirrored || is_mirrored;
  }
  EXPECT_TRUE(straight && mirrored);
}

TEST(NetBatches, ShufflesEveryIndexOnce) {
  Rng rng(9);
  auto order = shuffled(1000, rng);
  EXPECT_FALSE(std::is_sorted(order.begin(), order.end()));
  std::sort(order.begin(), order.end());
  for (std::size_t i = 0; i < order.size(); ++i) ASSERT_EQ(order[i], i);
}

}  // namespace
}  // namespace reins::training
