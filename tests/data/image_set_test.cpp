#include "data/image_set.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <set>

#include "core/file.hpp"
#include "tests/support/matchers.hpp"
#include "tests/support/run_program.hpp"

namespace reins::data {
namespace {

using reins::testing::IsError;
using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(Md5, GivesTheVectorsOfRfc1321) {
  EXPECT_EQ(md5(""), "d41d8cd98f00b204e9800998ecf8427e");
  EXPECT_EQ(md5("a"), "0cc175b9c0f1b6a831c399e269772661");
  EXPECT_EQ(md5("abc"), "900150983cd24fb0d6963f7d28e17f72");
  EXPECT_EQ(md5("message digest"), "f96b697d7cb7938d525a2f31aaf161d0");
  EXPECT_EQ(md5("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"), "d174ab98d277d9f5a5611c2c9f419d9f");
  EXPECT_EQ(md5("12345678901234567890123456789012345678901234567890123456789012345678901234567890"),
            "57edf4a22be3c955ac49da2e2107b67a");
}

// A folder with files of CIFAR-10's binary layout whose pixels are their record's number.
class Cifar10Test : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("reins-cifar-" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  static std::string batch(int number) {
    std::string bytes(30'730'000, '\0');
    for (std::size_t i = 0; i < 10'000; ++i) {
      bytes[i * 3073] = static_cast<char>((i + static_cast<std::size_t>(number)) % 10);
      std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(i * 3073 + 1), 3072,
                  static_cast<char>((i / 40 + static_cast<std::size_t>(number)) % 256));
    }
    return bytes;
  }
  void put(const std::string& name, const std::string& bytes) { ASSERT_OK(write_file_atomic(folder_ / name, bytes)); }

