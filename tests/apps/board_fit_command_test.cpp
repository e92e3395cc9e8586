// `reins board fit` as a user runs it.
#include <cmath>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "apps/board_command.hpp"
#include "apps/profile_command.hpp"
#include "core/csv.hpp"
#include "core/file.hpp"
#include "tests/apps/run_command.hpp"
#include "tests/support/matchers.hpp"
#include "tests/support/sanitized.hpp"

namespace reins::apps {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

class BoardFitCommand : public ::testing::Test {
 protected:
  BoardFitCommand() : folder_(fs::path(::testing::TempDir()) / ("board_fit_" + std::to_string(::getpid()))) {
    fs::create_directories(folder_);
  }
  ~BoardFitCommand() override { fs::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).native(); }
  std::string put(const std::string& name, const std::string& text) const {
    EXPECT_OK(write_file_atomic(path(name), text));
    return path(name);
  }
  Outcome fit(std::vector<std::string> words) const {
    words.insert(words.begin(), {"board", "fit"});
    return run_command({register_board, register_profile}, std::move(words));
  }

  fs::path folder_;
};

const std::string kHeader = "mapping,freq_khz,latency_s,power_w,macs\n";
const std::string kGood = kHeader +
                          "a57x1,921600,0.0694,2.9,47.8e6\na57x1,1428000,0.0469,3.5,47.8e6\n"
                          "a57x1,518400,0.1213,2.6,47.8e6\na57x1,204000,0.313,2.3,47.8e6\n";

TEST_F(BoardFitCommand, FitsWritesAndSaysWhatItKept) {
  const std::string out = path("mine.toml");
  const Outcome done = fit({"--board", "jetson-nano", "--data", put("rows.csv", kGood), "--out", out});
  EXPECT_EQ(done.code, kOk) << done.err;
  EXPECT_THAT(done.out, AllOf(HasSubstr("macs_per_cycle"), HasSubstr("PRIOR KEPT"), HasSubstr("95 % from"),
                              HasSubstr("wrote " + out)));
  EXPECT_THAT(done.out, ::testing::Not(HasSubstr("nothing was taken")));
  const auto board = boards::load_board(out);
  ASSERT_OK(board);
  EXPECT_EQ(board->name, "jetson-nano");
  // A mistyped column is named, one that --where goes by is not.
  std::string mistyped = kGood;
  mistyped.replace(mistyped.find("power_w"), 7, "pwoer_w");
  const Outcome other =
      fit({"--board", "jetson-nano", "--data", put("rows.csv", mistyped), "--where", "mapping=a57x1"});
  EXPECT_EQ(other.code, kOk) << other.err;
  EXPECT_THAT(other.out, HasSubstr("Columns that nothing was taken from: pwoer_w\n"));
}

TEST_F(BoardFitCommand, AFileThatIsThereStaysUnlessSaidOtherwise) {
  const std::string out = put("there.toml", "mine"), rows = put("rows.csv", kGood);
  const Outcome refused = fit({"--board", "jetson-nano", "--data", rows, "--out", out});
  EXPECT_EQ(refused.code, kBadInput);
  EXPECT_THAT(refused.err, HasSubstr("is there already; give --overwrite"));
  EXPECT_THAT(boards::load_board(out), reins::testing::IsError(ErrorKind::kGarbled, HasSubstr("there.toml")));
  EXPECT_EQ(fit({"--board", "jetson-nano", "--data", rows, "--out", out, "--overwrite"}).code, kOk);
  EXPECT_OK(boards::load_board(out));
  EXPECT_EQ(fit({"--board", out, "--data", rows, "--out", out}).code, kOk) << "the base is named twice";
}

