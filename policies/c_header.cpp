#include "policies/c_header.hpp"

#include <algorithm>
#include <charconv>

namespace reins::policies {
namespace {

/// Shortest decimal that reads back as the same float.
std::string literal(float value) {
  char buffer[32];
  const auto [end, code] = std::to_chars(buffer, buffer + sizeof buffer, value);
  std::string text(buffer, code == std::errc() ? end : buffer);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text + "f";
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    // Everything outside plain printable ASCII, and what C reads specially, becomes an underscore.
    const bool plain = c >= ' ' && c <= '~' && c != '"' && c != '\\' && c != '?';
    out += plain ? c : '_';
  }
  return out + "\"";
}

class Writer {
 public:
  void line(const std::string& text) { text_ += text + "\n"; }
  void define(const std::string& name, std::size_t value) { line("#define " + name + " " + std::to_string(value)); }

  /// "static const <type> <name>[n] = {...};", wrapped.
  template <typename Container, typename Format>
  void array(const std::string& type, const std::string& name, const Container& values, Format format) {
    text_ += "static const " + type + " " + name + "[" + std::to_string(values.size()) + "] = {";
    std::size_t column = 1000;
    for (const auto& value : values) {
      const std::string item = format(value) + ",";
      if (column + item.size() > 116) {
        text_ += "\n ";
        column = 1;
      }
      text_ += " " + item;
      column += item.size() + 1;
    }
    text_ += "\n};\n";
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

constexpr const char* kTypes = R"(
/* Bit i set: choice i is allowed. Leave no dimension empty. `park`: the points that rest at the least power by the
 * profile, the lowest of `opps` where that is not known; 0 stands for all of `opps`, which few policies have learnt. */
typedef struct {
  uint32_t mappings;
  uint32_t levels;
  uint64_t opps[REINS_MAPPINGS];
  uint64_t park[REINS_MAPPINGS];
} reins_mask;

/* Indices: mapping into reins_mapping_names, level from 0 (the smallest), opp and park into the mapping's frequencies. */
typedef struct {
  int mapping, level, opp, park;
} reins_action;
)";

constexpr const char* kCode = R"(
static inline void reins_dense_(const float *weight, const float *bias, const float *x, int in, int out, float *y) {
  int i, j;
  for (j = 0; j < out; ++j) y[j] = bias[j];
  for (i = 0; i < in; ++i) {
    for (j = 0; j < out; ++j) y[j] += x[i] * weight[i * out + j];
  }
}

static inline void reins_relu_(float *x, int n) {
  int i;
  for (i = 0; i < n; ++i) x[i] = x[i] > 0.0f ? x[i] : 0.0f;
}

static inline void reins_add_(const float *weight, int row, float scale, float *y) {
  int j;
  for (j = 0; j < REINS_HEAD; ++j) y[j] += scale * weight[(REINS_TRUNK + row) * REINS_HEAD + j];
}

static inline int reins_best_(const float *value, uint64_t mask, int n) {
  int best = -1, i;
  for (i = 0; i < n; ++i) {
    if (((mask >> i) & 1u) != 0 && (best < 0 || value[i] > value[best])) best = i;
  }
  return best;
}

/* How well an operating point keeps the pace that is wanted. */
static inline float reins_reached_(const float *features, int mapping, int opp) {
  const int feature = reins_reach[mapping * REINS_OPPS + opp];
  return feature != 0 ? features[feature - 1] : 0.0f;
}

/* What to do, given REINS_FEATURES features in the order of reins_feature_names. */
static inline reins_action reins_decide(const float *features, const reins_mask *mask) {
  float h1[REINS_TRUNK], h2[REINS_TRUNK], u[REINS_HEAD], q[REINS_WIDEST];
  reins_action a;
  int i;
  reins_dense_(reins_trunk1_weight, reins_trunk1_bias, features, REINS_FEATURES, REINS_TRUNK, h1);
  reins_relu_(h1, REINS_TRUNK);
  reins_dense_(reins_trunk2_weight, reins_trunk2_bias, h1, REINS_TRUNK, REINS_TRUNK, h2);
  reins_relu_(h2, REINS_TRUNK);

  reins_dense_(reins_mapping_hidden_weight, reins_mapping_hidden_bias, h2, REINS_TRUNK, REINS_HEAD, u);
  reins_relu_(u, REINS_HEAD);
  reins_dense_(reins_mapping_out_weight, reins_mapping_out_bias, u, REINS_HEAD, REINS_MAPPINGS, q);
  a.mapping = reins_best_(q, mask->mappings, REINS_MAPPINGS);

  reins_dense_(reins_level_hidden_weight, reins_level_hidden_bias, h2, REINS_TRUNK, REINS_HEAD, u);
  reins_add_(reins_level_hidden_weight, a.mapping, 1.0f, u);
  reins_relu_(u, REINS_HEAD);
  reins_dense_(reins_level_out_weight, reins_level_out_bias, u, REINS_HEAD, REINS_LEVELS, q);
  a.level = reins_best_(q, mask->levels, REINS_LEVELS);

  reins_dense_(reins_opp_hidden_weight, reins_opp_hidden_bias, h2, REINS_TRUNK, REINS_HEAD, u);
  reins_add_(reins_opp_hidden_weight, a.mapping, 1.0f, u);
  reins_add_(reins_opp_hidden_weight, REINS_MAPPINGS + a.level, 1.0f, u);
  reins_relu_(u, REINS_HEAD);
  reins_dense_(reins_opp_out_weight, reins_opp_out_bias, u, REINS_HEAD, REINS_OPPS, q);
  for (i = 0; i < REINS_OPPS; ++i) q[i] += reins_opp_reach_weight[i] * reins_reached_(features, a.mapping, i);
  a.opp = reins_best_(q, mask->opps[a.mapping], REINS_OPPS);

  reins_dense_(reins_park_hidden_weight, reins_park_hidden_bias, h2, REINS_TRUNK, REINS_HEAD, u);
  reins_add_(reins_park_hidden_weight, a.mapping, 1.0f, u);
  reins_add_(reins_park_hidden_weight, REINS_MAPPINGS + a.level, 1.0f, u);
  reins_add_(reins_park_hidden_weight, REINS_MAPPINGS + REINS_LEVELS, reins_relative[a.mapping * REINS_OPPS + a.opp], u);
  reins_add_(reins_park_hidden_weight, REINS_MAPPINGS + REINS_LEVELS + 1, reins_reached_(features, a.mapping, a.opp), u);
  reins_add_(reins_park_hidden_weight, REINS_MAPPINGS + REINS_LEVELS + 2 + a.opp, 1.0f, u);
  reins_relu_(u, REINS_HEAD);
  reins_dense_(reins_park_out_weight, reins_park_out_bias, u, REINS_HEAD, REINS_OPPS, q);
  a.park = reins_best_(q, mask->park[a.mapping] != 0 ? mask->park[a.mapping] : mask->opps[a.mapping], REINS_OPPS);
  return a;
}
)";

constexpr const char* kSelftest = R"(
/* How many of the policy's own examples this build decides otherwise: 0 where all is well. */
static inline int reins_selftest(void) {
  int wrong = 0, i;
  for (i = 0; i < REINS_EXAMPLES; ++i) {
    const reins_action a = reins_decide(reins_example_features + i * REINS_FEATURES, &reins_example_masks[i]);
    const int *want = reins_example_choices + i * 4;
    if (a.mapping != want[0] || a.level != want[1] || a.opp != want[2] || a.park != want[3]) ++wrong;
  }
  return wrong;
}

#endif
)";

}  // namespace