  std::filesystem::path folder_;
};

TEST_F(Cifar10Test, SplitsTheFifthBatchAndReadsOnlyWhatASplitNeeds) {
  put("data_batch_5.bin", batch(5));
  auto validation = load_cifar10(folder_, Split::kValidation);
  ASSERT_OK(validation);
  ASSERT_EQ(validation->size(), 5000U);
  EXPECT_EQ(validation->labels[0], (5000 + 5) % 10);
  EXPECT_EQ(validation->image(0)[0], (5000 / 40 + 5) % 256);
  EXPECT_EQ(validation->image(4999)[3071], (9999 / 40 + 5) % 256);
  EXPECT_EQ(validation->name, "cifar10");
  EXPECT_THAT(validation->provenance, HasSubstr("no known copy"));
  EXPECT_THAT(load_cifar10(folder_, Split::kTrain), IsError(ErrorKind::kNotFound, HasSubstr("data_batch_1.bin")));
  EXPECT_THAT(load_cifar10(folder_, Split::kTest), IsError(ErrorKind::kNotFound, HasSubstr("test_batch.bin")));
}

TEST_F(Cifar10Test, ComparesWithTheSumsBesideTheFiles) {
  const std::string bytes = batch(0);
  put("test_batch.bin", bytes);
  put("MD5SUMS", md5(bytes) + "  test_batch.bin\n");
  auto test = load_cifar10(folder_, Split::kTest);
  ASSERT_OK(test);
  EXPECT_EQ(test->size(), 10'000U);
  EXPECT_THAT(test->provenance, HasSubstr("MD5SUMS file beside"));
  put("MD5SUMS", std::string(32, '0') + "  test_batch.bin\n");
  EXPECT_THAT(load_cifar10(folder_, Split::kTest), IsError(ErrorKind::kGarbled, HasSubstr("MD5SUMS")));
}

TEST_F(Cifar10Test, SaysWhereNoSumVouchesForThePixels) {
  const std::string bytes = batch(0);
  put("test_batch.bin", bytes);
  EXPECT_FALSE(load_cifar10(folder_, Split::kTest)->verified);
  put("MD5SUMS", md5(bytes) + "  test_batch.bin\n");
  EXPECT_TRUE(load_cifar10(folder_, Split::kTest)->verified);
}

TEST_F(Cifar10Test, ReadsTheRecordsOfAnyFile) {
  const std::string bytes = batch(3);
  put("some.bin", bytes.substr(0, 3 * 3073));
  const auto some = load_cifar10_records(folder_ / "some.bin");
  ASSERT_OK(some);
  EXPECT_EQ(some->labels, (std::vector<std::uint8_t>{3, 4, 5}));
  EXPECT_EQ(some->pixels.size(), 3U * 3072U);
  EXPECT_THAT(some->title, HasSubstr("some.bin"));
  EXPECT_FALSE(some->verified);
  for (const std::size_t size : {0U, 3074U}) {
    put("some.bin", bytes.substr(0, size));
    EXPECT_THAT(load_cifar10_records(folder_ / "some.bin"), IsError(ErrorKind::kGarbled, HasSubstr("records of 3073")));
  }
  EXPECT_THAT(load_cifar10_records(folder_ / "none.bin"), IsError(ErrorKind::kNotFound, HasSubstr("none.bin")));
}

// A known copy with one file changed, and no MD5SUMS beside: the other four tell.
TEST(KnownCopy, RefusesAFileThatIsNotOfTheCopyThatTheOthersAreFrom) {
  const std::filesystem::path known = std::filesystem::path(REINS_SOURCE_DIR) / "../shared/data/cifar10";
  if (!std::filesystem::exists(known / "unpack.sh")) GTEST_SKIP() << "the known copy is not at " << known;
  const auto folder = std::filesystem::temp_directory_path() / ("reins-known-" + std::to_string(::getpid()));
  const auto ran = reins::testing::run_program((known / "unpack.sh").string() + " " + folder.string() + " 2>&1");
  if (ran.code != 0) {
    std::filesystem::remove_all(folder);
    GTEST_SKIP() << "the known copy cannot be unpacked here: " << ran.output;
  }
  const auto whole = load_cifar10(folder, Split::kTrain);
  auto bytes = read_file(folder / "data_batch_3.bin");
  ASSERT_OK(bytes);
  (*bytes)[12345] = static_cast<char>((*bytes)[12345] ^ 1);
  ASSERT_OK(write_file_atomic(folder / "data_batch_3.bin", *bytes));
  const auto changed = load_cifar10(folder, Split::kTrain);
  // Of the test images one file is read: those beside it tell.
  auto test = read_file(folder / "test_batch.bin");
  ASSERT_OK(test);
  (*test)[12345] = static_cast<char>((*test)[12345] ^ 1);
  ASSERT_OK(write_file_atomic(folder / "test_batch.bin", *test));
  const auto alone = load_cifar10(folder, Split::kTest);
  std::filesystem::remove_all(folder);
  ASSERT_OK(whole);
  EXPECT_TRUE(whole->verified);
  EXPECT_EQ(whole->name, "cifar10-jpeg");
  EXPECT_THAT(changed, IsError(ErrorKind::kGarbled, HasSubstr("data_batch_3.bin")));
  EXPECT_THAT(alone,
              IsError(ErrorKind::kGarbled, AllOf(HasSubstr("test_batch.bin"), HasSubstr("data_batch_1.bin beside"))));
}

TEST_F(Cifar10Test, RefusesWrongLengthsAndLabels) {
  std::string bytes = batch(0);
  put("test_batch.bin", bytes.substr(0, bytes.size() - 1));
  EXPECT_THAT(load_cifar10(folder_, Split::kTest), IsError(ErrorKind::kGarbled, HasSubstr("30729999")));
  bytes[7 * 3073] = 10;
  put("test_batch.bin", bytes);
  EXPECT_THAT(load_cifar10(folder_, Split::kTest), IsError(ErrorKind::kGarbled, HasSubstr("record 7 has label 10")));
}

TEST(Synthetic, IsTheSameForASeedAndAnotherForAnother) {
  const auto first = make_synthetic(Split::kTest, 1, 50);
  EXPECT_EQ(first.pixels, make_synthetic(Split::kTest, 1, 50).pixels);
  EXPECT_NE(first.pixels, make_synthetic(Split::kTest, 2, 50).pixels);
  EXPECT_NE(first.pixels, make_synthetic(Split::kTrain, 1, 50).pixels);
  // An image depends on its number alone.
  const auto longer = make_synthetic(Split::kTest, 1, 60);
  EXPECT_TRUE(std::equal(first.pixels.begin(), first.pixels.end(), longer.pixels.begin()));
}

TEST(Synthetic, DrawsEveryClassAboutEquallyOften) {
  const auto images = make_synthetic(Split::kTrain, 3, 2000);
  ASSERT_EQ(images.size(), 2000U);
  ASSERT_EQ(images.pixels.size(), 2000U * 3072U);
  std::array<int, 10> count{};
  for (const auto label : images.labels) ++count.at(label);
  // Binomial(2000, 0.1): deviation 13.4; five of them either way fails once in a million.
  for (const int n : count) EXPECT_NEAR(n, 200, 68);
}

TEST(LoadImages, LoadsTheFirstOnesAloneWhereNoMoreAreAskedFor) {
  const auto all = make_synthetic(Split::kValidation, 5);
  const auto few = load_images("synthetic", {}, Split::kValidation, 5, 30);
  ASSERT_OK(few);
  EXPECT_EQ(few->size(), 30U);
  EXPECT_EQ(few->pixels.size(), 30U * 3072U);
  EXPECT_TRUE(std::equal(few->pixels.begin(), few->pixels.end(), all.pixels.begin()));
  EXPECT_EQ(load_images("synthetic", {}, Split::kValidation, 5, 5000)->size(), synthetic_size(Split::kValidation));
}

TEST(LoadImages, NamesTheKnownSets) {
  EXPECT_THAT(load_images("imagenet", {}, Split::kTest, 1),
              IsError(ErrorKind::kUsage, HasSubstr("known: cifar10, synthetic")));
  EXPECT_THAT(load_images("cifar10", {}, Split::kTest, 1), IsError(ErrorKind::kUsage, HasSubstr("--data")));
}

}  // namespace
}  // namespace reins::data
