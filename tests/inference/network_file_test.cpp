#include "inference/network_file.hpp"

#include <cstdint>
#include <cstring>
#include <filesystem>

#include "core/file.hpp"
#include "inference/half.hpp"
#include "tests/inference/random_network.hpp"
#include "tests/support/matchers.hpp"

namespace reins::inference {
namespace {

using reins::testing::IsError;
using ::testing::AnyOf;
using ::testing::HasSubstr;

class NetworkFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("reins-network-" + std::to_string(::getpid()));
    path_ = folder_ / "network.rnet";
    architecture_ = reins::testing::small_architecture();
    weights_ = reins::testing::random_weights(architecture_, 1);
    network_ = describe(architecture_, "small", "synthetic", "synthetic textured shapes");
    for (std::size_t i = 0; i < network_.facts.levels.size(); ++i)
      network_.facts.levels[i].accuracy = 0.5 + 0.1 * static_cast<double>(i);
    network_.notes["training"] = "none";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string encoded(WeightType type = WeightType::kFloat32) {
    auto bytes = encode_network(network_, weights_, type);
    EXPECT_OK(bytes);
    return bytes.value_or("");
  }
  Result<NetworkFile> opened(const std::string& bytes) {
    EXPECT_OK(write_file_atomic(path_, bytes));
    return NetworkFile::open(path_);
  }

  std::filesystem::path folder_, path_;
  GroupArchitecture architecture_;
  NetworkWeights weights_;
  DynamicNetwork network_;
};

TEST(Half, TakesEveryHalfThroughFloatAndBack) {
  for (std::uint32_t h = 0; h <= 0xffff; ++h) {
    const auto half = static_cast<std::uint16_t>(h);
    const float value = from_half(half);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(from_half(to_half(value))));
    } else {
      ASSERT_EQ(to_half(value), half) << h;
    }
  }
}

TEST(Half, RoundsToTheNearestWithTiesToEven) {
  EXPECT_EQ(from_half(to_half(1.0F)), 1.0F);
  EXPECT_EQ(from_half(to_half(1.0F + 0x1p-11F)), 1.0F);                // tie: to even
  EXPECT_EQ(from_half(to_half(1.0F + 3 * 0x1p-11F)), 1.0F + 0x1p-9F);  // tie: to even, upwards
  EXPECT_EQ(from_half(to_half(1.0F + 0x1.1p-11F)), 1.0F + 0x1p-10F);
  EXPECT_EQ(from_half(to_half(65519.0F)), 65504.0F);
  EXPECT_TRUE(std::isinf(from_half(to_half(65520.0F))));
  EXPECT_EQ(from_half(to_half(0x1p-24F)), 0x1p-24F);
  EXPECT_EQ(from_half(to_half(0x1p-25F)), 0.0F);  // tie: to even
  EXPECT_EQ(from_half(to_half(0x1.8p-25F)), 0x1p-24F);
  EXPECT_EQ(to_half(-0.0F), 0x8000);
}

TEST_F(NetworkFileTest, GivesBackWhatWasWrittenInFloat32) {
  auto file = opened(encoded());
  ASSERT_OK(file);
  EXPECT_EQ(file->network().architecture, architecture_);
  EXPECT_EQ(file->network().facts.name, "small");
  EXPECT_EQ(file->network().facts.dataset, "synthetic");
  EXPECT_EQ(file->network().notes.at("training"), "none");
  EXPECT_EQ(file->network().facts.levels[2].accuracy, 0.7);
  EXPECT_GT(file->network().facts.levels[2].macs, file->network().facts.levels[1].macs);
  auto weights = file->weights();
  ASSERT_OK(weights);
  EXPECT_EQ(weights->groups[2].conv_weights[1].values, weights_.groups[2].conv_weights[1].values);
  EXPECT_EQ(weights->bias.values, weights_.bias.values);
  EXPECT_EQ(weights->mean, weights_.mean);
}

TEST_F(NetworkFileTest, RoundsWeightsToFloat16AndNoFurther) {
  auto file = opened(encoded(WeightType::kFloat16));
  ASSERT_OK(file);
  auto weights = file->weights();
  ASSERT_OK(weights);
  const auto& exact = weights_.groups[1].classifier.values;
  const auto& rounded = weights->groups[1].classifier.values;
  for (std::size_t i = 0; i < exact.size(); ++i) ASSERT_EQ(rounded[i], from_half(to_half(exact[i])));
  EXPECT_LT(file->file_bytes(), encoded().size() * 6 / 10);
}

