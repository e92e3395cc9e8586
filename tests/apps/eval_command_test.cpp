// `reins eval` as a user runs it, on a network and a policy made here.
#include "apps/eval_command.hpp"

#include <unistd.h>

#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>

#include "apps/wiring.hpp"
#include "control/observation_builder.hpp"
#include "control/settings.hpp"
#include "core/file.hpp"
#include "data/trace.hpp"
#include "inference/network_file.hpp"
#include "policies/policy_file.hpp"
#include "tests/apps/run_command.hpp"
#include "tests/support/matchers.hpp"

namespace reins::apps {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

Outcome reins(std::vector<std::string> words) {
  words.insert(words.begin(), "eval");
  return run_command({register_eval}, std::move(words));
}

/// Exactly one line on standard error, exit code 2, nothing on standard output.
void expect_bad_input(const Outcome& outcome, const ::testing::Matcher<const std::string&>& line) {
  EXPECT_EQ(outcome.code, kBadInput);
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err, line);
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
}

class Eval : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = fs::temp_directory_path() / ("reins-eval-" + std::to_string(::getpid()));
    fs::create_directories(folder_);
    network_ = (folder_ / "network.rnet").native();
    write_a_network();
    write_a_policy("odroid-xu3", "odroid-xu3");
    write_a_policy("jetson-nano", "jetson-nano");
    control::RuntimeConfig bare;
    bare.queue_limit = 1;
    bare.shield.enabled = false;
    write_a_policy("odroid-xu3", "bare", control::settings_of(bare),
                   "[dqn]\nsteps = 5\n[reward]\nw_acc = 100\nw_energy = 0\nw_miss = 0\n");
  }
  static void TearDownTestSuite() { fs::remove_all(folder_); }

  static std::string path(const std::string& name) { return (folder_ / name).native(); }
  /// Two cells of few requests.
  static std::vector<std::string> tiny(std::vector<std::string> more = {}) {
    std::vector<std::string> words = {"--network", network_, "--grid", "quick", "--loads", "0.3", "--requests", "25"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }

  static fs::path folder_;
  static std::string network_;

 private:
  static void write_a_network() {
    inference::GroupArchitecture architecture;
    architecture.groups = 2;
    architecture.stages = {{4, true}, {4, true}};
    inference::DynamicNetwork network = inference::describe(architecture, "made up", "synthetic", "drawn by a test");
    network.facts.levels[0].accuracy = 0.6;
    network.facts.levels[1].accuracy = 0.7;
    network.mean = {0.5F, 0.5F, 0.5F};
    network.stddev = {0.25F, 0.25F, 0.25F};
    auto zeros = [](std::vector<std::int64_t> shape) {
      std::size_t n = 1;
      for (const std::int64_t side : shape) n *= static_cast<std::size_t>(side);
      return inference::Tensor{std::move(shape), std::vector<float>(n, 0.0F)};
    };
    inference::NetworkWeights weights;
    weights.mean = network.mean;
    weights.stddev = network.stddev;
    weights.bias = zeros({architecture.classes});
    for (std::int64_t group = 0; group < architecture.groups; ++group) {
      inference::GroupWeights one;
      for (std::size_t stage = 0; stage < architecture.stages.size(); ++stage) {
        one.conv_weights.push_back(
            zeros({architecture.stages[stage].channels, architecture.input_channels(stage), 3, 3}));
        one.conv_biases.push_back(zeros({architecture.stages[stage].channels}));
      }
      one.classifier = zeros({architecture.classes, architecture.features()});
      weights.groups.push_back(std::move(one));
    }
    ASSERT_OK(inference::write_network(network_, network, weights, inference::WeightType::kFloat32));
  }

  /// A policy whose weights are zero: it takes the first choice that is allowed.
  static void write_a_policy(const std::string& board, const std::string& name,
                             const std::map<std::string, std::string>& settings = {}, const std::string& config = {}) {
    WorkbenchOptions options;
    options.board = board;
    options.network = network_;
    const auto bench = make_workbench(options);
    ASSERT_OK(bench);
    const policies::ActionSpace& space = (*bench)->space();
    const control::ObservationBuilder builder((*bench)->board(), space, (*bench)->profile());
    policies::PolicyFile file;
    file.space = space;
    file.network_fingerprint = (*bench)->network().fingerprint;
    file.observation = builder.spec();
    file.network = policies::PolicyNetwork::zeros(policies::NetworkShape::of(builder.spec().size(), space));
    file.training.algorithm = "none";
    file.training.config = config;
    file.settings = settings;
    policies::PolicyExample example;
    example.features.assign(builder.spec().size(), 0.0F);
    example.mask.mappings = 1;
    example.mask.levels = 1;
    for (std::size_t m = 0; m < space.mappings.size(); ++m) example.mask.opps[m] = 1;
    file.examples = {example};
    ASSERT_OK(policies::decide_examples(file));
    ASSERT_OK(policies::write_policy(file, folder_ / (name + ".policy")));
  }
};
fs::path Eval::folder_;
std::string Eval::network_;

