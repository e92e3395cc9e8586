#include "evaluation/table.hpp"

#include <gtest/gtest.h>

#include "evaluation/table_report.hpp"
#include "tests/evaluation/made_up.hpp"
#include "tests/support/matchers.hpp"

namespace reins::evaluation {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Table, AlignsColumnsByCodePointsAndPutsShortTitlesOnTheLastLine) {
  Table table({{"policy", Align::kLeft}, {"energy\nmJ"}});
  table.add({"a", "1.0 ±0.2"});
  table.rule();
  table.add({"longer", "12.5"});
  EXPECT_EQ(table.text(),
            "          energy\n"
            "policy        mJ\n"
            "----------------\n"
            "a       1.0 ±0.2\n"
            "----------------\n"
            "longer      12.5\n");
  EXPECT_EQ(table.rows(), 2U);
}

TEST(Table, DropsSurplusCellsAndLeavesMissingOnesEmpty) {
  Table table({{"a"}, {"b"}});
  table.add({"1", "2", "3"});
  table.add({"4"});
  EXPECT_EQ(table.text(), "a  b\n----\n1  2\n4\n");
}

TEST(Table, EscapesTextInHtml) {
  Table table({{"<b>"}});
  table.add({"a & \"b\""});
  EXPECT_THAT(table.html(), HasSubstr("&lt;b&gt;"));
  EXPECT_THAT(table.html(), HasSubstr("a &amp; &quot;b&quot;"));
}

TEST(Fixed, HasNoNegativeZeroAndShowsWhatIsNoNumberAsADash) {
  EXPECT_EQ(fixed(-0.0001, 2), "0.00");
  EXPECT_EQ(fixed(-0.26, 1), "-0.3");
  EXPECT_EQ(fixed(1234.5678, 1), "1234.6");
  EXPECT_EQ(fixed(std::nan(""), 1), "-");
}

TEST(EvaluationText, SaysThatTheBoardIsEmulatedAndProvisionalAndNamesTheRails) {
  const std::string text = evaluation_text(testing::made_up_evaluation(), false);
  EXPECT_THAT(text, HasSubstr("EMULATED"));
  EXPECT_THAT(text, HasSubstr("provisional; assumed: all of it"));
  EXPECT_THAT(text, HasSubstr("rails big + little"));
}

TEST(EvaluationText, ClaimsNoEnergyWhereNoRailIsCounted) {
  Evaluation evaluation = testing::made_up_evaluation();
  evaluation.accounting_rails.clear();
  EXPECT_THAT(evaluation_text(evaluation, false), HasSubstr("no energy is claimed"));
}

TEST(EvaluationText, ShowsEveryCellAndEveryRowOnlyWhenAsked) {
  const Evaluation evaluation = testing::made_up_evaluation();
  EXPECT_EQ(cells_table(evaluation).rows(), 3U);
  EXPECT_THAT(evaluation_text(evaluation, false), Not(HasSubstr("schedutil/all-big full")));
  EXPECT_THAT(evaluation_text(evaluation, true), HasSubstr("schedutil/all-big full"));
}

TEST(EvaluationText, PrintsFiguresThatFollowFromTheCells) {
  Evaluation evaluation = testing::made_up_evaluation();
  evaluation.cells.resize(1);
  // Cell 1: a saves 60 %, b 40 % against schedutil (1.0 J): mean 50, deviation 14.1; the oracle 65 %.
  const std::string text = cells_table(evaluation).text();
  EXPECT_THAT(text, HasSubstr("50.0 ±14.1"));
  EXPECT_THAT(text, HasSubstr("65.0"));
  EXPECT_THAT(text, HasSubstr("500.0 ±141.4"));
}

TEST(EvaluationText, SaysNothingOfLatencyAndAccuracyWhereNothingWasServed) {
  Evaluation evaluation = testing::made_up_evaluation();
  evaluation.cells.resize(2);
  const auto line_of_pareto = [&evaluation] {
    const std::string text = summary_table(evaluation, false).text();
    const std::size_t at = text.find("\npareto ") + 1;
    return text.substr(at, text.find('\n', at) - at);
  };
  const auto serves_nothing = [](CellResult& cell) {
    for (Row& row : cell.rows) {
      if (row.name == "pareto") row.served = row.p50_s = row.p95_s = row.p99_s = row.mean_accuracy = 0;
    }
  };
  serves_nothing(evaluation.cells[0]);
  EXPECT_THAT(line_of_pareto(), HasSubstr(" 75.00")) << "of the cell where it served";
  serves_nothing(evaluation.cells[1]);
  EXPECT_THAT(line_of_pareto(), ::testing::ContainsRegex("- +- +- +- +- +- ")) << "three latencies, three accuracies";
}

TEST(EvaluationText, SaysThatTheOracleIsMyopic) {
  EXPECT_THAT(evaluation_text(testing::made_up_evaluation(), false),
              HasSubstr("(myopic), so that in a few cells a policy needs a little less"));
}

TEST(EvaluationText, LeavesLearnedColumnsOutWithoutAPolicy) {
  Evaluation evaluation = testing::made_up_evaluation();
  evaluation.learned.clear();
  EXPECT_THAT(cells_table(evaluation).text(), Not(HasSubstr("learned")));
}

}  // namespace
}  // namespace reins::evaluation