TEST_F(BoardFitCommand, AFitThatMeetsNothingIsShownAndNotWritten) {
  const std::string out = path("none.toml");
  const std::string rows = put("rows.csv", kHeader +
                                               "a57x1,921600,0.0694,2.9,47.8e6\na57x1,1428000,40,3.5,47.8e6\n"
                                               "a57x1,518400,0.0001,2.6,47.8e6\na57x1,204000,0.313,2.3,47.8e6\n");
  const Outcome done = fit({"--board", "jetson-nano", "--data", rows, "--out", out});
  EXPECT_EQ(done.code, kBadInput);
  EXPECT_THAT(done.out, AllOf(HasSubstr("Error of the fitted rows"), ::testing::Not(HasSubstr("wrote"))));
  EXPECT_THAT(done.err, HasSubstr("not written: the fit is more than 50 % off"));
  EXPECT_FALSE(fs::exists(out));
}

TEST_F(BoardFitCommand, SaysThatFewFrequenciesTellNoVoltageAndTakesArrivals) {
  const std::string rows = put("rows.csv", kGood);
  const Outcome done = fit({"--board", "jetson-nano", "--data", rows});
  EXPECT_THAT(done.out, HasSubstr("Cluster a57: V(f) is the base file's"));
  EXPECT_THAT(fit({"--board", "jetson-nano", "--data", rows, "--keep-voltages"}).out,
              ::testing::Not(HasSubstr("V(f) is the base file's")));
  const Outcome loop = fit({"--board", "jetson-nano", "--data", rows, "--arrivals", "closed-loop"});
  EXPECT_THAT(loop.out, HasSubstr("in a closed loop"));
  EXPECT_EQ(fit({"--board", "jetson-nano", "--data", rows, "--arrivals", "batched"}).code, kBadInput);
}

TEST_F(BoardFitCommand, EnergiesThatArePowerTimesLatencyNoMoreAreNamed) {
  const auto with_energies = [](const char* first, const char* second) {
    return "mapping,freq_khz,latency_s,power_w,energy_j,macs\na57x1,921600,0.0694,2.9," + std::string(first) +
           ",47.8e6\na57x1,1428000,0.0469,3.5," + second +
           ",47.8e6\na57x1,518400,0.1213,2.6,,47.8e6\na57x1,204000,0.313,2.3,0.72,47.8e6\n";
  };
  const Outcome same = fit({"--board", "jetson-nano", "--data", put("rows.csv", with_energies("0.2", "0.165"))});
  EXPECT_EQ(same.code, kOk) << same.err;
  EXPECT_THAT(same.out, ::testing::Not(HasSubstr("power x latency")));
  const Outcome off = fit({"--board", "jetson-nano", "--data", put("rows.csv", with_energies("0.2", "0.2"))});
  EXPECT_EQ(off.code, kOk) << off.err;
  EXPECT_THAT(off.out, HasSubstr("off power x latency: 1 (power is what is fitted), first " + path("rows.csv") +
                                 ":3: power x latency is 0.164 J, but the energy is 0.2 J\n"));
}

TEST_F(BoardFitCommand, JsonHasConstantsAndErrors) {
  const Outcome done = fit(
      {"--board", "jetson-nano", "--data", put("rows.csv", kGood), "--hold-out", "every-other-frequency", "--json"});
  ASSERT_EQ(done.code, kOk) << done.err;
  const auto document = nlohmann::json::parse(done.out);
  EXPECT_EQ(document["rows"]["held_out"], 2);
  EXPECT_LT(document["errors"]["held_out"]["latency"]["mean"], 0.1);
  EXPECT_TRUE(document["constants"].is_array());
}

TEST_F(BoardFitCommand, TheLeastBaseFileOfTheDocumentIsOne) {
  const auto text = read_file(fs::path(REINS_SOURCE_DIR) / "docs/board-fit.md", std::size_t{1} << 20);
  ASSERT_OK(text);
  std::string base;
  for (std::size_t at = text->find("    schema = 1"); text->compare(at, 4, "    ") == 0;) {
    const std::size_t end = text->find('\n', at) + 1;
    base += text->substr(at + 4, end - at - 4);
    at = end;
  }
  const Outcome done = fit({"--board", put("base.toml", base), "--mapping", "gpu", "--macs", "5e9", "--data",
                            put("rows.csv", "freq_mhz,latency_s,power_w\n318.75,0.2,5\n675.75,0.1,7\n1377,0.055,14\n"),
                            "--out", path("mine.toml")});
  EXPECT_EQ(done.code, kOk) << done.err;
}

