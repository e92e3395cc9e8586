#include "protocol/request.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <exception>
#include <initializer_list>

namespace reins::protocol {
namespace {

using tl::unexpected;
template <typename T>
using Checked = tl::expected<T, Fault>;

constexpr double kMaxSeconds = 3600;
constexpr double kMaxJoules = 1e6;
constexpr double kMaxWatts = 1e5;
constexpr std::int64_t kMaxApp = 63;
constexpr std::int64_t kMaxExtent = 1 << 16;
constexpr std::size_t kMaxIdBytes = 64;

unexpected<Fault> fault(Code code, std::string message) { return unexpected<Fault>(Fault{code, std::move(message)}); }

/// A key as the client wrote it, cut and with what no terminal should see replaced: it goes into a message and maybe a
/// log.
std::string shown(std::string_view text) {
  std::string out(text.substr(0, 40));
  for (char& c : out) {
    if (c < 0x20 || c > 0x7e || c == '\'') c = '?';
  }
  return text.size() > 40 ? out + "..." : out;
}

bool good_id(const Value& id) {
  return id.integer() != nullptr || (id.text() != nullptr && id.text()->size() <= kMaxIdBytes);
}

Checked<double> positive(const Value& value, std::string_view key, double high) {
  double x = 0;
  if (!value.number(x)) return fault(Code::kInvalid, "'" + std::string(key) + "' is not a finite number");
  if (x <= 0 || x > high) {
    return fault(Code::kInvalid, "'" + std::string(key) + "' has to be above 0 and at most " +
                                     std::to_string(static_cast<long long>(high)));
  }
  return x;
}

Checked<bool> only_known(const Value& map, std::initializer_list<std::string_view> known) {
  for (const auto& [key, value] : *map.map()) {
    if (key == "v" || key == "id" || key == "op" || key == "app") continue;
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    std::string list = "v, id, op, app";
    for (const std::string_view k : known) list.append(", ").append(k);
    return fault(Code::kInvalid, "unknown key '" + shown(key) + "'; this op takes " + list);
  }
  return true;
}

Checked<Tensor> decode_tensor(const Value& map, std::string_view bytes) {
  Tensor tensor;
  tensor.bytes = bytes;
  const Value* dtype = map.find("dtype");
  if (dtype == nullptr || dtype->text() == nullptr) return fault(Code::kMalformed, "'dtype' is missing");
  if (*dtype->text() == name_of(DType::kFloat32)) {
    tensor.dtype = DType::kFloat32;
  } else if (*dtype->text() == name_of(DType::kUint8)) {
    tensor.dtype = DType::kUint8;
  } else {
    return fault(Code::kInvalid, "dtype '" + shown(*dtype->text()) + "' is not float32 or uint8");
  }

  const Value* shape = map.find("shape");
  if (shape == nullptr || shape->array() == nullptr) return fault(Code::kMalformed, "'shape' is missing or no array");
  const std::size_t rank = shape->array()->size();
  if (rank < 1 || rank > tensor.shape.size()) return fault(Code::kInvalid, "'shape' has to have 1 to 4 entries");
  tensor.shape.fill(1);
  std::uint64_t wanted = size_of(tensor.dtype);
  for (std::size_t i = 0; i < rank; ++i) {
    const std::int64_t* extent = (*shape->array())[i].integer();
    if (extent == nullptr || *extent < 1 || *extent > kMaxExtent) {
      return fault(Code::kInvalid, "'shape' has an entry that is no integer from 1 to 65536");
    }
    tensor.shape[tensor.shape.size() - rank + i] = *extent;
    // Four factors of at most 2^16 would overflow with the element size on top; no frame is that long.
    wanted = std::min<std::uint64_t>(wanted * static_cast<std::uint64_t>(*extent), std::uint64_t{1} << 47);
  }
  if (wanted != bytes.size()) {
    return fault(Code::kInvalid, "shape x dtype is " + std::to_string(wanted) + " bytes, the tensor frame has " +
                                     std::to_string(bytes.size()));
  }
  if (tensor.dtype == DType::kFloat32) {
    for (std::size_t i = 0; i < bytes.size(); i += sizeof(float)) {
      float x = 0;
      std::memcpy(&x, bytes.data() + i, sizeof x);
      if (!std::isfinite(x)) {
        return fault(Code::kInvalid, "element " + std::to_string(i / sizeof(float)) + " of the tensor is not finite");
      }
    }
  }
  return tensor;
}

Checked<Infer> decode_infer(const Value& map, std::span<const std::string_view> frames, const Limits& limits) {
  if (auto known = only_known(map, {"dtype", "shape", "deadline_s", "probabilities"}); !known) {
    return unexpected(known.error());
  }
  if (frames.size() != 2) return fault(Code::kMalformed, "infer takes two frames: the map and the raw tensor");
  if (frames[1].size() > limits.max_tensor_bytes) {
    return fault(Code::kTooLarge, "the tensor frame has " + std::to_string(frames[1].size()) + " bytes; at most " +
                                      std::to_string(limits.max_tensor_bytes) + " are taken");
  }
  Infer infer;
  auto tensor = decode_tensor(map, frames[1]);
  if (!tensor) return unexpected(tensor.error());
  infer.tensor = *tensor;
  if (const Value* deadline = map.find("deadline_s"); deadline != nullptr && !deadline->is_nil()) {
    auto seconds = positive(*deadline, "deadline_s", kMaxSeconds);
    if (!seconds) return unexpected(seconds.error());
    infer.deadline_s = *seconds;
  }
  if (const Value* wanted = map.find("probabilities"); wanted != nullptr) {
    if (wanted->boolean() == nullptr) return fault(Code::kInvalid, "'probabilities' is not true or false");
    infer.probabilities = *wanted->boolean();
  }
  return infer;
}

Checked<Goal> decode_goal(const Value& map) {
  if (auto known = only_known(map, {"latency_s", "energy_j", "power_w", "accuracy", "objective"}); !known) {
    return unexpected(known.error());
  }
  Goal goal;
  const auto read = [&map](std::string_view key, double high, GoalChange& change) -> Checked<bool> {
    const Value* value = map.find(key);
    if (value == nullptr) return false;
    change.given = true;
    if (value->is_nil()) return true;
    auto x = positive(*value, key, high);
    if (!x) return unexpected(x.error());
    change.value = *x;
    return true;
  };
  for (const auto& result : {read("latency_s", kMaxSeconds, goal.latency_s),
                             read("energy_j", kMaxJoules, goal.energy_j), read("power_w", kMaxWatts, goal.power_w)}) {
    if (!result) return unexpected(result.error());
  }
  if (const Value* accuracy = map.find("accuracy"); accuracy != nullptr) {
    goal.accuracy.given = true;
    if (!accuracy->is_nil()) {
      double x = 0;
      if (!accuracy->number(x) || x < 0 || x > 1)
        return fault(Code::kInvalid, "'accuracy' is not a number from 0 to 1");
      goal.accuracy.value = x;
    }
  }
  if (const Value* objective = map.find("objective"); objective != nullptr && !objective->is_nil()) {
    if (objective->text() == nullptr || *objective->text() != "energy") {
      return fault(Code::kInvalid,
                   "'objective' can only be energy: set 'latency_s' and 'accuracy' to bound the others");
    }
  }
  return goal;
}

template <typename Body>
Checked<Request> with(Request request, Checked<Body> body) {
  if (!body) return unexpected(body.error());
  request.body = std::move(*body);
  return request;
}

/// `id` is filled as soon as it is known, so that a fault further down can still name the request.
Checked<Request> decode(std::span<const std::string_view> frames, const Limits& limits, Value& id) {
  if (frames.empty() || frames[0].empty()) return fault(Code::kMalformed, "no msgpack map in the first frame");
  if (frames[0].size() > limits.max_map_bytes) {
    return fault(Code::kTooLarge, "the map has " + std::to_string(frames[0].size()) + " bytes; at most " +
                                      std::to_string(limits.max_map_bytes) + " are taken");
  }
  const PackLimits bounds{.max_bytes = limits.max_map_bytes, .max_elements = 64, .max_depth = 3};
  auto map = unpack(frames[0], "first frame", bounds);
  if (!map) return fault(Code::kMalformed, map.error().line());
  if (map->map() == nullptr) return fault(Code::kMalformed, "the first frame is not a msgpack map");

  const Value* given_id = map->find("id");
  if (given_id != nullptr && good_id(*given_id)) id = *given_id;
  const Value* version = map->find("v");
  if (version == nullptr || version->integer() == nullptr)
    return fault(Code::kMalformed, "'v' is missing or no integer");
  if (*version->integer() != kVersion) {
    return fault(Code::kVersion, "version " + std::to_string(*version->integer()) +
                                     " is not spoken here; send v = " + std::to_string(kVersion));
  }
  if (given_id == nullptr || !good_id(*given_id)) {
    return fault(Code::kMalformed, "'id' is missing, or no integer and no string of at most 64 bytes");
  }

  Request request;
  request.id = id;
  if (const Value* app = map->find("app"); app != nullptr) {
    if (app->integer() == nullptr || *app->integer() < 0 || *app->integer() > kMaxApp) {
      return fault(Code::kInvalid, "'app' is not an integer from 0 to 63");
    }
    request.app = static_cast<int>(*app->integer());
  }
  const Value* op = map->find("op");
  if (op == nullptr || op->text() == nullptr) return fault(Code::kMalformed, "'op' is missing or no string");
  if (*op->text() == "infer") return with(std::move(request), decode_infer(*map, frames, limits));
  if (frames.size() != 1 && (*op->text() == "goal" || *op->text() == "status" || *op->text() == "metrics")) {
    return fault(Code::kMalformed, *op->text() + " takes one frame, the map");
  }
  if (*op->text() == "goal") return with(std::move(request), decode_goal(*map));
  if (*op->text() == "status" || *op->text() == "metrics") {
    if (auto known = only_known(*map, {}); !known) return unexpected(known.error());
    if (*op->text() == "status") {
      request.body = StatusQuery{};
    } else {
      request.body = MetricsQuery{};
    }
    return request;
  }
  return fault(Code::kUnknownOp, "op '" + shown(*op->text()) + "' is not infer, goal, status or metrics");
}

void put(Value::Map& map, const char* key, const GoalChange& change) {
  if (change.given) map[key] = change.value ? Value(*change.value) : Value();
}

}  // namespace

std::string_view name_of(DType dtype) noexcept { return dtype == DType::kFloat32 ? "float32" : "uint8"; }
std::size_t size_of(DType dtype) noexcept { return dtype == DType::kFloat32 ? sizeof(float) : 1; }

Decoded decode_request(std::span<const std::string_view> frames, const Limits& limits) noexcept {
  Decoded decoded{Value(), fault(Code::kInternal, "out of memory")};
  try {
    decoded.request = decode(frames, limits, decoded.id);
  } catch (const std::exception&) {
    // Only an allocation can throw here; the answer above is already in place.
  }
  return decoded;
}

std::string encode_request(const Request& request) {
  Value::Map map{{"v", kVersion}, {"id", request.id}, {"app", request.app}};
  if (const auto* infer = std::get_if<Infer>(&request.body)) {
    map["op"] = "infer";
    map["dtype"] = name_of(infer->tensor.dtype);
    Value::Array shape;
    for (const std::int64_t extent : infer->tensor.shape) shape.emplace_back(extent);
    map["shape"] = std::move(shape);
    if (infer->deadline_s) map["deadline_s"] = *infer->deadline_s;
    if (infer->probabilities) map["probabilities"] = true;
  } else if (const auto* goal = std::get_if<Goal>(&request.body)) {
    map["op"] = "goal";
    put(map, "latency_s", goal->latency_s);
    put(map, "energy_j", goal->energy_j);
    put(map, "power_w", goal->power_w);
    put(map, "accuracy", goal->accuracy);
  } else {
    map["op"] = std::holds_alternative<StatusQuery>(request.body) ? "status" : "metrics";
  }
  return pack(Value(std::move(map)));
}

}  // namespace reins::protocol
