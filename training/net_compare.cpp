#include "training/net_compare.hpp"

#include <torch/torch.h>

#include <algorithm>

#include "core/csv.hpp"
#include "core/file.hpp"
#include "inference/network_file.hpp"
#include "inference/torch/group_module.hpp"
#include "training/net_families.hpp"
#include "training/net_loop.hpp"
#include "training/rivals.hpp"

namespace reins::training {
namespace {

using inference::GroupArchitecture;

constexpr double kFloatBytes = 4;

struct RowText {
  NetRow row;
  std::string_view name, title;
};
constexpr std::array kTexts{
    RowText{NetRow::kIncremental, "incremental",
            "one weight set; groups in turn, those before frozen, each from the weights of the one before"},
    RowText{NetRow::kPruned, "pruned", "one weight set; all groups trained at once, groups dropped afterwards"},
    RowText{NetRow::kStaticGroups, "static-groups", "a network per level, of the level's own groups"},
    RowText{NetRow::kStatic, "static", "a network per level, dense, of the level's cost"},
    RowText{NetRow::kSlimmable, "slimmable",
            "one weight set; the first channels of each dense layer, batch norm per width"},
    RowText{NetRow::kEarlyExit, "early-exit", "one weight set; a chain of convolutions with a classifier per level"},
};

const RowText& text_of(NetRow row) { return kTexts[static_cast<std::size_t>(row)]; }

Result<std::vector<GroupArchitecture>> static_architectures(NetRow row, const GroupArchitecture& groups) {
  std::vector<GroupArchitecture> architectures;
  for (std::int64_t level = 0; level < groups.groups; ++level) {
    GroupArchitecture of_level = groups;
    of_level.groups = level + 1;
    if (row == NetRow::kStatic) {
      REINS_ASSIGN(of_level, dense_of(groups, level));
    }
    architectures.push_back(std::move(of_level));
  }
  return architectures;
}

Result<Trainee> make_trainee(NetRow row, const NetTrainConfig& training) {
  const GroupArchitecture& groups = training.architecture;
  switch (row) {
    case NetRow::kIncremental:
      return incremental_family(groups, training.own_loss, nullptr);
    case NetRow::kPruned:
      return pruned_family(groups);
    case NetRow::kStaticGroups:
    case NetRow::kStatic: {
      REINS_ASSIGN(const auto architectures, static_architectures(row, groups));
      return static_family(architectures);
    }
    case NetRow::kSlimmable: {
      REINS_ASSIGN(const auto architecture, SlimmableArchitecture::of(groups));
      return slimmable_family(architecture);
    }
    case NetRow::kEarlyExit:
      break;
  }
  REINS_ASSIGN(const auto architecture, EarlyExitArchitecture::of(groups));
  return early_exit_family(architecture);
}

bool has_engine(NetRow row) { return row != NetRow::kSlimmable && row != NetRow::kEarlyExit; }

/// Where the networks lie that our engines run.
std::vector<std::filesystem::path> network_files(NetRow row, const std::filesystem::path& folder, std::int64_t levels) {
  if (!has_engine(row)) return {};
  if (row == NetRow::kIncremental || row == NetRow::kPruned) return {folder / "network.rnet"};
  std::vector<std::filesystem::path> files;
  for (std::int64_t level = 1; level <= levels; ++level) {
    files.push_back(folder / ("level" + std::to_string(level) + ".rnet"));
  }
  return files;
}

class Comparison {
 public:
  Comparison(const NetCompareConfig& config, TrainingImages images,
             const std::function<bool(const NetCompareProgress&)>& progress)
      : config_(config), images_(std::move(images)), progress_(progress) {
    result_.dataset_title = images_.train.title;
    result_.provenance = images_.train.provenance;
    result_.training_images = images_.train.size();
    result_.validation_images = images_.validation.size();
    result_.training = config.training;
  }

