#include "inference/answers.hpp"

#include <algorithm>

#include "core/file.hpp"
#include "core/pack.hpp"

namespace reins::inference {
namespace {

constexpr std::int64_t kSchema = 1;
constexpr std::string_view kFormat = "reins-answers";
constexpr std::string_view kRecordAgain = "record the answers again with reins net eval --record";

std::uint32_t checksum(const std::vector<std::uint8_t>& labels,
                       const std::vector<std::vector<std::uint8_t>>& predicted) {
  std::string all(labels.begin(), labels.end());
  for (const auto& level : predicted) all.append(level.begin(), level.end());
  return crc32(all);
}

Value binary(const std::vector<std::uint8_t>& bytes) { return Value::Binary{std::string(bytes.begin(), bytes.end())}; }

}  // namespace

Result<Answers> Answers::make(std::string network, std::string network_fingerprint, std::string dataset,
                              std::string dataset_title, std::int64_t classes, std::vector<std::uint8_t> labels,
                              std::vector<std::vector<std::uint8_t>> predicted) {
  const auto mismatch = [](std::string_view what) { return fail(ErrorKind::kMismatch, what, "answers", kRecordAgain); };
  if (labels.empty() || predicted.empty()) return mismatch("no images or no levels");
  const auto in_range = [classes](std::uint8_t c) { return c < classes; };
  if (!std::all_of(labels.begin(), labels.end(), in_range)) return mismatch("a label is beyond the number of classes");
  Answers answers;
  for (const auto& level : predicted) {
    if (level.size() != labels.size()) return mismatch("a level has not one answer per image");
    if (!std::all_of(level.begin(), level.end(), in_range))
      return mismatch("an answer is beyond the number of classes");
    std::size_t right = 0;
    for (std::size_t i = 0; i < labels.size(); ++i) right += level[i] == labels[i] ? 1U : 0U;
    answers.accuracy_.push_back(static_cast<double>(right) / static_cast<double>(labels.size()));
  }
  answers.network_ = std::move(network);
  answers.network_fingerprint_ = std::move(network_fingerprint);
  answers.dataset_ = std::move(dataset);
  answers.dataset_title_ = std::move(dataset_title);
  answers.classes_ = classes;
  answers.labels_ = std::move(labels);
  answers.predicted_ = std::move(predicted);
  return answers;
}

std::string Answers::format() const {
  Value::Array levels;
  for (const auto& level : predicted_) levels.push_back(binary(level));
  return pack(Value::Map{{"format", std::string(kFormat)},
                         {"schema", kSchema},
                         {"network", network_},
                         {"network_fingerprint", network_fingerprint_},
                         {"dataset", dataset_},
                         {"dataset_title", dataset_title_},
                         {"classes", classes_},
                         {"labels", binary(labels_)},
                         {"predicted", std::move(levels)},
                         {"crc32", static_cast<std::int64_t>(checksum(labels_, predicted_))}});
}

Status Answers::write(const std::filesystem::path& path) const { return write_file_atomic(path, format()); }

Result<Answers> Answers::read(const std::filesystem::path& path) {
  REINS_ASSIGN(const std::string bytes, read_file(path, std::size_t{64} << 20));
  return parse(bytes, path.string());
}

Result<Answers> Answers::parse(std::string_view bytes, std::string_view where) {
  const auto garbled = [where](std::string_view what) { return fail(ErrorKind::kGarbled, what, where, kRecordAgain); };
  auto value = unpack(bytes, where);
  if (!value || value->map() == nullptr) return garbled("not a table of answers, or cut short");
  const Value* const format = value->find("format");
  if (format == nullptr || format->text() == nullptr || *format->text() != kFormat) {
    return garbled("not a table of answers");
  }
  REINS_ASSIGN(const std::int64_t schema, value->integer_at("schema", where, 0, 1 << 20));
  if (schema != kSchema) {
    return fail(ErrorKind::kMismatch, "a table of answers of schema " + std::to_string(schema), where, kRecordAgain);
  }
  REINS_ASSIGN(std::string network, value->text_at("network", where));
  REINS_ASSIGN(std::string network_fingerprint, value->text_at("network_fingerprint", where));
  REINS_ASSIGN(std::string dataset, value->text_at("dataset", where));
  REINS_ASSIGN(std::string title, value->text_at("dataset_title", where));
  REINS_ASSIGN(const std::int64_t classes, value->integer_at("classes", where, 2, 256));
  REINS_ASSIGN(const std::string labels, value->binary_at("labels", where));
  REINS_ASSIGN(const Value::Array* const levels, value->array_at("predicted", where));
  REINS_ASSIGN(const std::int64_t crc, value->integer_at("crc32", where, 0, 0xffffffffLL));
  std::vector<std::vector<std::uint8_t>> predicted;
  for (const Value& level : *levels) {
    const std::string* const answers = level.binary();
    if (answers == nullptr) return garbled("a level's answers are no bytes");
    predicted.emplace_back(answers->begin(), answers->end());
  }
  std::vector<std::uint8_t> label_bytes(labels.begin(), labels.end());
  if (checksum(label_bytes, predicted) != static_cast<std::uint32_t>(crc)) {
    return garbled("the table was changed: its checksum does not fit");
  }
  auto answers = make(std::move(network), std::move(network_fingerprint), std::move(dataset), std::move(title), classes,
                      std::move(label_bytes), std::move(predicted));
  if (!answers) return garbled(answers.error().what());
  return answers;
}

Result<Answers> record_answers(Engine& engine, const data::ImageSet& images,
                               const std::function<void(std::size_t, std::size_t)>& progress) {
  const NetworkFacts& facts = engine.facts();
  const std::array<std::int64_t, 4> shape{1, images.channels, images.height, images.width};
  if (shape != facts.input_shape || images.classes != facts.classes) {
    return fail(ErrorKind::kMismatch, "the images are not of the shape and classes that the network was made for",
                images.name);
  }
  std::vector<std::vector<std::uint8_t>> predicted(facts.levels.size(), std::vector<std::uint8_t>(images.size()));
  for (std::size_t i = 0; i < images.size(); ++i) {
    const TensorView view{.data = images.image(i).data(), .dtype = DType::kUint8, .shape = shape};
    for (std::size_t level = 0; level < facts.levels.size(); ++level) {
      REINS_TRY(level == 0 ? engine.begin(view, LevelId(0)) : engine.grow());
      REINS_ASSIGN(const Answer answer, engine.finish());
      predicted[level][i] = static_cast<std::uint8_t>(answer.predicted);
    }
    if (progress && (i % 256 == 255 || i + 1 == images.size())) progress(i + 1, images.size());
  }
  return Answers::make(facts.name, facts.fingerprint, images.name, images.title, images.classes, images.labels,
                       std::move(predicted));
}

}  // namespace reins::inference
