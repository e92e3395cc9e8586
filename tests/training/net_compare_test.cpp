// The comparison as a whole, on few synthetic images.
#include "training/net_compare.hpp"

#include <unistd.h>

#include <nlohmann/json.hpp>

#include "core/csv.hpp"
#include "core/file.hpp"
#include "inference/answers.hpp"
#include "inference/engines.hpp"
#include "inference/network_file.hpp"
#include "tests/support/matchers.hpp"

namespace reins::training {
namespace {

namespace fs = std::filesystem;
using ::reins::testing::IsError;
using ::testing::AllOf;
using ::testing::HasSubstr;

class NetCompare : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("reins-compare-" + std::to_string(::getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  NetCompareConfig config(const std::string& out) const {
    NetCompareConfig c;
    c.training.dataset = "synthetic";
    c.training.out_folder = folder_ / out;
    c.training.architecture.groups = 2;
    c.training.architecture.stages = {{4, true}, {8, true}, {8, true}};
    c.training.epochs = 2;
    c.training.batch = 64;
    c.training.images = 256;
    c.training.threads = 1;  // sums in one order: runs can be compared bit by bit
    c.training.gpu = false;  // the same
    return c;
  }
  std::string bytes(const fs::path& path) const {
    auto content = read_file(folder_ / path);
    EXPECT_OK(content);
    return content.value_or("");
  }

  fs::path folder_;
};

TEST_F(NetCompare, PutsEveryFamilySideBySide) {
  const NetCompareConfig c = config("all");
  double last_done = 0;
  const auto result = compare_networks(c, [&](const NetCompareProgress& now) {
    EXPECT_GE(now.at.done, last_done);
    EXPECT_GE(now.at.eta_s, 0);
    last_done = now.at.done;
    return true;
  });
  ASSERT_OK(result);
  EXPECT_NEAR(last_done, 1, 1e-9);
  ASSERT_EQ(result->rows.size(), kNetRows.size());
  for (std::size_t i = 0; i < kNetRows.size(); ++i) EXPECT_EQ(result->rows[i].row, kNetRows[i]);

  // Text: the rows in their order, and what cannot be measured said.
  const std::string text = bytes("all/comparison.txt");
  EXPECT_EQ(text, comparison_text(*result));
  std::size_t at = 0;
  for (const NetRow row : kNetRows) {
    const std::size_t next = text.find("\n" + std::string(name_of(row)) + " ", at);
    ASSERT_NE(next, std::string::npos) << name_of(row);
    at = next;
  }
  EXPECT_THAT(text, AllOf(HasSubstr("2 epochs for every weight of every row"), HasSubstr("256 training"),
                          HasSubstr("not run by an engine of ours: slimmable, early-exit")));

  // CSV: a line per level, costs rising with the level, empty where nothing was measured.
  const auto csv = CsvTable::parse(bytes("all/comparison.csv"), "comparison.csv");
  ASSERT_OK(csv);
  ASSERT_EQ(csv->rows(), 12U);
  for (std::size_t r = 0; r < csv->rows(); ++r) {
    const NetRow row = kNetRows[r / 2];
    EXPECT_EQ(csv->text(r, "family").value(), name_of(row));
    EXPECT_EQ(csv->integer(r, "level").value(), static_cast<long long>(r % 2 + 1));
    EXPECT_EQ(csv->number(r, "accuracy").value(), result->rows[r / 2].levels[r % 2].accuracy);
    if (r % 2 == 1) {
      EXPECT_GT(csv->number(r, "macs").value(), csv->number(r - 1, "macs").value());
    }
    const bool engine = row != NetRow::kSlimmable && row != NetRow::kEarlyExit;
    EXPECT_EQ(csv->present(r, "switch_s"), engine) << name_of(row);
    EXPECT_EQ(csv->number(r, "libtorch_switch_s").value(), result->rows[r / 2].libtorch_switch_s);
    EXPECT_EQ(csv->present(r, "load_s"), row == NetRow::kStatic || row == NetRow::kStaticGroups) << name_of(row);
  }

  const auto document = nlohmann::json::parse(bytes("all/comparison.json"));
  EXPECT_EQ(document["epochs"], 2);
  ASSERT_EQ(document["rows"].size(), 6U);
  EXPECT_EQ(document["rows"][3]["models"], 2);
  EXPECT_TRUE(document["rows"][4]["switch_s"].is_null());
  EXPECT_FALSE(document["rows"][4]["run_by_engine"]);
  EXPECT_EQ(document["rows"][4]["libtorch_switch_s"], result->rows[4].libtorch_switch_s);

  // What an engine runs is there to be run, and answers as the table says; one image may turn by rounding.
  const auto test = data::make_synthetic(data::Split::kTest, 1);
  for (const auto& [file, row, level] : {std::tuple{"incremental/network.rnet", 0U, 0U},
                                         {"incremental/network.rnet", 0U, 1U},
                                         {"pruned/network.rnet", 1U, 0U},
                                         {"static-groups/level2.rnet", 2U, 1U},
                                         {"static/level1.rnet", 3U, 0U},
                                         {"static/level2.rnet", 3U, 1U}}) {
    auto engine = inference::open_engine(folder_ / "all" / file);
    ASSERT_OK(engine);
    const auto answers = inference::record_answers(**engine, test);
    ASSERT_OK(answers);
    const std::size_t own = std::min<std::size_t>(level, answers->levels() - 1);
    EXPECT_NEAR(answers->accuracy(LevelId(own)), result->rows[row].levels[level].accuracy, 0.0011) << file;
    EXPECT_EQ((*engine)->facts().levels[own].accuracy, result->rows[row].levels[level].accuracy) << file;
  }

  // Alike: the same recipe, seed and order give a static network of one group the bits of the incremental first group.
  const auto grown = inference::NetworkFile::open(folder_ / "all" / "incremental" / "network.rnet");
  const auto alone = inference::NetworkFile::open(folder_ / "all" / "static-groups" / "level1.rnet");
  ASSERT_OK(grown);
  ASSERT_OK(alone);
  const auto a = grown->weights()->groups[0];
  const auto b = alone->weights()->groups[0];
  for (std::size_t s = 0; s < a.conv_weights.size(); ++s) EXPECT_EQ(a.conv_weights[s].values, b.conv_weights[s].values);
  EXPECT_EQ(a.classifier.values, b.classifier.values);
  EXPECT_EQ(result->rows[0].levels[0].accuracy, result->rows[2].levels[0].accuracy);
}

TEST_F(NetCompare, GoesOnBitForBitWhereverItWasStopped) {
  NetCompareConfig whole = config("whole");
  whole.rows = {NetRow::kStatic, NetRow::kSlimmable};
  ASSERT_OK(compare_networks(whole));
  struct Stop {
    const char* name;
    NetRow row;
    std::int64_t part;
    int epoch;
    bool whole_epoch;
  };
  for (const Stop& at :
       {Stop{"second", NetRow::kStatic, 2, 1, true}, Stop{"middle", NetRow::kSlimmable, 1, 2, false}}) {
    NetCompareConfig c = whole;
    c.training.out_folder = folder_ / at.name;
    const auto stop = [&](const NetCompareProgress& now) {
      return !(now.row == at.row && now.at.part == at.part && now.at.epoch == at.epoch &&
               (now.at.validation_accuracy >= 0) == at.whole_epoch && now.at.batch >= 2);
    };
    EXPECT_THAT(compare_networks(c, stop), IsError(ErrorKind::kGone, HasSubstr("--resume")));
    EXPECT_FALSE(fs::exists(c.training.out_folder / name_of(at.row) / "result.csv"));
    // The rows that were finished by then are in the table.
    EXPECT_EQ(fs::exists(c.training.out_folder / "comparison.csv"), at.row == NetRow::kSlimmable);
    EXPECT_THAT(compare_networks(c), IsError(ErrorKind::kUsage, HasSubstr("--resume")));
    c.training.resume = true;
    ASSERT_OK(compare_networks(c));
    for (const char* file :
         {"static/result.csv", "static/level2.rnet", "slimmable/result.csv", "slimmable/checkpoint.pt"}) {
      EXPECT_EQ(bytes(fs::path(at.name) / file), bytes(fs::path("whole") / file)) << at.name << " " << file;
    }
  }
}

TEST_F(NetCompare, AddsRowsToATableOfThoseThatAreFinished) {
  NetCompareConfig c = config("grows");
  c.rows = {NetRow::kEarlyExit};
  ASSERT_OK(compare_networks(c));
  c.rows = {NetRow::kPruned};
  const auto both = compare_networks(c);
  ASSERT_OK(both);
  ASSERT_EQ(both->rows.size(), 2U);
  EXPECT_EQ(both->rows[0].row, NetRow::kPruned);
  EXPECT_EQ(both->rows[1].row, NetRow::kEarlyExit);
  // What is finished is not trained again, and not with other options either.
  c.training.resume = true;
  const auto again = compare_networks(c, [](const NetCompareProgress&) {
    ADD_FAILURE() << "trained again";
    return false;
  });
  ASSERT_OK(again);
  EXPECT_EQ(again->rows[1].levels[1].accuracy, both->rows[1].levels[1].accuracy);
  c.training.epochs = 3;
  EXPECT_THAT(compare_networks(c), IsError(ErrorKind::kMismatch, HasSubstr("other options")));
  c.training.epochs = 2;
  const fs::path result = c.training.out_folder / "pruned" / "result.csv";
  const std::string first_line =
      bytes("grows/pruned/result.csv").substr(0, bytes("grows/pruned/result.csv").find('\n'));
  ASSERT_OK(write_file_atomic(result, first_line + "\nlevel,validation_accuracy,accuracy\n1,0.5,0.5\n"));
  EXPECT_THAT(compare_networks(c), IsError(ErrorKind::kGarbled, HasSubstr("number of levels")));
  ASSERT_OK(write_file_atomic(result, first_line + "\nlevel,validation_accuracy,accuracy\n1,0.5,0.5\n2,0.5,1.5\n"));
  EXPECT_THAT(compare_networks(c), IsError(ErrorKind::kGarbled, HasSubstr("within 0 to 1")));
}

TEST_F(NetCompare, RefusesWhatMakesNoSense) {
  NetCompareConfig c = config("bad");
  c.training.resume = true;
  EXPECT_THAT(compare_networks(c), IsError(ErrorKind::kNotFound, HasSubstr("no comparison to go on from")));
  c = config("bad");
  c.training.architecture.groups = 1;
  EXPECT_THAT(compare_networks(c), IsError(ErrorKind::kUsage, HasSubstr("--groups")));
  c = config("bad");
  c.training.epochs = 0;
  EXPECT_THAT(compare_networks(c), IsError(ErrorKind::kUsage, HasSubstr("--epochs")));
  c = config("bad");
  c.training.teacher = "teacher.rnet";
  EXPECT_THAT(compare_networks(c), IsError(ErrorKind::kUsage, HasSubstr("one network")));
  EXPECT_FALSE(fs::exists(folder_ / "bad"));
}

TEST(NetRows, AreNamedOnceEach) {
  EXPECT_EQ(parse_net_rows("")->size(), 6U);
  EXPECT_EQ(parse_net_rows("slimmable,pruned").value(), (std::vector{NetRow::kSlimmable, NetRow::kPruned}));
  for (const char* text : {"slimable", "pruned,", ",pruned", "pruned,,static"}) {
    EXPECT_THAT(parse_net_rows(text), IsError(ErrorKind::kUsage, HasSubstr("early-exit"))) << text;
  }
  EXPECT_THAT(parse_net_rows("static,static"), IsError(ErrorKind::kUsage, HasSubstr("twice")));
}

}  // namespace
}  // namespace reins::training
