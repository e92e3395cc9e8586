#include "policies/policy_file.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/file.hpp"
#include "core/pack.hpp"

namespace reins::policies {
namespace {

static_assert(std::endian::native == std::endian::little, "weights are copied as they lie in memory");

constexpr std::string_view kMagic = "reins-policy";
constexpr std::int64_t kMany = 1 << 20;

Value floats(const std::vector<float>& values) {
  return Value(Value::Binary{std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float))});
}

Result<std::vector<float>> floats_at(const Value& map, std::string_view key, std::size_t count,
                                     std::string_view where) {
  REINS_ASSIGN(const std::string bytes, map.binary_at(key, where));
  if (bytes.size() != count * sizeof(float)) {
    return fail(ErrorKind::kGarbled,
                "'" + std::string(key) + "' holds " + std::to_string(bytes.size()) + " bytes, not " +
                    std::to_string(count * sizeof(float)),
                where);
  }
  std::vector<float> values(count);
  if (count > 0) std::memcpy(values.data(), bytes.data(), bytes.size());  // opp_reach has no bias
  return values;
}

Result<std::size_t> count_at(const Value& map, std::string_view key, std::int64_t high, std::string_view where) {
  REINS_ASSIGN(const std::int64_t count, map.integer_at(key, where, 1, high));
  return static_cast<std::size_t>(count);
}

// -- action space

Value pack_space(const ActionSpace& space) {
  Value::Array slots;
  for (const MappingSlot& slot : space.mappings) {
    Value::Array freq;
    for (const std::int64_t khz : slot.freq_khz) freq.emplace_back(khz);
    slots.emplace_back(Value::Map{{"name", slot.name},
                                  {"slot", slot.slot},
                                  {"cluster", static_cast<int>(slot.cluster.value)},
                                  {"cores", slot.cores},
                                  {"freq_khz", std::move(freq)}});
  }
  return Value(Value::Map{{"board", space.board},
                          {"board_fingerprint", space.board_fingerprint},
                          {"levels", static_cast<std::int64_t>(space.levels)},
                          {"clusters", static_cast<std::int64_t>(space.clusters)},
                          {"mappings", std::move(slots)}});
}

Result<ActionSpace> unpack_space(const Value& map, std::string_view where) {
  ActionSpace space;
  REINS_ASSIGN(space.board, map.text_at("board", where));
  REINS_ASSIGN(space.board_fingerprint, map.text_at("board_fingerprint", where));
  REINS_ASSIGN(space.levels, count_at(map, "levels", kMaxLevels, where));
  REINS_ASSIGN(space.clusters, count_at(map, "clusters", kMaxClusters, where));
  REINS_ASSIGN(const Value::Array* slots, map.array_at("mappings", where));
  if (slots->empty() || slots->size() > kMaxMappings) {
    return fail(ErrorKind::kGarbled, "the number of mappings is outside 1 to 8", where);
  }
  for (const Value& entry : *slots) {
    MappingSlot slot;
    REINS_ASSIGN(slot.name, entry.text_at("name", where));
    REINS_ASSIGN(slot.slot, entry.text_at("slot", where));
    REINS_ASSIGN(const std::int64_t cluster,
                 entry.integer_at("cluster", where, 0, static_cast<std::int64_t>(space.clusters) - 1));
    slot.cluster = ClusterId(cluster);
    REINS_ASSIGN(const std::int64_t cores, entry.integer_at("cores", where, 0, 4096));
    slot.cores = static_cast<int>(cores);
    REINS_ASSIGN(const Value::Array* freq, entry.array_at("freq_khz", where));
    if (freq->empty() || freq->size() > kMaxOpps) {
      return fail(ErrorKind::kGarbled, "the number of operating points is outside 1 to 32", where);
    }
    for (const Value& khz : *freq) {
      if (khz.integer() == nullptr || *khz.integer() < 0)
        return fail(ErrorKind::kGarbled, "a frequency is no count of kHz", where);
      slot.freq_khz.push_back(*khz.integer());
    }
    slot.relative = relative_capacity(slot.freq_khz);
    space.mappings.push_back(std::move(slot));
  }
  return space;
}

// -- observation table

Value pack_observation(const ObservationSpec& spec) {
  Value::Array features;
  for (const FeatureSpec& feature : spec.features) {
    features.emplace_back(Value::Map{{"name", feature.name},
                                     {"unit", feature.unit},
                                     {"normaliser", feature.normaliser},
                                     {"presence", feature.presence}});
  }
  return Value(Value::Map{{"version", spec.version}, {"features", std::move(features)}});
}