TEST_F(BoardFitCommand, ReadsWhatProfileWrites) {
  const std::string profile = path("profile.csv");
  const Outcome profiled = run_command({register_profile}, {"profile", "--board", "odroid-xu3", "--out", profile});
  ASSERT_EQ(profiled.code, kOk) << profiled.err;
  const Outcome done =
      fit({"--board", "odroid-xu3", "--data", profile, "--hold-out", "every-other-frequency", "--json"});
  ASSERT_EQ(done.code, kOk) << done.err;
  const auto document = nlohmann::json::parse(done.out);
  EXPECT_TRUE(document["known_workload"]);
  EXPECT_LT(document["errors"]["held_out"]["latency"]["mean"], 0.02) << "noise is 2 %, over 30 runs";
  EXPECT_LT(document["errors"]["held_out"]["power"]["mean"], 0.03);
}

TEST_F(BoardFitCommand, TakesTheColumnThatIsNamedOfTwoAndTemperaturesBelowZero) {
  const std::string two = put("two.csv",
                              "mapping,freq_khz,latency_s,latency_ms,power_w,temperature_mc,macs\n"
                              "a57x1,921600,0.0694,1,2.9,-5000,47.8e6\na57x1,1428000,0.0469,1,3.5,-4000,47.8e6\n"
                              "a57x1,518400,0.1213,1,2.6,-5000,47.8e6\na57x1,204000,0.313,1,2.3,-5000,47.8e6\n");
  EXPECT_THAT(fit({"--board", "jetson-nano", "--data", two}).err, HasSubstr("two columns give the latency"));
  const Outcome done = fit({"--board", "jetson-nano", "--data", two, "--columns", "latency_s=latency_s", "--json"});
  ASSERT_EQ(done.code, kOk) << done.err;
  EXPECT_LT(nlohmann::json::parse(done.out)["errors"]["fitted"]["latency"]["mean"], 0.05);
}

/// Errors and warnings: a slow machine shows beside them how far the fit is.
std::string without_progress(const std::string& err) {
  std::istringstream lines(err);
  std::string rest;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("board fit  [")) rest += line + "\n";
  }
  return rest;
}

TEST_F(BoardFitCommand, WritesAFileWhereTimeDoesNotFollowFrequency) {
  std::string rows = "mapping,freq_khz,latency_s,power_w,macs,launches\n";
  for (const int khz : {204000, 307200, 518400, 710400, 921600, 1132800, 1326000, 1479000}) {
    for (const char* const latency_s : {"0.006", "0.0061", "0.0059"}) {
      rows += "a57x1," + std::to_string(khz) + "," + latency_s + ",2.5,47.8e6,20\n";
    }
  }
  const Outcome done =
      fit({"--board", "jetson-nano", "--data", put("flat.csv", rows), "--out", path("flat.toml"), "--json"});
  ASSERT_EQ(done.code, kOk) << done.err;
  EXPECT_LT(nlohmann::json::parse(done.out)["errors"]["fitted"]["latency"]["mean"], 0.02);
  EXPECT_TRUE(fs::exists(path("flat.toml")));
  EXPECT_EQ(without_progress(done.err), "");

  // Without launches nothing of this model is constant in time.
  for (std::size_t at = 0; (at = rows.find(",20\n", at)) != std::string::npos;) rows.replace(at, 4, ",0\n");
  const Outcome poor = fit({"--board", "jetson-nano", "--data", put("poor.csv", rows), "--json"});
  ASSERT_EQ(poor.code, kOk) << poor.err;
  EXPECT_THAT(poor.err, HasSubstr("% off the latencies that it was fitted to"));
}