  /// What is there already, and what is to be trained. Nothing is trained where anything is wrong with either.
  Status look() {
    bool anything = false;
    for (const NetRow row : kNetRows) {
      const bool wanted = std::find(config_.rows.begin(), config_.rows.end(), row) != config_.rows.end();
      std::error_code ignored;
      const bool finished = std::filesystem::exists(result_path(row), ignored);
      const bool begun = finished || std::filesystem::exists(folder_of(row) / "checkpoint.pt", ignored);
      anything = anything || begun;
      if (wanted && begun && !config_.training.resume) {
        return fail(ErrorKind::kUsage, "a comparison has left this row here", folder_of(row).string(),
                    "go on with --resume, or take another --out");
      }
      if (!wanted && !finished) continue;
      REINS_ASSIGN(ComparedRow described, describe_row(row, config_.training, images_.train.size()));
      if (finished) {
        REINS_TRY(read_result(described));
        REINS_TRY(add(std::move(described)));
      } else {
        total_macs_ += described.training_macs;
        to_train_.push_back(std::move(described));
      }
    }
    if (config_.training.resume && !anything) {
      return fail(ErrorKind::kNotFound, "there is no comparison to go on from", config_.training.out_folder.string(),
                  "leave out --resume to begin");
    }
    return {};
  }

  Status train() {
    for (ComparedRow& row : to_train_) {
      REINS_TRY(train_row(row));
      before_macs_ += row.training_macs;
      REINS_TRY(add(std::move(row)));
      REINS_TRY(write());
    }
    return {};
  }

  Status write() const {
    const auto& folder = config_.training.out_folder;
    REINS_TRY(write_file_atomic(folder / "comparison.txt", comparison_text(result_)));
    REINS_TRY(write_file_atomic(folder / "comparison.csv", comparison_csv(result_)));
    return write_file_atomic(folder / "comparison.json", comparison_json(result_));
  }

  NetComparison take() { return std::move(result_); }

 private:
  std::filesystem::path folder_of(NetRow row) const { return config_.training.out_folder / name_of(row); }
  std::filesystem::path result_path(NetRow row) const { return folder_of(row) / "result.csv"; }

  std::string identity(NetRow row) const {
    return identity_of(config_.training, images_.train) + " epochs=" + std::to_string(config_.training.epochs) +
           (config_.training.bfloat16 ? " bfloat16" : " float32") + " row=" + std::string(name_of(row));
  }

  Status add(ComparedRow row) {
    const auto files = network_files(row.row, folder_of(row.row), static_cast<std::int64_t>(row.levels.size()));
    if (!files.empty()) {
      REINS_ASSIGN(row.switch_time, measure_switch(files));
    }
    const auto& groups = config_.training.architecture;
    REINS_ASSIGN(const Trainee untrained, make_trainee(row.row, config_.training));
    row.libtorch_switch_s =
        measure_libtorch_switch(*untrained.family, groups.groups, {1, groups.channels, groups.size, groups.size});
    result_.rows.push_back(std::move(row));
    std::sort(result_.rows.begin(), result_.rows.end(),
              [](const ComparedRow& a, const ComparedRow& b) { return a.row < b.row; });
    return {};
  }

  Status train_row(ComparedRow& row) {
    const NetTrainConfig& training = config_.training;
    const torch::Device device = prepare_libtorch(training);
    const Scaling scaling = scaling_of(images_.train);
    REINS_ASSIGN(Trainee trainee, make_trainee(row.row, training));
    trainee.family->module().to(device);
    NetLoop loop(training, folder_of(row.row), *trainee.family, images_, scaling, identity(row.row),
                 [&](const NetTrainProgress& at) { return report(row, at); });
    REINS_TRY(loop.start());
    REINS_TRY(loop.train());

    // The test images, read here for the first time.
    REINS_ASSIGN(const data::ImageSet test,
                 data::load_images(training.dataset, training.data_folder, data::Split::kTest, training.seed));
    const auto top1 = [&](std::size_t level, const data::ImageSet& images) {
      return accuracy_of(
          trainee.family->module(),
          [&](const torch::Tensor& x) { return trainee.family->logits(x, static_cast<std::int64_t>(level)); }, images,
          scaling);
    };
    for (std::size_t level = 0; level < row.levels.size(); ++level) {
      row.levels[level].validation_accuracy = top1(level, images_.validation);
      row.levels[level].accuracy = top1(level, test);
    }
    REINS_TRY(write_networks(row, trainee, test, scaling));
    REINS_TRY(write_result(row));
    loop.log("test: " + test.title + " (" + test.provenance + "), " + std::to_string(test.size()) +
             " images, float32 weights, libtorch");
    return {};
  }