Result<ObservationSpec> unpack_observation(const Value& map, std::string_view where) {
  ObservationSpec spec;
  REINS_ASSIGN(const std::int64_t version, map.integer_at("version", where, 0, kMany));
  spec.version = static_cast<int>(version);
  REINS_ASSIGN(const Value::Array* features, map.array_at("features", where));
  for (const Value& entry : *features) {
    FeatureSpec feature;
    REINS_ASSIGN(feature.name, entry.text_at("name", where));
    REINS_ASSIGN(feature.unit, entry.text_at("unit", where));
    REINS_ASSIGN(feature.normaliser, entry.text_at("normaliser", where));
    REINS_ASSIGN(feature.presence, entry.boolean_at("presence", where));
    spec.features.push_back(std::move(feature));
  }
  return spec;
}

// -- network

bool is_count(const Value& value, std::int64_t high) noexcept {
  return value.integer() != nullptr && *value.integer() >= 0 && *value.integer() <= high;
}

Value pack_network(const PolicyNetwork& network) {
  Value::Map layers;
  for (std::size_t i = 0; i < kLayers; ++i) {
    const DenseLayer& layer = network.layers[i];
    layers.emplace(name_of(static_cast<LayerName>(i)),
                   Value::Map{{"weight", floats(layer.weight)}, {"bias", floats(layer.bias)}});
  }
  const NetworkShape& s = network.shape;
  Value::Array reach;
  for (std::size_t m = 0; m < s.mappings; ++m) {
    for (std::size_t o = 0; o < s.opps; ++o) reach.emplace_back(static_cast<std::int64_t>(network.reach[m][o]));
  }
  return Value(Value::Map{{"features", static_cast<std::int64_t>(s.features)},
                          {"trunk", static_cast<std::int64_t>(s.trunk)},
                          {"head", static_cast<std::int64_t>(s.head)},
                          {"mappings", static_cast<std::int64_t>(s.mappings)},
                          {"levels", static_cast<std::int64_t>(s.levels)},
                          {"opps", static_cast<std::int64_t>(s.opps)},
                          {"reach", std::move(reach)},
                          {"layers", std::move(layers)}});
}

Result<PolicyNetwork> unpack_network(const Value& map, std::string_view where) {
  NetworkShape shape;
  REINS_ASSIGN(shape.features, count_at(map, "features", kMaxFeatures, where));
  REINS_ASSIGN(shape.trunk, count_at(map, "trunk", 256, where));
  REINS_ASSIGN(shape.head, count_at(map, "head", 128, where));
  REINS_ASSIGN(shape.mappings, count_at(map, "mappings", kMaxMappings, where));
  REINS_ASSIGN(shape.levels, count_at(map, "levels", kMaxLevels, where));
  REINS_ASSIGN(shape.opps, count_at(map, "opps", kMaxOpps, where));
  PolicyNetwork network = PolicyNetwork::zeros(shape);
  REINS_ASSIGN(const Value::Array* reach, map.array_at("reach", where));
  if (reach->size() != shape.mappings * shape.opps ||
      !std::all_of(reach->begin(), reach->end(), [](const Value& v) { return is_count(v, kMaxFeatures); })) {
    return fail(ErrorKind::kGarbled, "the table of reaches is not as it should be", where);
  }
  for (std::size_t i = 0; i < reach->size(); ++i) {
    network.reach[i / shape.opps][i % shape.opps] = static_cast<std::uint8_t>(*(*reach)[i].integer());
  }
  REINS_ASSIGN(const Value* layers, map.map_at("layers", where));
  for (std::size_t i = 0; i < kLayers; ++i) {
    DenseLayer& layer = network.layers[i];
    REINS_ASSIGN(const Value* entry, layers->map_at(name_of(static_cast<LayerName>(i)), where));
    REINS_ASSIGN(layer.weight, floats_at(*entry, "weight", layer.weight.size(), where));
    REINS_ASSIGN(layer.bias, floats_at(*entry, "bias", layer.bias.size(), where));
  }
  REINS_TRY(network.check());
  return network;
}

// -- examples

bool fits(const ActionMask& mask, const ActionSpace& space) noexcept {
  const auto within = [](std::uint64_t bits, std::size_t count) {
    return bits != 0 && (bits >> count) == 0;  // count is 32 at most
  };
  if (!within(mask.mappings, space.mappings.size()) || !within(mask.levels, space.levels)) return false;
  for (std::size_t m = 0; m < kMaxMappings; ++m) {
    if (m >= space.mappings.size()) {
      if (mask.opps[m] != 0 || mask.park[m] != 0) return false;
      continue;
    }
    const std::size_t points = space.mappings[m].freq_khz.size();
    if (!within(mask.opps[m], points) || (mask.park[m] != 0 && !within(mask.park[m], points))) return false;
  }
  return true;
}