/// A file's numbers by row (level, mapping, frequency) of one column.
std::map<std::string, double> column_of(const std::string& file, std::string_view column) {
  std::map<std::string, double> numbers;
  const auto table = CsvTable::read(file);
  EXPECT_OK(table);
  for (std::size_t r = 0; table.has_value() && r < table->rows(); ++r) {
    if (!table->present(r, column)) continue;
    numbers[std::string(*table->text(r, "level")) + " " + std::string(*table->text(r, "mapping")) + " " +
            std::string(*table->text(r, "freq_khz"))] = *table->number(r, column);
  }
  return numbers;
}

// A board whose constants are far off, fitted to the profile of the true one, is that board: its own profile says so.
TEST_F(BoardFitCommand, AProfileBringsAWrongBoardFileToTheBoardThatWasProfiled) {
  if (testing::kSanitized) GTEST_SKIP() << "minutes of arithmetic; ReadsWhatProfileWrites runs the same code";
  const std::map<std::string, double> wrong = {{"macs_per_cycle", 0.6},          {"call_cycles", 1.5},
                                               {"core_w_per_mhz_v2", 1.6},       {"leak_w", 0.6},
                                               {"idle_clock_w_per_mhz_v2", 0.5}, {"constant_w", 0.7}};
  for (const std::string board : {"odroid-xu3", "jetson-nano"}) {
    SCOPED_TRACE(board);
    const auto profiled = [&](const std::string& of, const std::string& out, const std::string& seed) {
      const Outcome done =
          run_command({register_profile}, {"profile", "--board", of, "--seed", seed, "--out", path(out)});
      EXPECT_EQ(done.code, kOk) << done.err;
      return path(out);
    };
    const std::string before = profiled(board, "before.csv", "1");
    std::istringstream lines(*read_file(fs::path(REINS_SOURCE_DIR) / "boards" / (board + ".toml"), 1 << 20));
    std::string base;
    std::size_t changed = 0;
    for (std::string line; std::getline(lines, line); base += line + "\n") {
      const auto key = wrong.find(line.substr(0, line.find(" = ")));
      if (key == wrong.end()) continue;
      line = key->first + " = " + std::to_string(key->second * std::stod(line.substr(line.find(" = ") + 3)));
      ++changed;
    }
    ASSERT_GE(changed, 10U);
    const Outcome done =
        fit({"--board", put("wrong.toml", base), "--data", before, "--out", path("mine.toml"), "--overwrite"});
    ASSERT_EQ(done.code, kOk) << done.err;
    const std::string after = profiled(path("mine.toml"), "after.csv", "7");
    const auto off = [&](std::string_view column, bool idle) {
      const auto was = column_of(before, column), is = column_of(after, column);
      EXPECT_EQ(was.size(), is.size());
      double sum = 0;
      std::size_t rows = 0;
      for (const auto& [row, number] : was) {
        if ((row[0] == '0') != idle) continue;
        sum += std::abs(is.at(row) / number - 1);
        ++rows;
      }
      EXPECT_GE(rows, 30U);
      return sum / static_cast<double>(rows);
    };
    EXPECT_LT(off("latency_s", false), 0.01) << "means of some 30 runs whose noise is 2 %";
    EXPECT_LT(off("power_w", false), 0.02) << "means of 30 readings whose noise is up to 5 %";
    EXPECT_LT(off("power_w", true), 0.02);
  }
}

struct Bad {
  const char* what;
  std::string csv;
  std::vector<std::string> more;
  const char* says;
};

