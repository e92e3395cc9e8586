#include "evaluation/json.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/evaluation/made_up.hpp"

namespace reins::evaluation {
namespace {

TEST(EvaluationJson, HoldsEveryRowOfEveryCell) {
  const Evaluation evaluation = testing::made_up_evaluation();
  const auto json = nlohmann::json::parse(evaluation_json(evaluation));
  EXPECT_EQ(json["schema"], 1);
  EXPECT_EQ(json["board"]["emulated"], true);
  EXPECT_EQ(json["board"]["accounting_rails"], (std::vector<std::string>{"big", "little"}));
  ASSERT_EQ(json["cells"].size(), evaluation.cells.size());
  for (std::size_t c = 0; c < evaluation.cells.size(); ++c) {
    ASSERT_EQ(json["cells"][c]["rows"].size(), evaluation.cells[c].rows.size());
    for (std::size_t r = 0; r < evaluation.cells[c].rows.size(); ++r) {
      const auto& row = json["cells"][c]["rows"][r];
      EXPECT_EQ(row["name"], evaluation.cells[c].rows[r].name);
      EXPECT_EQ(row["energy_per_offered_j"], evaluation.cells[c].rows[r].energy_per_offered_j);
      EXPECT_EQ(row["miss_rate"], evaluation.cells[c].rows[r].miss_rate);
    }
  }
}

TEST(EvaluationJson, WritesASpreadOnlyOverSeveralPolicies) {
  const auto json = nlohmann::json::parse(evaluation_json(testing::made_up_evaluation()));
  for (const auto& row : json["summary"]) {
    const auto& energy = row["energy_per_offered_j"];
    if (row["name"] == "learned (2 seeds)") {
      EXPECT_EQ(energy["n"], 2);
      EXPECT_GT(energy["stddev"], 0.0);
    } else {
      EXPECT_TRUE(energy.is_number()) << row["name"];
    }
  }
}

TEST(EvaluationJson, SaysNothingOfTheLatencyOfWhatWasNotServed) {
  Evaluation evaluation = testing::made_up_evaluation();
  evaluation.cells[0].rows[0].served = 0;
  const auto json = nlohmann::json::parse(evaluation_json(evaluation));
  const auto& row = json["cells"][0]["rows"][0];
  for (const char* key : {"energy_per_served_j", "latency_p50_s", "latency_p99_s", "mean_accuracy", "floor_kept"}) {
    EXPECT_TRUE(row.at(key).is_null()) << key << " " << row.at(key);
    EXPECT_TRUE(json["cells"][0]["rows"][1].at(key).is_number()) << key;
  }
  EXPECT_TRUE(row.at("energy_per_offered_j").is_number());
  EXPECT_TRUE(row.at("miss_rate").is_number());
}

TEST(EvaluationJson, SurvivesNamesThatAreNoUtf8) {
  Evaluation evaluation = testing::made_up_evaluation();
  evaluation.learned = {"a\xff"};
  evaluation.cells[0].rows[6].name = "a\xff";
  EXPECT_NO_THROW(EXPECT_TRUE(nlohmann::json::accept(evaluation_json(evaluation))));
}

}  // namespace
}  // namespace reins::evaluation