Value pack_examples(const std::vector<PolicyExample>& examples) {
  Value::Array all;
  for (const PolicyExample& example : examples) {
    Value::Array opps, park;
    for (const std::uint64_t bits : example.mask.opps) opps.emplace_back(bits);
    for (const std::uint64_t bits : example.mask.park) park.emplace_back(bits);
    const HeadChoice& c = example.choice;
    all.emplace_back(Value::Map{{"features", floats(example.features)},
                                {"mappings", static_cast<std::int64_t>(example.mask.mappings)},
                                {"levels", static_cast<std::int64_t>(example.mask.levels)},
                                {"opps", std::move(opps)},
                                {"park", std::move(park)},
                                {"choice", Value::Array{c.mapping, c.level, c.opp, c.park}}});
  }
  return Value(std::move(all));
}

Result<PolicyExample> unpack_example(const Value& entry, const PolicyFile& file, std::string_view where) {
  PolicyExample example;
  REINS_ASSIGN(example.features, floats_at(entry, "features", file.network.shape.features, where));
  REINS_ASSIGN(const std::int64_t mappings, entry.integer_at("mappings", where, 0, 0xff));
  REINS_ASSIGN(const std::int64_t levels, entry.integer_at("levels", where, 0, 0xff));
  example.mask.mappings = static_cast<std::uint32_t>(mappings);
  example.mask.levels = static_cast<std::uint32_t>(levels);
  REINS_ASSIGN(const Value::Array* opps, entry.array_at("opps", where));
  REINS_ASSIGN(const Value::Array* park, entry.array_at("park", where));
  REINS_ASSIGN(const Value::Array* choice, entry.array_at("choice", where));
  const auto all_within = [](const Value::Array& values, std::size_t size, std::int64_t high) {
    return values.size() == size &&
           std::all_of(values.begin(), values.end(), [high](const Value& v) { return is_count(v, high); });
  };
  if (!all_within(*opps, kMaxMappings, 0xffffffff) || !all_within(*park, kMaxMappings, 0xffffffff) ||
      !all_within(*choice, 4, 0xff)) {
    return fail(ErrorKind::kGarbled, "an example of the policy is not as it should be", where);
  }
  for (std::size_t m = 0; m < kMaxMappings; ++m) {
    example.mask.opps[m] = static_cast<std::uint64_t>(*(*opps)[m].integer());
    example.mask.park[m] = static_cast<std::uint64_t>(*(*park)[m].integer());
  }
  const auto at = [&](std::size_t i) { return static_cast<std::uint8_t>(*(*choice)[i].integer()); };
  example.choice = {at(0), at(1), at(2), at(3)};
  return example;
}

/// The examples as this machine decides them.
Result<std::vector<HeadChoice>> replay(const PolicyFile& file, std::string_view where) {
  REINS_ASSIGN(const NetworkForward forward, NetworkForward::make(file.network, file.space));
  std::vector<HeadChoice> choices;
  for (const PolicyExample& example : file.examples) {
    if (example.features.size() != file.network.shape.features || !fits(example.mask, file.space)) {
      return fail(ErrorKind::kUsage, "an example's features or mask do not fit the policy", where);
    }
    choices.push_back(forward.choose(example.features, example.mask));
  }
  return choices;
}

Status verify(const PolicyFile& file, std::string_view where) {
  if (file.observation.size() != file.network.shape.features) {
    return fail(ErrorKind::kGarbled, "the observation table and the network's input differ in length", where);
  }
  if (file.examples.empty()) return fail(ErrorKind::kGarbled, "the policy carries no example to check it by", where);
  REINS_ASSIGN(const std::vector<HeadChoice> choices, replay(file, where));
  for (std::size_t i = 0; i < choices.size(); ++i) {
    if (!(choices[i] == file.examples[i].choice)) {
      return fail(ErrorKind::kMismatch,
                  "example " + std::to_string(i + 1) + " is decided otherwise here than where it was frozen", where,
                  "freeze the policy again with this program");
    }
  }
  return {};
}

}  // namespace

Status decide_examples(PolicyFile& file) {
  REINS_ASSIGN(const std::vector<HeadChoice> choices, replay(file, "examples"));
  for (std::size_t i = 0; i < choices.size(); ++i) file.examples[i].choice = choices[i];
  return {};
}

