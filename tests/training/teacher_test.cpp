#include "training/teacher.hpp"

#include <torch/torch.h>
#include <unistd.h>

#include "inference/network_file.hpp"
#include "inference/torch/group_module.hpp"
#include "tests/support/matchers.hpp"
#include "training/net_trainer.hpp"

namespace reins::training {
namespace {

namespace fs = std::filesystem;
using ::reins::testing::IsError;
using ::testing::HasSubstr;

class TeacherTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("reins-teacher-" + std::to_string(::getpid()));
    fs::create_directories(folder_);
    torch::manual_seed(1);
    architecture_.groups = 2;
    architecture_.stages = {{4, true}, {8, true}};
    module_ = inference::GroupModule(architecture_);
    module_->eval();
    file_ = write("teacher", architecture_, module_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path write(const std::string& name, const inference::GroupArchitecture& a, inference::GroupModule& module) const {
    const fs::path path = folder_ / (name + ".rnet");
    EXPECT_OK(inference::write_network(path, inference::describe(a, name, "synthetic", "synthetic"),
                                       fold(*module, {0.5F, 0.4F, 0.3F}, {0.2F, 0.25F, 0.3F}),
                                       inference::WeightType::kFloat32));
    return path;
  }

  fs::path folder_, file_;
  inference::GroupArchitecture architecture_;
  inference::GroupModule module_{nullptr};
  const data::ImageSet images_ = data::make_synthetic(data::Split::kTrain, 1, 4);
};

TEST_F(TeacherTest, AnswersAsItsFullNetworkWhateverTheStudentsScaling) {
  const Scaling own{.mean = {0.5F, 0.4F, 0.3F}, .stddev = {0.2F, 0.25F, 0.3F}};
  const Scaling other{.mean = {0.45F, 0.5F, 0.2F}, .stddev = {0.3F, 0.2F, 0.1F}};
  const std::vector<std::size_t> all{0, 1, 2, 3};
  Rng rng(1);
  torch::NoGradGuard no_grad;
  const torch::Tensor wanted = module_->forward(make_batch(images_, all, own, false, rng).images, 1);
  for (const Scaling& scaling : {own, other}) {
    const auto teacher = Teacher::open(file_, 0.5, images_, scaling, torch::kCPU);
    ASSERT_OK(teacher);
    const torch::Tensor answer = teacher->answer(make_batch(images_, all, scaling, false, rng).images);
    // Batch norm folded, and two scalings instead of one: float32 in another order.
    EXPECT_TRUE(torch::allclose(answer, wanted, 1e-4, 1e-4)) << answer - wanted;
  }
}

TEST_F(TeacherTest, MixesTheLabelsWithTheTeachersSoftenedAnswers) {
  const Scaling scaling{.mean = {0, 0, 0}, .stddev = {1, 1, 1}};
  const torch::Tensor labels = torch::tensor({1}, torch::kInt64);
  const torch::Tensor student = torch::tensor({{0.0F, 4.0F}});
  const torch::Tensor answer = torch::tensor({{4.0F, 0.0F}});
  const auto loss = [&](double share, const torch::Tensor& teacher_says) {
    return Teacher::open(file_, share, images_, scaling, torch::kCPU)
        ->loss(student, teacher_says, labels)
        .item<double>();
  };
  // Softened by 4: p = (e, 1) / (e + 1) against q = (1, e) / (e + 1), so KL = (e - 1) / (e + 1), times 4^2.
  const double e = std::exp(1.0);
  const double divergence = 16 * (e - 1) / (e + 1);
  const double cross_entropy = std::log(1 + std::exp(-4.0));
  EXPECT_NEAR(loss(1, answer), divergence, 1e-5);
  EXPECT_NEAR(loss(0.25, answer), 0.75 * cross_entropy + 0.25 * divergence, 1e-5);
  EXPECT_NEAR(loss(1, student), 0, 1e-6) << "nothing is left to learn from a teacher that says the same";
}

TEST_F(TeacherTest, RefusesANetworkForOtherImages) {
  const Scaling scaling{.mean = {0, 0, 0}, .stddev = {1, 1, 1}};
  inference::GroupArchitecture other = architecture_;
  other.classes = 7;
  inference::GroupModule module(other);
  EXPECT_THAT(Teacher::open(write("classes", other, module), 0.5, images_, scaling, torch::kCPU),
              IsError(ErrorKind::kMismatch, HasSubstr("other classes")));
  EXPECT_THAT(Teacher::open(folder_ / "absent.rnet", 0.5, images_, scaling, torch::kCPU),
              IsError(ErrorKind::kNotFound, HasSubstr("absent.rnet")));
}

TEST_F(TeacherTest, ARunLearnsFromItAndGoesOnWithNoOther) {
  NetTrainConfig config;
  config.dataset = "synthetic";
  config.architecture = architecture_;
  config.epochs = 1;
  config.batch = 64;
  config.images = 256;
  config.threads = 1;
  config.out_folder = folder_ / "alone";
  ASSERT_OK(train_network(config));
  config.teacher = file_;
  config.out_folder = folder_ / "taught";
  ASSERT_OK(train_network(config));
  const auto taught = inference::NetworkFile::open(config.out_folder / "network.rnet");
  ASSERT_OK(taught);
  const auto teacher = inference::NetworkFile::open(file_);
  ASSERT_OK(teacher);
  EXPECT_THAT(taught->network().notes.at("training"), HasSubstr("teacher=" + teacher->network().facts.fingerprint));
  const auto untaught = inference::NetworkFile::open(folder_ / "alone" / "network.rnet");
  ASSERT_OK(untaught);
  EXPECT_NE(taught->weights()->groups[0].conv_weights[0].values, untaught->weights()->groups[0].conv_weights[0].values);
  config.resume = true;
  config.distil = 0.25;
  EXPECT_THAT(train_network(config), IsError(ErrorKind::kMismatch, HasSubstr("another run")));
  config.distil = 0;
  EXPECT_THAT(train_network(config), IsError(ErrorKind::kUsage, HasSubstr("--distil")));
}

}  // namespace
}  // namespace reins::training