  Status write_networks(const ComparedRow& row, Trainee& trainee, const data::ImageSet& test, const Scaling& scaling) {
    const auto files = network_files(row.row, folder_of(row.row), static_cast<std::int64_t>(row.levels.size()));
    for (std::size_t i = 0; i < files.size(); ++i) {
      inference::GroupModule& module = trainee.networks[i];
      std::string name = config_.training.dataset + "-" + std::string(name_of(row.row));
      if (files.size() > 1) name += "-" + std::to_string(i + 1);
      auto network = inference::describe(module->architecture(), name, test.name, test.title);
      network.notes["training"] = identity(row.row);
      network.notes["row"] = title_of(row.row);
      network.notes["test_data"] = test.provenance;
      auto& levels = network.facts.levels;
      for (std::size_t level = 0; level < levels.size(); ++level) {
        if (files.size() == 1) {
          levels[level].accuracy = row.levels[level].accuracy;
        } else if (level + 1 == levels.size()) {
          levels[level].accuracy = row.levels[i].accuracy;
        } else {  // a level of a static network that nobody trained it for
          levels[level].accuracy = accuracy_of(
              *module, [&](const torch::Tensor& x) { return module->forward(x, static_cast<std::int64_t>(level)); },
              test, scaling);
        }
      }
      REINS_TRY(inference::write_network(files[i], network, fold(*module, scaling.mean, scaling.stddev),
                                         inference::WeightType::kFloat32));
    }
    return {};
  }

  Status write_result(const ComparedRow& row) const {
    std::string text = "# " + identity(row.row) + "\nlevel,validation_accuracy,accuracy\n";
    for (std::size_t i = 0; i < row.levels.size(); ++i) {
      text += std::to_string(i + 1) + "," + format_number(row.levels[i].validation_accuracy) + "," +
              format_number(row.levels[i].accuracy) + "\n";
    }
    return write_file_atomic(result_path(row.row), text);
  }

  Status read_result(ComparedRow& row) const {
    const std::string where = result_path(row.row).string();
    REINS_ASSIGN(const CsvTable table, CsvTable::read(where));
    if (table.comments().empty() || table.comments().front() != identity(row.row)) {
      return fail(ErrorKind::kMismatch, "a row made with other options", where,
                  "give the same options (its first line has them), or take another --out");
    }
    if (table.rows() != row.levels.size()) {
      return fail(ErrorKind::kGarbled, "a result with another number of levels", where,
                  "remove the file and go on with --resume");
    }
    for (std::size_t i = 0; i < table.rows(); ++i) {
      REINS_ASSIGN(row.levels[i].validation_accuracy, table.number(i, "validation_accuracy"));
      REINS_ASSIGN(row.levels[i].accuracy, table.number(i, "accuracy"));
      for (const double accuracy : {row.levels[i].validation_accuracy, row.levels[i].accuracy}) {
        if (accuracy < 0 || accuracy > 1) {
          return fail(ErrorKind::kGarbled, "an accuracy that is not within 0 to 1", table.place(i),
                      "remove the file and go on with --resume");
        }
      }
    }
    return {};
  }

  /// Turns a row's progress into that of all rows, by the multiply-accumulates that each trains with.
  bool report(const ComparedRow& row, NetTrainProgress at) {
    if (!progress_) return true;
    if (at.eta_s > 0 && at.done < 1) macs_per_s_ = row.training_macs * (1 - at.done) / at.eta_s;
    const double done_macs = before_macs_ + at.done * row.training_macs;
    at.done = done_macs / total_macs_;
    at.eta_s = macs_per_s_ > 0 ? (total_macs_ - done_macs) / macs_per_s_ : 0;
    return progress_({.row = row.row, .at = at});
  }