TEST_F(Eval, PrintsEveryRowSavingsAndEveryCell) {
  const Outcome outcome = reins(tiny());
  EXPECT_EQ(outcome.code, kOk) << outcome.err;
  for (const char* row :
       {"performance/kernel-like full", "schedutil/kernel-like full", "best static", "floor rule", "pareto", "oracle",
        "Savings, floors changing", "Savings, floors top", "Every cell", "EMULATED"}) {
    EXPECT_THAT(outcome.out, HasSubstr(row));
  }
}

TEST_F(Eval, SaysWhereTheKernelsRowIsNoReferenceForSavings) {
  EXPECT_THAT(reins(tiny()).err, Not(HasSubstr("misses")));
  const Outcome hopeless = reins({"--network", network_, "--grid", "quick", "--loads", "5", "--requests", "25"});
  EXPECT_EQ(hopeless.code, kOk);
  EXPECT_THAT(hopeless.err, AllOf(HasSubstr("schedutil/kernel-like full misses"), HasSubstr("says little")));
}

TEST_F(Eval, SaysInWhichAirItEmulatesAndWhichTheShieldAssumes) {
  EXPECT_THAT(reins(tiny()).out,
              HasSubstr("air of 25 °C, from 45 °C; the shield predicts with the board file's 40 °C\n"));
  EXPECT_THAT(reins({"--help"}).out, AllOf(HasSubstr("air of 25 °C"), HasSubstr("thermal.ambient_c")));
}

TEST_F(Eval, WritesJsonToStandardOutputAndNothingElse) {
  const Outcome outcome = reins(tiny({"--json"}));
  EXPECT_EQ(outcome.code, kOk);
  const auto json = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(json["cells"].size(), 2U);
  EXPECT_EQ(json["board"]["name"], "odroid-xu3");
}

TEST_F(Eval, GivesTheSameFiguresOnAnyNumberOfThreadsAndOthersForAnotherSeed) {
  const std::string one = reins(tiny({"--json", "--threads", "1"})).out;
  EXPECT_EQ(one, reins(tiny({"--json", "--threads", "3"})).out);
  EXPECT_NE(one, reins(tiny({"--json", "--seed", "77"})).out);
}

TEST_F(Eval, ShowsALearnedPolicyWithAndWithoutItsShield) {
  const Outcome outcome = reins(tiny({"--policy", path("odroid-xu3.policy"), "--no-shield", "--json"}));
  EXPECT_EQ(outcome.code, kOk) << outcome.err;
  const auto json = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(json["learned"], std::vector<std::string>{"odroid-xu3"});
  EXPECT_EQ(json["unshielded"], std::vector<std::string>{"odroid-xu3, no shield"});
  double shielded = 0, bare = -1;
  for (const auto& row : json["cells"][0]["rows"]) {
    if (row["name"] == "odroid-xu3") shielded = row["shield_interventions_per_offered"];
    if (row["name"] == "odroid-xu3, no shield") bare = row["shield_interventions_per_offered"];
  }
  EXPECT_GT(shielded, 0);  // the lowest point of the slowest cluster misses targets that others would meet
  EXPECT_EQ(bare, 0);
}