Result<std::string> format_policy(const PolicyFile& file) {
  REINS_TRY(verify(file, "policy"));
  Value::Map figures, settings;
  for (const auto& [key, value] : file.training.figures) figures.emplace(key, value);
  for (const auto& [key, value] : file.settings) settings.emplace(key, value);
  std::string body = pack(Value::Map{{"space", pack_space(file.space)},
                                     {"network_fingerprint", file.network_fingerprint},
                                     {"observation", pack_observation(file.observation)},
                                     {"network", pack_network(file.network)},
                                     {"training", Value::Map{{"algorithm", file.training.algorithm},
                                                             {"steps", file.training.steps},
                                                             {"seed", file.training.seed},
                                                             {"config", file.training.config},
                                                             {"figures", std::move(figures)}}},
                                     {"commit", file.commit},
                                     {"settings", std::move(settings)},
                                     {"examples", pack_examples(file.examples)}});
  const std::int64_t checksum = crc32(body);
  return pack(Value::Array{kMagic, kPolicySchema, checksum, Value::Binary{std::move(body)}});
}

Result<PolicyFile> parse_policy(std::string_view bytes, std::string_view where) {
  // The magic lies at a fixed place, so a stranger's file and a cut one of ours are told apart.
  const std::string opening = pack(Value::Array{kMagic}).substr(1);
  if (bytes.size() > 1 &&
      bytes.substr(1, opening.size()) != opening.substr(0, std::min(opening.size(), bytes.size() - 1))) {
    return fail(ErrorKind::kGarbled, "not a Reins policy file", where, "`reins freeze` writes one");
  }
  const auto cut = [&] {
    return fail(ErrorKind::kGarbled, "the policy file is cut short or damaged", where, "copy or freeze it again");
  };
  const auto outer = unpack(bytes, where);
  if (!outer) return cut();
  const Value::Array* parts = outer->array();
  if (parts == nullptr || parts->size() != 4 || (*parts)[0].text() == nullptr || *(*parts)[0].text() != kMagic)
    return cut();
  if ((*parts)[1].integer() == nullptr) return cut();
  if (*(*parts)[1].integer() != kPolicySchema) {
    const bool older = *(*parts)[1].integer() < kPolicySchema;
    return fail(ErrorKind::kMismatch,
                "policy schema " + std::to_string(*(*parts)[1].integer()) + ", this program reads schema " +
                    std::to_string(kPolicySchema),
                where, older ? "train it anew with this program" : "use the program that froze it");
  }
  const std::string* body = (*parts)[3].binary();
  if ((*parts)[2].integer() == nullptr || body == nullptr || pack(*outer) != bytes) return cut();
  if (*(*parts)[2].integer() != static_cast<std::int64_t>(crc32(*body))) {
    return fail(ErrorKind::kGarbled, "the checksum of the policy file does not match", where,
                "copy or freeze it again");
  }

  REINS_ASSIGN(const Value map, unpack(*body, where));
  PolicyFile file;
  REINS_ASSIGN(const Value* space, map.map_at("space", where));
  REINS_ASSIGN(file.space, unpack_space(*space, where));
  REINS_ASSIGN(file.network_fingerprint, map.text_at("network_fingerprint", where));
  REINS_ASSIGN(const Value* observation, map.map_at("observation", where));
  REINS_ASSIGN(file.observation, unpack_observation(*observation, where));
  REINS_ASSIGN(const Value* network, map.map_at("network", where));
  REINS_ASSIGN(file.network, unpack_network(*network, where));
  REINS_ASSIGN(const Value* training, map.map_at("training", where));
  REINS_ASSIGN(file.training.algorithm, training->text_at("algorithm", where));
  REINS_ASSIGN(file.training.steps, training->integer_at("steps", where, 0, INT64_MAX));
  REINS_ASSIGN(file.training.seed, training->integer_at("seed", where, INT64_MIN, INT64_MAX));
  REINS_ASSIGN(file.training.config, training->text_at("config", where));
  REINS_ASSIGN(const Value* figures, training->map_at("figures", where));
  for (const auto& [key, value] : *figures->map()) {
    double figure = 0;
    if (!value.number(figure)) return fail(ErrorKind::kGarbled, "the figure '" + key + "' is no number", where);
    file.training.figures.emplace(key, figure);
  }
  REINS_ASSIGN(file.commit, map.text_at("commit", where));
  REINS_ASSIGN(const Value* settings, map.map_at("settings", where));
  for (const auto& [key, value] : *settings->map()) {
    if (value.text() == nullptr) return fail(ErrorKind::kGarbled, "the setting '" + key + "' is no text", where);
    file.settings.emplace(key, *value.text());
  }
  REINS_ASSIGN(const Value::Array* examples, map.array_at("examples", where));
  for (const Value& entry : *examples) {
    REINS_ASSIGN(PolicyExample example, unpack_example(entry, file, where));
    file.examples.push_back(std::move(example));
  }
  REINS_TRY(verify(file, where));
  return file;
}