  const NetCompareConfig& config_;
  TrainingImages images_;
  const std::function<bool(const NetCompareProgress&)>& progress_;
  NetComparison result_;
  std::vector<ComparedRow> to_train_;
  double total_macs_ = 0;
  double before_macs_ = 0;  // of the rows that this call has finished
  double macs_per_s_ = 0;
};

}  // namespace

std::string_view name_of(NetRow row) noexcept { return text_of(row).name; }
std::string_view title_of(NetRow row) noexcept { return text_of(row).title; }

Result<std::vector<NetRow>> parse_net_rows(std::string_view text) {
  if (text.empty()) return std::vector<NetRow>(kNetRows.begin(), kNetRows.end());
  std::vector<NetRow> rows;
  while (true) {
    const std::string_view name = text.substr(0, text.find(','));
    const auto* found = std::find_if(kTexts.begin(), kTexts.end(), [&](const RowText& t) { return t.name == name; });
    if (found == kTexts.end()) {
      std::string known;
      for (const RowText& t : kTexts) known += (known.empty() ? "known: " : ", ") + std::string(t.name);
      return fail(ErrorKind::kUsage, "'" + std::string(name) + "' is no row of the comparison", "--only", known);
    }
    if (std::find(rows.begin(), rows.end(), found->row) != rows.end()) {
      return fail(ErrorKind::kUsage, "'" + std::string(name) + "' stands twice", "--only", "name each row once");
    }
    rows.push_back(found->row);
    if (name.size() == text.size()) return rows;
    text.remove_prefix(name.size() + 1);
  }
}

Result<ComparedRow> describe_row(NetRow row, const NetTrainConfig& training, std::size_t training_images) {
  const GroupArchitecture& groups = training.architecture;
  ComparedRow described;
  described.row = row;
  described.levels.resize(static_cast<std::size_t>(groups.groups));
  const auto level_of = [&](std::int64_t level) -> ComparedLevel& {
    return described.levels[static_cast<std::size_t>(level)];
  };
  const auto take_levels = [&](const auto& architecture) {
    for (std::int64_t level = 0; level < groups.groups; ++level) {
      level_of(level).macs = architecture.macs(level);
      level_of(level).parameters = architecture.parameters(level);
    }
    described.resident_bytes = kFloatBytes * architecture.resident_parameters();
  };
  if (row == NetRow::kSlimmable) {
    REINS_ASSIGN(const auto architecture, SlimmableArchitecture::of(groups));
    take_levels(architecture);
  } else if (row == NetRow::kEarlyExit) {
    REINS_ASSIGN(const auto architecture, EarlyExitArchitecture::of(groups));
    take_levels(architecture);
  } else {
    REINS_ASSIGN(const auto architectures, static_architectures(row, groups));
    const bool separate = row == NetRow::kStatic || row == NetRow::kStaticGroups;
    described.models = separate ? static_cast<int>(groups.groups) : 1;
    for (std::int64_t level = 0; level < groups.groups; ++level) {
      const GroupArchitecture& a = architectures[static_cast<std::size_t>(level)];
      level_of(level).macs = a.macs_of_level(a.groups - 1);
      level_of(level).parameters = a.parameters_of_level(a.groups - 1);
      const double bytes = kFloatBytes * level_of(level).parameters;
      described.resident_bytes = separate ? described.resident_bytes + bytes : bytes;
    }
  }
  REINS_ASSIGN(const Trainee trainee, make_trainee(row, training));
  const auto steps = training_images / static_cast<std::size_t>(training.batch);
  const auto images = static_cast<double>(steps * static_cast<std::size_t>(training.batch));
  for (const Part& part : trainee.family->parts()) described.training_macs += part.macs * images * training.epochs;
  return described;
}

Result<NetComparison> compare_networks(const NetCompareConfig& config,
                                       const std::function<bool(const NetCompareProgress&)>& progress) {
  REINS_TRY(config.training.validate());
  if (config.training.architecture.groups < 2) {
    return fail(ErrorKind::kUsage, "a comparison takes two levels or more", "--groups", "give 2 to 8");
  }
  if (!config.training.name.empty() || !config.training.teacher.empty()) {
    return fail(ErrorKind::kUsage, "a name and a teacher are for one network", "comparison", "leave them out");
  }
  if (config.rows.empty()) return fail(ErrorKind::kUsage, "no row to train", "--only", "name one");
  REINS_ASSIGN(TrainingImages images, load_training_images(config.training));
  try {
    Comparison comparison(config, std::move(images), progress);
    REINS_TRY(comparison.look());
    REINS_TRY(comparison.train());
    REINS_TRY(comparison.write());
    return comparison.take();
  } catch (const std::exception& problem) {
    return fail(from_libtorch(problem));
  }
}

}  // namespace reins::training