TEST_F(Eval, ShowsALearnedPolicyWithAndWithoutGrowth) {
  ASSERT_OK(write_file_atomic(path("loose.csv"), "time_s,app,latency_target_s\n0.5,0,5\n10,0,5\n20,0,5\n"));
  const Outcome outcome = reins(
      {"--network", network_, "--trace", path("loose.csv"), "--policy", path("odroid-xu3.policy"), "--grow", "--json"});
  EXPECT_EQ(outcome.code, kOk) << outcome.err;
  const auto json = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(json["growing"], std::vector<std::string>{"odroid-xu3, grow"});
  std::map<std::string, nlohmann::json> rows;
  for (const auto& row : json["cells"][0]["rows"]) rows[row["name"]] = row;
  EXPECT_NEAR(rows["odroid-xu3"]["mean_accuracy"], 0.6, 1e-12) << "it always asks for the lowest level";
  EXPECT_GT(rows["odroid-xu3, grow"]["mean_accuracy"], 0.6);
  EXPECT_EQ(rows["odroid-xu3, grow"]["miss_rate"], 0.0);
}

TEST_F(Eval, RunsEachPolicyUnderItsOwnSettingsAndRewardOnTheSameTraces) {
  // Four at once: the last two find a queue of one full.
  ASSERT_OK(write_file_atomic(path("burst.csv"),
                              "time_s,app,latency_target_s\n0.5,0,0.001\n0.5,0,\n0.5,0,\n0.5,0,\n2.5,0,\n"));
  const Outcome outcome = reins({"--network", network_, "--trace", path("burst.csv"), "--policy",
                                 path("odroid-xu3.policy"), path("bare.policy"), "--no-shield", "--json"});
  EXPECT_EQ(outcome.code, kOk) << outcome.err;
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("bare.policy"), HasSubstr("another reward")));
  EXPECT_THAT(outcome.err, Not(HasSubstr("odroid-xu3.policy"))) << "it says nothing of its reward: the board's";
  const auto json = nlohmann::json::parse(outcome.out);
  std::map<std::string, nlohmann::json> rows;
  for (const auto& row : json["cells"][0]["rows"]) rows[row["name"]] = row;
  const auto& usual = rows["odroid-xu3"];
  const auto& bare = rows["bare"];
  EXPECT_EQ(usual["offered"], 5.0);
  EXPECT_EQ(bare["offered"], 5.0);
  EXPECT_EQ(rows["odroid-xu3, no shield"]["served"], 5.0);
  EXPECT_EQ(bare["served"], 3.0) << "its settings let one request wait, and not 64";
  EXPECT_GT(usual["shield_interventions_per_offered"], 0.0);
  EXPECT_EQ(bare["shield_interventions_per_offered"], 0.0) << "it was trained with the shield off";
  const double accuracy = bare["mean_accuracy"];
  EXPECT_NEAR(bare["reward"], 100 * accuracy * 3 / 5, 1e-9);
  EXPECT_LT(usual["reward"], 1.0);
}

TEST_F(Eval, GroupsSeveralPoliciesUnderOneMean) {
  fs::create_directories(path("other"));
  const std::string other = path("other") + "/odroid-xu3.policy";
  fs::copy_file(path("odroid-xu3.policy"), other, fs::copy_options::overwrite_existing);
  const Outcome outcome = reins(tiny({"--policy", path("odroid-xu3.policy"), other}));
  EXPECT_EQ(outcome.code, kOk) << outcome.err;
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("other/odroid-xu3"), HasSubstr("learned (2 seeds)")));
}

TEST_F(Eval, WritesAReport) {
  const Outcome outcome = reins(tiny({"--report", path("report.html")}));
  EXPECT_EQ(outcome.code, kOk) << outcome.err;
  const auto html = read_file(path("report.html"));
  ASSERT_OK(html);
  EXPECT_THAT(*html, AllOf(HasSubstr("<svg"), HasSubstr("</html>")));
}