Result<PolicyFile> read_policy(const std::filesystem::path& path) {
  REINS_ASSIGN(const std::string bytes, read_file(path, std::size_t{64} << 20));
  return parse_policy(bytes, path.native());
}

Status write_policy(const PolicyFile& file, const std::filesystem::path& path) {
  REINS_ASSIGN(const std::string bytes, format_policy(file));
  REINS_TRY(parse_policy(bytes, path.native()));
  return write_file_atomic(path, bytes);
}

namespace {

/// Names of the mappings of `from` that `to` has not.
std::string missing_mappings(const ActionSpace& from, const ActionSpace& to) {
  std::string names;
  for (const MappingSlot& wanted : from.mappings) {
    const bool here = std::any_of(to.mappings.begin(), to.mappings.end(),
                                  [&wanted](const MappingSlot& slot) { return slot.name == wanted.name; });
    if (!here) names += (names.empty() ? "" : ", ") + wanted.name;
  }
  return names;
}

}  // namespace

Result<LoadedPolicy> bind_policy(PolicyFile file, const PolicyUse& use, std::string_view where, std::string name) {
  std::string warning;
  const auto warn = [&warning](const std::string& clause) { warning += (warning.empty() ? "" : "; ") + clause; };
  const bool same_board =
      file.space.board == use.space.board && file.space.board_fingerprint == use.space.board_fingerprint;
  const bool same_slots = file.space.mappings == use.space.mappings && file.space.levels == use.space.levels &&
                          file.observation == use.observation;
  std::string notes;
  const Result<Binding> binding =
      same_board || same_slots ? Binding::identity(file.space, file.observation.size())
                               : Binding::sister(file.space, file.observation, use.space, use.observation, &notes);
  if (!same_board && (!binding || !use.allow_board)) {
    const bool same_name = file.space.board == use.space.board;
    const std::string gone = same_name ? missing_mappings(file.space, use.space) : "";
    if (use.allow_board && gone.empty()) return fail(binding.error());
    return fail(ErrorKind::kMismatch,
                !gone.empty() ? "trained on board " + file.space.board + " with " + gone + ", left out or absent here"
                : same_name   ? "trained on another version of board " + file.space.board
                              : "trained on board " + file.space.board + ", not " + use.space.board,
                where,
                binding ? "train for this board, or pass --allow-board to use it all the same"
                        : "train for what this board offers ('reins train', with --live on the board itself); "
                          "--allow-board cannot bind it");
  }
  if (same_board) {
    if (file.space.levels != use.space.levels) {
      return fail(ErrorKind::kMismatch,
                  "the policy knows " + std::to_string(file.space.levels) + " levels, the network here has " +
                      std::to_string(use.space.levels),
                  where, "use a network with as many levels, or train anew");
    }
    if (!(file.space == use.space)) {
      return fail(ErrorKind::kMismatch, "its action slots are not those of this board", where, "train anew");
    }
    if (!(file.observation == use.observation)) {
      return fail(ErrorKind::kMismatch, "its observation table is not the one in use here", where, "train anew");
    }
  } else if (same_slots) {
    warn("the policy was trained on another board or version of it (" + file.space.board + ")");
  } else {
    warn("the policy was trained on board " + file.space.board + " and is bound to " + use.space.board +
         " by slots and relative frequency");
    if (!notes.empty()) warn(notes);
  }
  if (!use.network_fingerprint.empty() && !file.network_fingerprint.empty() &&
      use.network_fingerprint != file.network_fingerprint) {
    // What it learnt is what this network's levels cost and are worth; the file has no more of them than a fingerprint.
    if (!use.allow_network) {
      return fail(ErrorKind::kMismatch, "trained with another network (fingerprint " + file.network_fingerprint + ")",
                  where,
                  "name that one with --network, train for this one, or pass --allow-network to use it all the same");
    }
    warn("the policy was trained with another network: its levels may cost and be worth something else");
  }
  REINS_ASSIGN(FrozenPolicy policy, FrozenPolicy::make(file.network, file.space, *binding, std::move(name)));
  return LoadedPolicy{std::move(file), std::move(policy), std::move(warning)};
}

Result<LoadedPolicy> load_policy(const std::filesystem::path& path, const PolicyUse& use, std::string name) {
  REINS_ASSIGN(PolicyFile file, read_policy(path));
  return bind_policy(std::move(file), use, path.native(), std::move(name));
}

}  // namespace reins::policies