std::string c_header(const PolicyFile& file) {
  const NetworkShape& shape = file.network.shape;
  const auto number = [](auto value) { return std::to_string(value); };
  Writer out;
  out.line("/* reins_policy.h: a frozen Reins policy. Written by `reins freeze`; do not edit.");
  out.line(" * Compile with -std=c99 or -ffp-contract=off, and check reins_selftest() == 0 once. */");
  out.line("#ifndef REINS_POLICY_H\n#define REINS_POLICY_H\n\n#include <stdint.h>\n");
  out.line("#ifdef __clang__\n#pragma STDC FP_CONTRACT OFF\n#endif\n");
  out.line("#define REINS_BOARD " + quoted(file.space.board));
  out.line("#define REINS_BOARD_FINGERPRINT " + quoted(file.space.board_fingerprint));
  out.line("#define REINS_NETWORK_FINGERPRINT " + quoted(file.network_fingerprint));
  out.line("#define REINS_COMMIT " + quoted(file.commit));
  out.define("REINS_FEATURES", shape.features);
  out.define("REINS_TRUNK", shape.trunk);
  out.define("REINS_HEAD", shape.head);
  out.define("REINS_MAPPINGS", shape.mappings);
  out.define("REINS_LEVELS", shape.levels);
  out.define("REINS_OPPS", shape.opps);
  out.define("REINS_WIDEST", std::max({shape.mappings, shape.levels, shape.opps}));
  out.define("REINS_EXAMPLES", file.examples.size());
  out.line(kTypes);

  std::vector<std::string> features, mappings;
  std::vector<std::int64_t> freq_khz(shape.mappings * shape.opps);
  std::vector<float> relative(shape.mappings * shape.opps);
  std::vector<int> reach(shape.mappings * shape.opps);
  for (const FeatureSpec& feature : file.observation.features) features.push_back(feature.name);
  for (std::size_t m = 0; m < shape.mappings; ++m) {
    const MappingSlot& slot = file.space.mappings[m];
    mappings.push_back(slot.name);
    for (std::size_t o = 0; o < slot.freq_khz.size(); ++o) {
      freq_khz[m * shape.opps + o] = slot.freq_khz[o];
      relative[m * shape.opps + o] = slot.relative[o];
      reach[m * shape.opps + o] = file.network.reach[m][o];
    }
  }
  out.array("char *const", "reins_feature_names", features, quoted);
  out.array("char *const", "reins_mapping_names", mappings, quoted);
  out.line("/* [mapping][operating point]; 0 beyond a mapping's last. */");
  out.array("int64_t", "reins_freq_khz", freq_khz, number);
  out.array("float", "reins_relative", relative, literal);
  out.line("/* [mapping][operating point]: number of the feature that says how well it keeps the pace; 0: none. */");
  out.array("int", "reins_reach", reach, number);
  for (std::size_t i = 0; i < kLayers; ++i) {
    if (static_cast<LayerName>(i) == LayerName::kValueOut) continue;  // no decision depends on it
    const std::string name = "reins_" + std::string(name_of(static_cast<LayerName>(i)));
    out.array("float", name + "_weight", file.network.layers[i].weight, literal);
    if (!file.network.layers[i].bias.empty()) out.array("float", name + "_bias", file.network.layers[i].bias, literal);
  }
  out.line(kCode);

  std::vector<float> example_features;
  std::vector<int> choices;
  for (const PolicyExample& example : file.examples) {
    example_features.insert(example_features.end(), example.features.begin(), example.features.end());
    const HeadChoice& c = example.choice;
    for (const int index : {int{c.mapping}, int{c.level}, int{c.opp}, int{c.park}}) choices.push_back(index);
  }
  out.array("float", "reins_example_features", example_features, literal);
  out.array("reins_mask", "reins_example_masks", file.examples, [&](const PolicyExample& example) {
    const auto bits = [&](const auto& of_mapping) {
      std::string list;
      for (std::size_t m = 0; m < shape.mappings; ++m) list += (m == 0 ? "" : ", ") + number(of_mapping[m]) + "u";
      return "{" + list + "}";
    };
    return "{" + number(example.mask.mappings) + "u, " + number(example.mask.levels) + "u, " + bits(example.mask.opps) +
           ", " + bits(example.mask.park) + "}";
  });
  out.array("int", "reins_example_choices", choices, number);
  out.line(kSelftest);
  return out.take();
}

}  // namespace reins::policies
