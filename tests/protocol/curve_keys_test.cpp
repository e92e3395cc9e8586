// tests/protocol/curve_keys_test.cpp: key files.
#include "protocol/curve_keys.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file.hpp"
#include "tests/support/matchers.hpp"

namespace reins::protocol {
namespace {

using ::testing::HasSubstr;
using testing::IsError;

class CurveKeys : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "reins-keys-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::filesystem::path folder_;
};

TEST_F(CurveKeys, APairReadsBackFromItsFiles) {
  const auto keys = make_curve_keys();
  ASSERT_OK(keys);
  ASSERT_OK(write_curve_keys(*keys, folder_ / "server"));
  const auto back = read_curve_secret(folder_ / "server.secret");
  ASSERT_OK(back);
  EXPECT_EQ(back->secret_key, keys->secret_key);
  EXPECT_EQ(back->public_key, keys->public_key) << "the public half is computed from the secret one";
  const auto listed = read_curve_public_keys(folder_ / "server.public");
  ASSERT_OK(listed);
  EXPECT_EQ(*listed, std::vector<std::string>{keys->public_key});
}

TEST_F(CurveKeys, TheSecretIsItsOwnersAlone) {
  ASSERT_OK(write_curve_keys(*make_curve_keys(), folder_ / "server"));
  struct stat facts {};
  ASSERT_EQ(::stat((folder_ / "server.secret").c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777U, 0600U);
  ASSERT_EQ(::chmod((folder_ / "server.secret").c_str(), 0640), 0);
  EXPECT_THAT(read_curve_secret(folder_ / "server.secret"), IsError(ErrorKind::kDenied, HasSubstr("chmod 600")));
}

TEST_F(CurveKeys, NeverOverwritesAKey) {
  const auto keys = make_curve_keys();
  ASSERT_OK(write_curve_keys(*keys, folder_ / "server"));
  EXPECT_THAT(write_curve_keys(*make_curve_keys(), folder_ / "server"),
              IsError(ErrorKind::kBusy, HasSubstr("already there")));
  EXPECT_EQ(read_curve_secret(folder_ / "server.secret")->secret_key, keys->secret_key);
}

TEST_F(CurveKeys, NamesTheLineThatIsNoKey) {
  const std::string key = make_curve_keys()->public_key;
  ASSERT_OK(write_file_atomic(folder_ / "clients", "# the office\n" + key + "\n\nnot a key\n"));
  EXPECT_THAT(read_curve_public_keys(folder_ / "clients"), IsError(ErrorKind::kGarbled, HasSubstr("clients:4")));
  ASSERT_OK(write_file_atomic(folder_ / "none", "# nobody\n"));
  EXPECT_THAT(read_curve_public_keys(folder_ / "none"), IsError(ErrorKind::kGarbled, HasSubstr("no key")));
  EXPECT_THAT(read_curve_public_keys(folder_ / "missing"), IsError(ErrorKind::kNotFound, HasSubstr("missing")));
}

TEST_F(CurveKeys, ChecksEveryCharacterAndBlock) {
  EXPECT_TRUE(is_curve_key(make_curve_keys()->public_key));
  EXPECT_FALSE(is_curve_key(std::string(39, '0')));
  EXPECT_FALSE(is_curve_key(std::string(39, '0') + "\""));
  EXPECT_FALSE(is_curve_key(std::string(40, '#'))) << "a block above 2^32 - 1";
  EXPECT_EQ(*curve_key_text(std::string(32, '\0')), std::string(40, '0'));
  EXPECT_THAT(curve_key_text("short"), IsError(ErrorKind::kGarbled, HasSubstr("32 bytes")));
}

}  // namespace
}  // namespace reins::protocol
