#include <nlohmann/json.hpp>

#include "core/csv.hpp"
#include "evaluation/table.hpp"
#include "training/net_compare.hpp"

namespace reins::training {
namespace {

using evaluation::Align;
using evaluation::fixed;
using Json = nlohmann::ordered_json;

constexpr double kPercent = 100;
constexpr double kMega = 1e6;
constexpr double kTera = 1e12;
constexpr double kKibi = 1024;
constexpr double kMicro = 1e6;
constexpr double kMilli = 1e3;

std::string training_text(const NetTrainConfig& c) {
  return std::to_string(c.epochs) + " epochs for every weight of every row, batch " + std::to_string(c.batch) +
         ", SGD of peak rate " + format_number(c.learning_rate) + ", momentum " + format_number(c.momentum) +
         ", weight decay " + format_number(c.weight_decay) +
         (c.augment ? ", crops and mirrors, " : ", no augmentation, ") + (c.bfloat16 ? "bfloat16" : "float32") +
         ", seed " + std::to_string(c.seed);
}

}  // namespace

std::string comparison_text(const NetComparison& comparison) {
  std::string text =
      "data      " + comparison.dataset_title + ", " + std::to_string(comparison.training_images) + " training and " +
      std::to_string(comparison.validation_images) + " validation images\n          (" + comparison.provenance +
      ")\ntraining  " + training_text(comparison.training) +
      "\n          of each part the epoch of the best validation accuracy is kept\n"
      "accuracy  top-1 on the test images, read once at a row's end; float32 weights run by libtorch\n\n";
  evaluation::Table table({{"family", Align::kLeft},
                           {"level"},
                           {"accuracy\n%"},
                           {"validation\n%"},
                           {"MMACs"},
                           {"parameters"},
                           {"resident\nKiB"},
                           {"models"},
                           {"switch\nus"},
                           {"libtorch\nus"},
                           {"load\nms"},
                           {"training\nTMACs"}});
  std::string not_run;
  for (std::size_t r = 0; r < comparison.rows.size(); ++r) {
    const ComparedRow& row = comparison.rows[r];
    if (r > 0) table.rule();
    if (!row.switch_time) not_run += (not_run.empty() ? "" : ", ") + std::string(name_of(row.row));
    for (std::size_t i = 0; i < row.levels.size(); ++i) {
      const ComparedLevel& level = row.levels[i];
      std::vector<std::string> cells{i == 0 ? std::string(name_of(row.row)) : "",
                                     std::to_string(i + 1),
                                     fixed(level.accuracy * kPercent, 2),
                                     fixed(level.validation_accuracy * kPercent, 2),
                                     fixed(level.macs / kMega, 3),
                                     fixed(level.parameters, 0)};
      if (i == 0) {  // what the levels of a family share
        const bool loads = row.switch_time && row.switch_time->load_s;
        cells.insert(cells.end(),
                     {fixed(row.resident_bytes / kKibi, 1), std::to_string(row.models),
                      row.switch_time ? fixed(row.switch_time->switch_s * kMicro, 1) : "-",
                      fixed(row.libtorch_switch_s * kMicro, 1),
                      loads ? fixed(*row.switch_time->load_s * kMilli, 2) : "-", fixed(row.training_macs / kTera, 3)});
      }
      table.add(std::move(cells));
    }
  }
  text += table.text() + "\n";
  for (const ComparedRow& row : comparison.rows) {
    std::string name(name_of(row.row));
    name.resize(15, ' ');
    text += name + std::string(title_of(row.row)) + "\n";
  }
  text +=
      "resident: float32 weights of all models that must be there to answer at every level, batch norm folded where "
      "the weights allow it\n"
      "switch: median of the first inference after a change of level less the one behind it, by our engine, all models "
      "in memory, batch 1,\n"
      "  one thread; libtorch: the same where libtorch runs the modules; load: opening and packing one model's file, "
      "where models are\n"
      "  separate; all on this machine, as busy as it was\n"
      "training: multiply-accumulates, a backward pass counted as two forward ones: the same epochs are not the same "
      "work\n";
  if (!not_run.empty()) text += "not run by an engine of ours: " + not_run + "\n";
  return text;
}

std::string comparison_csv(const NetComparison& comparison) {
  std::string text = "# " + comparison.dataset_title + " (" + comparison.provenance + "), " +
                     std::to_string(comparison.training_images) + " training images; " +
                     training_text(comparison.training) +
                     "\n# accuracies: top-1 in 0..1 of float32 weights run by libtorch; switch_s and load_s are empty "
                     "where no engine of ours runs the family\n"
                     "family,level,accuracy,validation_accuracy,macs,parameters,resident_bytes,models,switch_s,"
                     "libtorch_switch_s,load_s,training_macs,epochs\n";
  for (const ComparedRow& row : comparison.rows) {
    for (std::size_t i = 0; i < row.levels.size(); ++i) {
      const ComparedLevel& level = row.levels[i];
      text += std::string(name_of(row.row)) + "," + std::to_string(i + 1) + "," + format_number(level.accuracy) + "," +
              format_number(level.validation_accuracy) + "," + format_number(level.macs) + "," +
              format_number(level.parameters) + "," + format_number(row.resident_bytes) + "," +
              std::to_string(row.models) + "," + (row.switch_time ? format_number(row.switch_time->switch_s) : "") +
              "," + format_number(row.libtorch_switch_s) + "," +
              (row.switch_time && row.switch_time->load_s ? format_number(*row.switch_time->load_s) : "") + "," +
              format_number(row.training_macs) + "," + std::to_string(comparison.training.epochs) + "\n";
    }
  }
  return text;
}

std::string comparison_json(const NetComparison& comparison) {
  const NetTrainConfig& c = comparison.training;
  Json document = {{"schema", 1},
                   {"dataset", c.dataset},
                   {"dataset_title", comparison.dataset_title},
                   {"provenance", comparison.provenance},
                   {"training_images", comparison.training_images},
                   {"validation_images", comparison.validation_images},
                   {"epochs", c.epochs},
                   {"batch", c.batch},
                   {"learning_rate", c.learning_rate},
                   {"momentum", c.momentum},
                   {"weight_decay", c.weight_decay},
                   {"own_loss", c.own_loss},
                   {"augment", c.augment},
                   {"bfloat16", c.bfloat16},
                   {"seed", c.seed},
                   {"groups", c.architecture.groups},
                   {"stages", inference::format_stages(c.architecture.stages)},
                   {"rows", Json::array()}};
  for (const ComparedRow& row : comparison.rows) {
    Json entry = {{"family", name_of(row.row)},
                  {"title", title_of(row.row)},
                  {"models", row.models},
                  {"resident_bytes", row.resident_bytes},
                  {"training_macs", row.training_macs},
                  {"run_by_engine", row.switch_time.has_value()},
                  {"switch_s", nullptr},
                  {"libtorch_switch_s", row.libtorch_switch_s},
                  {"load_s", nullptr},
                  {"levels", Json::array()}};
    if (row.switch_time) {
      entry["switch_s"] = row.switch_time->switch_s;
      if (row.switch_time->load_s) entry["load_s"] = *row.switch_time->load_s;
    }
    for (const ComparedLevel& level : row.levels) {
      entry["levels"].push_back({{"level", entry["levels"].size() + 1},
                                 {"accuracy", level.accuracy},
                                 {"validation_accuracy", level.validation_accuracy},
                                 {"macs", level.macs},
                                 {"parameters", level.parameters}});
    }
    document["rows"].push_back(std::move(entry));
  }
  return document.dump(2) + "\n";
}

}  // namespace reins::training