TEST_F(Eval, ComparesOnAUsersOwnTrace) {
  ASSERT_OK(write_file_atomic(path("mine.csv"), "time_s,app,latency_target_s\n0.5,0,0.4\n1.0,0,0.4\n2.5,0,0.4\n"));
  const Outcome outcome = reins({"--network", network_, "--trace", path("mine.csv"), "--json"});
  EXPECT_EQ(outcome.code, kOk) << outcome.err;
  const auto json = nlohmann::json::parse(outcome.out);
  ASSERT_EQ(json["cells"].size(), 1U);
  EXPECT_EQ(json["cells"][0]["arrivals"], "mine");
  EXPECT_EQ(json["cells"][0]["rows"][0]["offered"], 3.0);
}

TEST_F(Eval, SaysInOneLineWhatIsWrongWithItsInput) {
  expect_bad_input(reins({"--network", path("none.rnet")}), HasSubstr("none.rnet"));
  expect_bad_input(reins({"--network", network_, "--board", "odroid"}), HasSubstr("odroid-xu3"));
  expect_bad_input(reins({"--network", network_, "--board", "host"}), HasSubstr("emulated boards"));
  expect_bad_input(reins(tiny({"--grid", "huge"})), HasSubstr("huge"));
  expect_bad_input(reins(tiny({"--targets", "soon"})), HasSubstr("soon"));
  expect_bad_input(reins(tiny({"--policy", path("none.policy")})), HasSubstr("none.policy"));
  expect_bad_input(reins(tiny({"--policy", network_})), HasSubstr("network.rnet"));
  expect_bad_input(reins(tiny({"--policy", path("jetson-nano.policy")})), HasSubstr("jetson-nano"));
  expect_bad_input(reins(tiny({"--camera", path("nowhere")})), HasSubstr("nowhere"));
  expect_bad_input(reins(tiny({"--trace", path("nowhere.csv")})), HasSubstr("nowhere.csv"));
  expect_bad_input(reins(tiny({"--frobnicate"})), HasSubstr("--frobnicate"));
  expect_bad_input(reins(tiny({"--loads", "nan"})), HasSubstr("nan is no number"));
  expect_bad_input(reins(tiny({"--requests", "nan"})), HasSubstr("nan is no number"));
  expect_bad_input(reins(tiny({"--seed", "-1"})), HasSubstr("--seed"));
  expect_bad_input(reins(tiny({"--seed", "99999999999999999999999"})), HasSubstr("--seed"));
  const std::string policy = path("odroid-xu3.policy");
  expect_bad_input(reins(tiny({"--policy", policy, policy})), HasSubstr("given twice"));
  expect_bad_input(reins(tiny({"--report", path("a.out"), "--json", path("a.out")})), HasSubstr("the same file"));
}

TEST_F(Eval, DoesNotOfferTheHostThatItRefuses) {
  const Outcome help = reins({"--help"});
  EXPECT_EQ(help.code, kOk);
  EXPECT_THAT(help.out, AllOf(HasSubstr("NAME|PATH"), Not(HasSubstr("|host"))));
}

TEST_F(Eval, RefusesATruncatedPolicy) {
  const auto bytes = read_file(path("odroid-xu3.policy"));
  ASSERT_OK(bytes);
  ASSERT_OK(write_file_atomic(path("cut.policy"), std::string_view(*bytes).substr(0, bytes->size() / 2)));
  expect_bad_input(reins(tiny({"--policy", path("cut.policy")})), HasSubstr("cut.policy"));
}

TEST_F(Eval, SaysBeforeItsWorkThatAFileCannotBeWritten) {
  // A folder that says yes to root and takes no file.
  for (const char* option : {"--report", "--json"}) {
    const Outcome outcome = reins(tiny({option, "/proc/reins-report"}));
    EXPECT_NE(outcome.code, kOk);
    EXPECT_THAT(outcome.err, AllOf(HasSubstr("cannot write this file"), HasSubstr("choose a folder")));
    EXPECT_EQ(outcome.out, "") << "nothing was computed";
  }
}

TEST_F(Eval, CannotWriteItsReportIntoAFolderThatIsAFile) {
  const Outcome outcome = reins(tiny({"--report", network_ + "/report.html"}));
  EXPECT_NE(outcome.code, kOk);
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
}

}  // namespace
}  // namespace reins::apps