TEST_F(NetworkFileTest, AlignsEveryTensorInTheMapping) {
  auto file = opened(encoded(WeightType::kFloat16));
  ASSERT_OK(file);
  for (const char* name : {"group1.conv1.weight", "group1.conv1.bias", "group2.conv3.weight",
                           "group3.classifier.weight", "classifier.bias"}) {
    const void* data = file->tensor_data(name);
    ASSERT_NE(data, nullptr) << name;
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(data) % kTensorAlignment, 0U) << name;
  }
  EXPECT_EQ(file->tensor_data("group9.conv1.weight"), nullptr);
}

TEST_F(NetworkFileTest, FingerprintsTheBytes) {
  auto first = opened(encoded());
  ASSERT_OK(first);
  network_.facts.levels[0].accuracy = 0.51;
  auto second = opened(encoded());
  ASSERT_OK(second);
  EXPECT_NE(first->network().facts.fingerprint, second->network().facts.fingerprint);
  EXPECT_EQ(first->network().facts.fingerprint.size(), 16U);
}

TEST_F(NetworkFileTest, RefusesAFileThatIsNotThereOrNoNetwork) {
  EXPECT_THAT(NetworkFile::open(folder_ / "absent.rnet"), IsError(ErrorKind::kNotFound, HasSubstr("absent.rnet")));
  EXPECT_THAT(opened(""), IsError(ErrorKind::kGarbled, HasSubstr("cut short")));
  EXPECT_THAT(opened(std::string(5000, 'x')), IsError(ErrorKind::kGarbled, HasSubstr("not a network file")));
  EXPECT_THAT(NetworkFile::open(folder_), IsError(ErrorKind::kGarbled, HasSubstr("not a file")));
}

TEST_F(NetworkFileTest, RefusesAFileCutAnywhere) {
  const std::string bytes = encoded(WeightType::kFloat16);
  for (const std::size_t length :
       {std::size_t{8}, std::size_t{63}, std::size_t{64}, std::size_t{200}, bytes.size() / 2, bytes.size() - 1}) {
    EXPECT_THAT(opened(bytes.substr(0, length)), IsError(ErrorKind::kGarbled, HasSubstr("cut short"))) << length;
  }
  EXPECT_THAT(opened(bytes + "x"), IsError(ErrorKind::kGarbled, HasSubstr("added to")));
}

TEST_F(NetworkFileTest, RefusesAnySingleChangedByte) {
  const std::string bytes = encoded(WeightType::kFloat16);
  Rng rng(3);
  for (int i = 0; i < 200; ++i) {
    std::string changed = bytes;
    const std::size_t at = i < 64 ? static_cast<std::size_t>(i) : rng.index(bytes.size());
    changed[at] = static_cast<char>(changed[at] ^ (1 << rng.below(8)));
    const auto file = opened(changed);
    ASSERT_FALSE(file.has_value()) << "byte " << at;
    EXPECT_THAT(file.error().kind(), AnyOf(ErrorKind::kGarbled, ErrorKind::kMismatch)) << "byte " << at;
  }
}

// Past the checksum: a file that was made wrong, not one that was damaged.
TEST_F(NetworkFileTest, RefusesMetadataThatDoNotFitEvenWithAGoodChecksum) {
  const std::string bytes = encoded(WeightType::kFloat16);
  Rng rng(4);
  std::uint64_t metadata_bytes = 0;
  std::memcpy(&metadata_bytes, bytes.data() + 32, sizeof metadata_bytes);
  int refused = 0;
  for (int i = 0; i < 300; ++i) {
    std::string changed = bytes;
    const std::size_t at = 24 + rng.index(40 + static_cast<std::size_t>(metadata_bytes));
    changed[at] = static_cast<char>(changed[at] ^ (1 << rng.below(8)));
    const std::uint32_t sum = crc32(std::string_view(changed).substr(16));
    std::memcpy(changed.data() + 12, &sum, sizeof sum);
    const auto file = opened(changed);
    // A changed letter of a name is no error of form; but nothing may crash, and weights stay finite and of the right
    // shape.
    if (file.has_value()) {
      static_cast<void>(file->weights());
    } else {
      ++refused;
    }
  }
  EXPECT_GT(refused, 100);
}

