#include "training/net_config.hpp"

#include <sstream>

namespace reins::training {

void fill_defaults(NetTrainConfig& config) {
  if (config.dataset != "synthetic") return;
  config.architecture.stages = {{8, true}, {16, true}, {32, true}};
  config.epochs = 8;
  config.batch = 64;
}

Status NetTrainConfig::validate() const {
  REINS_TRY(architecture.validate());
  const auto usage = [](std::string_view option, std::string_view range) {
    return fail(ErrorKind::kUsage, "out of range", option, range);
  };
  if (family != "group") {
    return fail(ErrorKind::kUsage, "'" + family + "' is no family that is trained to be shipped", "--family",
                "known: group; 'reins net compare' trains its rivals");
  }
  if (epochs < 1 || epochs > 1000) return usage("--epochs", "give 1 to 1000");
  if (batch < 2 || batch > 4096) return usage("--batch", "give 2 to 4096");
  if (!(learning_rate > 0 && learning_rate <= 10)) return usage("--learning-rate", "give a number above 0, up to 10");
  if (!(momentum >= 0 && momentum < 1)) return usage("--momentum", "give 0 up to below 1");
  if (!(weight_decay >= 0 && weight_decay <= 1)) return usage("--weight-decay", "give 0 to 1");
  if (!(own_loss >= 0 && own_loss <= 10)) return usage("--own-loss", "give 0 to 10");
  if (!(distil > 0 && distil <= 1)) return usage("--distil", "give a number above 0, up to 1");
  if (threads < 1 || threads > 256) return usage("--threads", "give 1 to 256");
  if (out_folder.empty()) return usage("--out", "give the folder for the network, its answers and its log");
  return {};
}

std::string identity_of(const NetTrainConfig& c, const data::ImageSet& images) {
  std::ostringstream text;
  text << images.name << " images=" << images.size() << " groups=" << c.architecture.groups
       << " stages=" << format_stages(c.architecture.stages) << " batch=" << c.batch << " lr=" << c.learning_rate
       << " momentum=" << c.momentum << " decay=" << c.weight_decay << " own_loss=" << c.own_loss
       << " augment=" << c.augment << " seed=" << c.seed;
  return text.str();
}

Result<TrainingImages> load_training_images(const NetTrainConfig& config) {
  TrainingImages images;
  REINS_ASSIGN(images.train,
               data::load_images(config.dataset, config.data_folder, data::Split::kTrain, config.seed, config.images));
  REINS_ASSIGN(images.validation,
               data::load_images(config.dataset, config.data_folder, data::Split::kValidation, config.seed));
  if (images.train.size() < static_cast<std::size_t>(config.batch)) {
    return fail(ErrorKind::kUsage, "a batch is larger than the training set", "--batch");
  }
  return images;
}

}  // namespace reins::training