TEST_F(BoardFitCommand, BadInputIsOneLineAndWritesNothing) {
  const std::vector<Bad> all = {
      {"no frequency", "mapping,latency_s\na57x1,0.1\n", {}, "no frequency"},
      {"missing column", kGood, {"--columns", "latency_s=Latency"}, "'Latency' is missing"},
      {"unknown column", kGood, {"--columns", "speed=power_w"}, "no column 'speed'"},
      {"no pair", kGood, {"--columns", "latency_s"}, "is not OURS=THEIRS"},
      {"text", kHeader + "a57x1,921600,fast,1,1e6\n", {}, "'fast' is not a finite number"},
      {"negative", kHeader + "a57x1,921600,-1,1,1e6\n", {}, "is not above 0"},
      {"not a number", kHeader + "a57x1,921600,nan,1,1e6\n", {}, "'nan' is not a finite number"},
      {"thousandths of a degree",
       "mapping,freq_khz,power_w,busy_cores,temperature_c\na57x1,921600,2.5,1,45000\n",
       {},
       "no chip runs at 45000 C"},
      {"more cores than there are",
       "mapping,freq_khz,power_w,busy_cores\na57x1,921600,2.5,9\n",
       {},
       "busy_cores 9, but cluster a57 has 4"},
      {"zero batch", "mapping,freq_khz,latency_s,batch\na57x1,921600,0.1,0\n", {}, "is not at least 1"},
      {"short row", kHeader + "a57x1,921600\n", {}, "2 cells where the header has 5"},
      {"unknown mapping", kHeader + "npu,921600,1,1,1e6\n", {}, "no mapping 'npu'"},
      {"no mapping", "freq_khz,latency_s\n921600,1\n", {}, "no mapping is named"},
      {"unknown rail", kGood, {"--rail", "usb"}, "no rail 'usb'"},
      {"unknown frequency", kHeader + "a57x1,5,1,1,1e6\n", {}, "does not run at 5 kHz"},
      {"a round frequency", kHeader + "a57x1,200000,1,1,1e6\n", {}, "does not run at 200000 kHz"},
      {"nothing in the row", "mapping,freq_khz,latency_s\na57x1,921600,\n", {}, "neither latency nor power"},
      {"power of what", "mapping,freq_khz,power_w\na57x1,921600,1\n", {}, "without latency or busy_cores"},
      {"too few rows", "mapping,freq_khz,power_w,busy_cores\na57x1,921600,2.5,1\n", {}, "too few rows"},
      {"energy in another unit",
       "mapping,freq_khz,latency_s,power_w,energy_j\na57x1,921600,0.1,2,200\n",
       {},
       "bad.csv:2: power x latency is 0.2 J, but the energy is 200 J; mend the unit of one"},
      {"semicolons", "mapping;freq_khz;latency_s\na57x1;921600;0,1\n", {}, "bad.csv:1: cells are separated by ';'"},
      {"no rows", kHeader, {}, "bad.csv: no rows: nothing stands behind the header line; a header of columns"},
      {"filtered away", kGood, {"--where", "mapping=gpu"}, "no rows that --where lets through"},
      {"filter by nothing", kGood, {"--where", "device=NX"}, "'device' is missing"},
      {"hold out", kGood, {"--hold-out", "half"}, "'half' is no way"},
      {"unknown workload",
       "mapping,freq_khz,latency_s\na57x1,921600,0.07\na57x1,518400,0.12\na57x1,204000,0.3\n",
       {},
       "what one image costs is not known"},
      {"no board", kGood, {"--board", "nowhere"}, "nowhere"},
      {"no board file", kGood, {"--board", "host"}, "'reins board --write FILE'"}};
  for (const Bad& bad : all) {
    SCOPED_TRACE(bad.what);
    const std::string out = path("out.toml");
    std::vector<std::string> words = {"--data", put("bad.csv", bad.csv), "--out", out};
    if (!std::string_view(bad.what).starts_with("no board")) words.insert(words.end(), {"--board", "jetson-nano"});
    words.insert(words.end(), bad.more.begin(), bad.more.end());
    const Outcome done = fit(words);
    EXPECT_EQ(done.code, kBadInput) << done.out;
    EXPECT_THAT(done.err, HasSubstr(bad.says));
    EXPECT_EQ(std::count(done.err.begin(), done.err.end(), '\n'), 1) << done.err;
    EXPECT_FALSE(fs::exists(out));
  }
}

}  // namespace
}  // namespace reins::apps