TEST_F(NetworkFileTest, RefusesAWeightThatIsNoNumberAndNamesItsTensor) {
  for (const WeightType type : {WeightType::kFloat16, WeightType::kFloat32}) {
    std::string bytes = encoded(type);
    const auto good = opened(bytes);
    ASSERT_OK(good);
    // The first value of a tensor in the middle; that of group1.conv1.weight lies where the header says.
    std::uint64_t first = 0;
    std::memcpy(&first, bytes.data() + 40, sizeof first);
    const auto* const begin = static_cast<const char*>(good->tensor_data("group1.conv1.weight"));
    const auto* const tensor = static_cast<const char*>(good->tensor_data("group2.conv1.bias"));
    const std::size_t at = static_cast<std::size_t>(first) + static_cast<std::size_t>(tensor - begin);
    const std::uint16_t half = 0x7c00;  // infinity
    const float nan = std::nanf("");
    std::memcpy(bytes.data() + at, type == WeightType::kFloat16 ? static_cast<const void*>(&half) : &nan,
                type == WeightType::kFloat16 ? sizeof half : sizeof nan);
    const std::uint32_t sum = crc32(std::string_view(bytes).substr(16));
    std::memcpy(bytes.data() + 12, &sum, sizeof sum);
    EXPECT_THAT(opened(bytes), IsError(ErrorKind::kGarbled, HasSubstr("group2.conv1.bias")));
  }
}

TEST_F(NetworkFileTest, RefusesAnotherSchema) {
  std::string bytes = encoded();
  bytes[8] = 9;
  EXPECT_THAT(opened(bytes), IsError(ErrorKind::kMismatch, HasSubstr("schema 9")));
}

TEST_F(NetworkFileTest, WillNotWriteWeightsOfAnotherShapeOrBeyondFloat16) {
  NetworkWeights wrong = weights_;
  wrong.groups[0].conv_biases[0].shape = {6};
  EXPECT_THAT(encode_network(network_, wrong, WeightType::kFloat32), IsError(ErrorKind::kMismatch, HasSubstr("shape")));
  wrong = weights_;
  wrong.groups[0].classifier.values[0] = std::nanf("");
  EXPECT_THAT(encode_network(network_, wrong, WeightType::kFloat32), IsError(ErrorKind::kGarbled, HasSubstr("finite")));
  wrong = weights_;
  wrong.groups[0].classifier.values[0] = 1e6F;
  EXPECT_THAT(encode_network(network_, wrong, WeightType::kFloat16),
              IsError(ErrorKind::kUnsupported, HasSubstr("float16")));
}

TEST(GroupArchitectureTest, CountsWhatTheDefaultNetworkCosts) {
  GroupArchitecture a;
  a.stages = {{16, true}, {32, true}, {64, false}, {64, true}};
  const auto layers = a.layers_of_level(0);
  ASSERT_EQ(layers.size(), 5U);
  // By hand: 9 * 3 * 16 * 32^2, 9 * 16 * 32 * 16^2, 9 * 32 * 64 * 8^2, 9 * 64 * 64 * 8^2, 1024 * 10.
  EXPECT_EQ(layers[0].macs, 442368);
  EXPECT_EQ(layers[1].macs, 1179648);
  EXPECT_EQ(layers[2].macs, 1179648);
  EXPECT_EQ(layers[3].macs, 2359296);
  EXPECT_EQ(layers[4].macs, 10240);
  EXPECT_EQ(a.macs_of_level(0), 442368 + 2 * 1179648 + 2359296 + 10240);
  EXPECT_EQ(layers[0].bytes, 4.0 * (16 * 27 + 16 + 3 * 1024 + 16 * 256));
  EXPECT_EQ(a.parameters_of_level(0), 448 + 4640 + 18496 + 36928 + 10240 + 10);
  // The second stage needs most: 16 maps of 16x16 in, 32 of 8x8 out; at four groups four times that.
  EXPECT_EQ(a.peak_activation_bytes_of_level(0), 4 * (3 * 32 * 32 + 16 * 16 * 16));
  EXPECT_EQ(a.peak_activation_bytes_of_level(3), 4 * 4 * (16 * 16 * 16 + 32 * 8 * 8));
  EXPECT_EQ(a.layers_of_level(3).size(), 20U);
}

TEST(GroupArchitectureTest, ReadsAndWritesStages) {
  auto stages = parse_stages("16p,32,64p");
  ASSERT_OK(stages);
  EXPECT_EQ(*stages, (std::vector<Stage>{{16, true}, {32, false}, {64, true}}));
  EXPECT_EQ(format_stages(*stages), "16p,32,64p");
  for (const char* bad : {"", "p", "16p,", ",16", "16q", "0", "-3", "16p 32", "99999"}) {
    EXPECT_THAT(parse_stages(bad), IsError(ErrorKind::kUsage, HasSubstr("16p,32p,64,64p"))) << bad;
  }
}

}  // namespace
}  // namespace reins::inference
