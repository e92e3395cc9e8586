// The actuators of a board together.
#include "actuators/actuator_set.hpp"

#include "tests/support/matchers.hpp"
#include "tests/support/sys_tree.hpp"

namespace reins::actuators {
namespace {

using ::testing::HasSubstr;
using testing::IsError;
using testing::SysTree;

boards::Board two_clusters() {
  boards::Board board;
  boards::Cluster little;
  little.name = "little";
  little.cpus = {0};
  little.opps = {{200000, 0.9}, {1400000, 1.25}};
  little.control = "sys/devices/system/cpu/cpufreq/policy0";
  boards::Cluster big = little;
  big.name = "big";
  big.cpus = {4};
  big.opps = {{200000, 0.9}, {1000000, 1.0}, {2000000, 1.3}};
  big.control = "sys/devices/system/cpu/cpufreq/policy4";
  board.clusters = {little, big};
  board.mappings = {{"little-x1", "little-all", ClusterId(0), 1, 1}, {"big-x1", "big-all", ClusterId(1), 1, 1}};
  return board;
}

class ActuatorSetTest : public ::testing::Test {
 protected:
  ActuatorSet make(const boards::Board& board) {
    return ActuatorSet::make(board, {tree_.root(), tree_.path("run/state.toml")});
  }
  void lay() {
    tree_.cpufreq(0, {200000, 1400000});
    tree_.cpufreq(4, {200000, 1000000, 2000000});
  }
  std::string governor(int policy) {
    return tree_.read("sys/devices/system/cpu/cpufreq/policy" + std::to_string(policy) + "/scaling_governor");
  }
  SysTree tree_;
};

constexpr ClusterId kLittle(0);
constexpr ClusterId kBig(1);

TEST_F(ActuatorSetTest, AppliesFrequenciesAndGovernorsPerCluster) {
  lay();
  {
    ActuatorSet set = make(two_clusters());
    EXPECT_TRUE(set.missing().empty());
    const std::array wanted = {ClusterSetting{kLittle, FreqKhz{200000}},
                               ClusterSetting{kBig, governed_by(boards::Governor::kPerformance)}};
    std::array<Setting, 2> applied;
    EXPECT_OK(set.apply(wanted, applied));
    EXPECT_EQ(applied[0], Setting(FreqKhz{200000}));
    EXPECT_EQ(applied[1], Setting(GovernorName("performance")));
    EXPECT_EQ(governor(0), "userspace");
    EXPECT_EQ(governor(4), "performance");
  }
  EXPECT_EQ(governor(0), "schedutil");
  EXPECT_EQ(governor(4), "schedutil");
}

TEST_F(ActuatorSetTest, ListsWhatIsMissingAndRefusesItAlone) {
  lay();
  tree_.remove("sys/devices/system/cpu/cpufreq/policy4");
  ActuatorSet set = make(two_clusters());
  ASSERT_EQ(set.missing().size(), 1U);
  EXPECT_EQ(set.missing()[0].name, "big");
  EXPECT_TRUE(set.missing()[0].needed);
  EXPECT_THAT(set.apply({kBig, FreqKhz{200000}}), IsError(ErrorKind::kNotFound, HasSubstr("policy4")));
  EXPECT_OK(set.apply({kLittle, FreqKhz{200000}}));
  EXPECT_EQ(set.frequency(kBig), nullptr);
  EXPECT_EQ(set.cap(kBig), std::nullopt);
  EXPECT_THAT(set.apply({ClusterId(7), FreqKhz{200000}}), IsError(ErrorKind::kUsage, HasSubstr("no such cluster")));
}

TEST_F(ActuatorSetTest, NeedsNoControlOfAClusterThatNoMappingUses) {
  lay();
  tree_.remove("sys/devices/system/cpu/cpufreq/policy4");
  boards::Board board = two_clusters();
  board.mappings.pop_back();
  EXPECT_TRUE(differences(board, tree_.root()).empty());
  const ActuatorSet set = make(board);
  ASSERT_EQ(set.missing().size(), 1U);
  EXPECT_FALSE(set.missing()[0].needed);
}

TEST_F(ActuatorSetTest, ReadsCapsAsOperatingPoints) {
  lay();
  ActuatorSet set = make(two_clusters());
  EXPECT_EQ(set.cap(kBig), OppId(2));
  tree_.put("sys/devices/system/cpu/cpufreq/policy4/scaling_max_freq", "1999999");
  EXPECT_EQ(set.cap(kBig), OppId(1));
  tree_.put("sys/devices/system/cpu/cpufreq/policy4/scaling_max_freq", "100000");
  EXPECT_EQ(set.cap(kBig), OppId(0));
}

TEST_F(ActuatorSetTest, AHostWithoutDvfsTakesItsOnePointAndNoOther) {
  boards::Board board;
  boards::Cluster cluster;
  cluster.name = "cpu";
  cluster.opps = {{0, 0}};
  board.clusters = {cluster};
  ActuatorSet set = make(board);
  EXPECT_TRUE(set.missing().empty());
  EXPECT_OK(set.apply({ClusterId(0), FreqKhz{0}}));
  EXPECT_THAT(set.apply({ClusterId(0), FreqKhz{1000000}}),
              IsError(ErrorKind::kUnsupported, HasSubstr("names no control")));
  EXPECT_FALSE(std::filesystem::exists(tree_.path("run/state.toml"))) << "there is nothing to restore";
  // Its cores are taken all the same.
  const ActuatorSet second = make(board);
  ASSERT_EQ(second.missing().size(), 1U);
  EXPECT_TRUE(second.missing()[0].needed);
  EXPECT_THAT(second.missing()[0].error.line(), HasSubstr("a running reins"));
  tree_.put("taken", "a file where the folder should be");
  EXPECT_TRUE(ActuatorSet::make(board, {tree_.root(), tree_.path("taken/state.toml")}).missing().empty())
      << "nothing is saved: no folder is needed";
}

TEST_F(ActuatorSetTest, ChangesNothingWhereItCannotSave) {
  lay();
  tree_.put("run", "a file where the folder should be");
  ActuatorSet set = make(two_clusters());
  EXPECT_EQ(set.missing().size(), 2U);
  EXPECT_THAT(set.missing()[0].error.line(), HasSubstr("run"));
  EXPECT_FALSE(set.apply({kBig, FreqKhz{200000}}).has_value());
  EXPECT_EQ(governor(4), "schedutil");
}

TEST_F(ActuatorSetTest, WithoutAStateFileItOnlyLooks) {
  lay();
  const auto before = tree_.snapshot("");
  ActuatorSet set = ActuatorSet::make(two_clusters(), {tree_.root(), {}});
  EXPECT_TRUE(set.missing().empty());
  EXPECT_EQ(*set.frequency(kBig)->present(), Setting(GovernorName("schedutil")));
  EXPECT_THAT(set.apply({kBig, FreqKhz{200000}}), IsError(ErrorKind::kUnsupported, HasSubstr("looked at")));
  EXPECT_EQ(tree_.snapshot(""), before);
}

TEST_F(ActuatorSetTest, RestoresTheOthersWhenOneFails) {
  lay();
  ActuatorSet set = make(two_clusters());
  EXPECT_OK(set.apply({kLittle, FreqKhz{200000}}));
  EXPECT_OK(set.apply({kBig, FreqKhz{200000}}));
  tree_.remove("sys/devices/system/cpu/cpufreq/policy0");
  EXPECT_THAT(set.restore(), IsError(ErrorKind::kGone, HasSubstr("policy0")));
  EXPECT_EQ(governor(4), "schedutil");
}

TEST_F(ActuatorSetTest, LimitsTheGroupOfThisProcessWhereAMappingHasAQuota) {
  boards::Board board;
  boards::Mapping mapping;
  mapping.cpu_quota = 0.5;
  board.mappings = {mapping};
  tree_.put("proc/self/cgroup", "0::/app").put("sys/fs/cgroup/app/cpu.max", "max 100000");
  {
    ActuatorSet set = make(board);
    EXPECT_TRUE(set.missing().empty());
    EXPECT_EQ(*set.limit_cpus(0.5), 0.5);
    EXPECT_EQ(tree_.read("sys/fs/cgroup/app/cpu.max"), "50000 100000");
  }
  EXPECT_EQ(tree_.read("sys/fs/cgroup/app/cpu.max"), "max 100000");
  tree_.remove("sys/fs/cgroup/app/cpu.max");
  ActuatorSet set = make(board);
  EXPECT_EQ(set.missing().size(), 1U);
  EXPECT_THAT(set.limit_cpus(0.5), IsError(ErrorKind::kNotFound, HasSubstr("systemd-run")));
}

TEST_F(ActuatorSetTest, TellsWhereTheMachineDiffersFromItsBoardFile) {
  lay();
  const std::string policy = "sys/devices/system/cpu/cpufreq/policy4";
  EXPECT_TRUE(differences(two_clusters(), tree_.root()).empty());
  tree_.put(policy + "/scaling_available_frequencies", "200000 1000000 1900000");
  tree_.put(policy + "/scaling_max_freq", "1900000").put(policy + "/related_cpus", "4 5 6 7");
  std::vector<Error> found = differences(two_clusters(), tree_.root());
  ASSERT_EQ(found.size(), 2U);
  EXPECT_THAT(found[0].line(), HasSubstr("no 2000000 kHz"));
  EXPECT_THAT(found[1].line(), HasSubstr("4 5 6 7"));
  tree_.remove(policy);
  found = differences(two_clusters(), tree_.root());
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].kind(), ErrorKind::kMismatch);
  EXPECT_THAT(found[0].line(), HasSubstr("big: this machine has no such frequency control"));
}

TEST_F(ActuatorSetTest, ACapIsNoOtherBoard) {
  lay();
  EXPECT_TRUE(caps(two_clusters(), tree_.root()).empty());
  tree_.put("sys/devices/system/cpu/cpufreq/policy4/scaling_max_freq", "1900000");
  EXPECT_TRUE(differences(two_clusters(), tree_.root()).empty());
  const std::vector<Error> found = caps(two_clusters(), tree_.root());
  ASSERT_EQ(found.size(), 1U);
  EXPECT_THAT(found[0].line(), HasSubstr("capped at 1900000"));
}

}  // namespace
}  // namespace reins::actuators
