// tests/protocol/request_test.cpp: requests survive a round trip, and whatever else comes in is told why it is refused.
#include "protocol/request.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "core/rng.hpp"
#include "tests/support/matchers.hpp"

namespace reins::protocol {
namespace {

using ::testing::HasSubstr;

Decoded decode(std::string_view map, std::optional<std::string_view> tensor = std::nullopt, const Limits& limits = {}) {
  std::vector<std::string_view> frames{map};
  if (tensor) frames.push_back(*tensor);
  return decode_request(frames, limits);
}

Value::Map infer_map() {
  return {{"v", 1}, {"id", 7}, {"op", "infer"}, {"dtype", "uint8"}, {"shape", Value::Array{1, 3, 2, 2}}};
}

Value::Map op_map(const char* op) { return {{"v", 1}, {"id", "a"}, {"op", op}}; }

/// The fault of a map with one key changed.
Fault fault_with(Value::Map map, const char* key, Value value, std::size_t tensor_bytes = 12) {
  constexpr double kStandIn = 4711.25;
  double number = 0;
  const bool not_finite = !value.number(number) && std::isfinite(number) == false;
  // Our own writer refuses to write NaN and infinities; another client's may not.
  map[key] = not_finite ? Value(kStandIn) : std::move(value);
  std::string bytes = pack(Value(map));
  if (not_finite) {
    const auto big_endian = [](double x) {
      std::uint64_t bits = 0;
      std::memcpy(&bits, &x, sizeof bits);
      std::string out = "\xcb";
      for (int shift = 56; shift >= 0; shift -= 8) out.push_back(static_cast<char>(bits >> shift));
      return out;
    };
    const std::size_t at = bytes.find(big_endian(kStandIn));
    if (at == std::string::npos) ADD_FAILURE() << "no stand-in for '" << key << "' in the message";
    bytes.replace(at, 9, big_endian(number));
  }
  const std::string tensor(tensor_bytes, 'x');
  const bool infer = map["op"] == Value("infer");
  const Decoded decoded = decode(bytes, infer ? std::optional<std::string_view>(tensor) : std::nullopt);
  if (decoded.request) {
    ADD_FAILURE() << "accepted a bad '" << key << "'";
    return {};
  }
  return decoded.request.error();
}

TEST(Request, InferSurvivesARoundTrip) {
  const std::string bytes(12, 'p');
  Request sent;
  sent.id = Value("photo-1");
  sent.app = 2;
  sent.body = Infer{.tensor = {DType::kUint8, {1, 3, 2, 2}, bytes}, .deadline_s = 0.05, .probabilities = true};
  const Decoded got = decode(encode_request(sent), bytes);
  ASSERT_TRUE(got.request) << got.request.error().message;
  EXPECT_EQ(got.id, Value("photo-1"));
  EXPECT_EQ(got.request->app, 2);
  const auto& infer = std::get<Infer>(got.request->body);
  EXPECT_EQ(infer.tensor.dtype, DType::kUint8);
  EXPECT_EQ(infer.tensor.shape, (std::array<std::int64_t, 4>{1, 3, 2, 2}));
  EXPECT_EQ(infer.tensor.bytes, bytes);
  EXPECT_EQ(infer.deadline_s, 0.05);
  EXPECT_TRUE(infer.probabilities);
}

TEST(Request, AShorterShapeIsFilledWithOnesInFront) {
  Value::Map map = infer_map();
  map["shape"] = Value::Array{3, 2, 2};
  const Decoded got = decode(pack(Value(map)), std::string(12, 'p'));
  ASSERT_TRUE(got.request) << got.request.error().message;
  EXPECT_EQ(std::get<Infer>(got.request->body).tensor.shape, (std::array<std::int64_t, 4>{1, 3, 2, 2}));
}

TEST(Request, GoalTellsSetClearedAndUntouchedApart) {
  Value::Map map = op_map("goal");
  map["latency_s"] = 0.1;
  map["energy_j"] = Value();
  const Decoded got = decode(pack(Value(map)));
  ASSERT_TRUE(got.request) << got.request.error().message;
  const auto& goal = std::get<Goal>(got.request->body);
  EXPECT_EQ(goal.latency_s, (GoalChange{true, 0.1}));
  EXPECT_EQ(goal.energy_j, (GoalChange{true, std::nullopt}));
  EXPECT_EQ(goal.power_w, (GoalChange{false, std::nullopt}));
  const Decoded again = decode(encode_request(*got.request));
  ASSERT_TRUE(again.request);
  EXPECT_EQ(std::get<Goal>(again.request->body).energy_j, goal.energy_j);
  EXPECT_EQ(std::get<Goal>(again.request->body).power_w, goal.power_w);
}

TEST(Request, RefusesEveryObjectiveButTheOneThatIsActedOn) {
  Value::Map map = op_map("goal");
  for (const Value& fine : {Value(), Value("energy")}) {
    map["objective"] = fine;
    EXPECT_TRUE(decode(pack(Value(map))).request);
  }
  for (const Value& other : {Value("latency"), Value("accuracy"), Value("speed"), Value(1)}) {
    const Fault fault = fault_with(op_map("goal"), "objective", other);
    EXPECT_EQ(fault.code, Code::kInvalid);
    EXPECT_THAT(fault.message, ::testing::AllOf(HasSubstr("only be energy"), HasSubstr("latency_s")));
  }
}

TEST(Request, StatusAndMetricsTakeOneFrame) {
  EXPECT_TRUE(std::holds_alternative<StatusQuery>(decode(pack(Value(op_map("status")))).request->body));
  EXPECT_TRUE(std::holds_alternative<MetricsQuery>(decode(pack(Value(op_map("metrics")))).request->body));
  const Decoded two = decode(pack(Value(op_map("status"))), "tensor");
  ASSERT_FALSE(two.request);
  EXPECT_EQ(two.request.error().code, Code::kMalformed);
}

TEST(Request, AFaultStillCarriesTheId) {
  Value::Map map = op_map("fly");
  const Decoded got = decode(pack(Value(map)));
  ASSERT_FALSE(got.request);
  EXPECT_EQ(got.id, Value("a"));
  EXPECT_EQ(got.request.error().code, Code::kUnknownOp);
  EXPECT_THAT(got.request.error().message, HasSubstr("'fly' is not infer, goal, status or metrics"));
}

TEST(Request, RefusesWhatIsNoMessage) {
  EXPECT_EQ(decode_request({}).request.error().code, Code::kMalformed);
  EXPECT_EQ(decode("").request.error().code, Code::kMalformed);
  EXPECT_EQ(decode("hello").request.error().code, Code::kMalformed);
  EXPECT_EQ(decode(pack(Value(3))).request.error().code, Code::kMalformed);
  EXPECT_EQ(decode(pack(Value(Value::Map{}))).request.error().code, Code::kMalformed);
}

TEST(Request, RefusesABadEnvelope) {
  EXPECT_EQ(fault_with(op_map("status"), "v", 2).code, Code::kVersion);
  EXPECT_EQ(fault_with(op_map("status"), "v", "1").code, Code::kMalformed);
  EXPECT_EQ(fault_with(op_map("status"), "id", Value()).code, Code::kMalformed);
  EXPECT_EQ(fault_with(op_map("status"), "id", std::string(65, 'i')).code, Code::kMalformed);
  EXPECT_EQ(fault_with(op_map("status"), "app", -1).code, Code::kInvalid);
  EXPECT_EQ(fault_with(op_map("status"), "app", 64).code, Code::kInvalid);
  EXPECT_EQ(fault_with(op_map("status"), "op", 3).code, Code::kMalformed);
}

TEST(Request, NamesAnUnknownKeyInsteadOfIgnoringIt) {
  const Fault fault = fault_with(infer_map(), "dedline_s", 0.1);
  EXPECT_EQ(fault.code, Code::kInvalid);
  EXPECT_THAT(fault.message, HasSubstr("unknown key 'dedline_s'"));
  EXPECT_THAT(fault.message, HasSubstr("deadline_s"));
}

TEST(Request, AnUnknownKeyIsShownWithoutControlCharacters) {
  const Fault fault = fault_with(op_map("status"), "\x1b[31m\n", 1);
  EXPECT_EQ(fault.message.find('\x1b'), std::string::npos);
  EXPECT_EQ(fault.message.find('\n'), std::string::npos);
}

TEST(Request, RefusesBadTensors) {
  EXPECT_EQ(fault_with(infer_map(), "dtype", "float64").code, Code::kInvalid);
  EXPECT_EQ(fault_with(infer_map(), "dtype", Value()).code, Code::kMalformed);
  EXPECT_EQ(fault_with(infer_map(), "shape", Value::Array{}).code, Code::kInvalid);
  EXPECT_EQ(fault_with(infer_map(), "shape", Value::Array{1, 1, 3, 2, 2}).code, Code::kInvalid);
  EXPECT_EQ(fault_with(infer_map(), "shape", Value::Array{0, 3, 2, 2}, 0).code, Code::kInvalid);
  EXPECT_EQ(fault_with(infer_map(), "shape", Value::Array{-1, -3, 2, 2}).code, Code::kInvalid);
  EXPECT_EQ(fault_with(infer_map(), "shape", Value::Array{1.5, 3, 2, 2}).code, Code::kInvalid);
  EXPECT_THAT(fault_with(infer_map(), "shape", Value::Array{1, 3, 2, 2}, 11).message,
              HasSubstr("12 bytes, the tensor frame has 11"));
  EXPECT_EQ(fault_with(infer_map(), "dtype", "float32").code, Code::kInvalid) << "float32 needs 48 bytes";
  // 2^64 bytes wrap to 0 where nobody looks.
  const Value huge = Value::Array{65536, 65536, 65536, 65536};
  EXPECT_EQ(fault_with(infer_map(), "shape", huge, 0).code, Code::kInvalid);
  EXPECT_EQ(decode(pack(Value(infer_map()))).request.error().code, Code::kMalformed) << "no tensor frame";
}

TEST(Request, RefusesFloatsThatAreNotFinite) {
  Value::Map map = infer_map();
  map["dtype"] = "float32";
  map["shape"] = Value::Array{1, 1, 1, 2};
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    const float values[] = {1.0F, bad};
    std::string bytes(sizeof values, '\0');
    std::memcpy(bytes.data(), values, sizeof values);
    const Decoded got = decode(pack(Value(map)), bytes);
    ASSERT_FALSE(got.request);
    EXPECT_THAT(got.request.error().message, HasSubstr("element 1"));
  }
}

TEST(Request, RefusesDeadlinesAndGoalsOutOfRange) {
  const double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
  for (const double bad : {-1.0, 0.0, nan, inf, -inf, 1e9}) {
    EXPECT_EQ(fault_with(infer_map(), "deadline_s", bad).code, Code::kInvalid) << bad;
    for (const char* key : {"latency_s", "energy_j", "power_w", "accuracy"}) {
      if (bad == 0.0 && std::string_view(key) == "accuracy") continue;  // a floor of nothing is a floor
      EXPECT_EQ(fault_with(op_map("goal"), key, bad).code, Code::kInvalid) << key << " = " << bad;
    }
  }
  EXPECT_EQ(fault_with(op_map("goal"), "accuracy", 1.01).code, Code::kInvalid);
  EXPECT_EQ(fault_with(op_map("goal"), "accuracy", "0.5").code, Code::kInvalid);
  EXPECT_EQ(fault_with(infer_map(), "probabilities", 1).code, Code::kInvalid);
}

TEST(Request, RefusesFramesOverTheirLimit) {
  const Limits limits{.max_map_bytes = 256, .max_tensor_bytes = 8};
  EXPECT_EQ(decode(pack(Value(infer_map())), std::string(12, 'x'), limits).request.error().code, Code::kTooLarge);
  EXPECT_EQ(decode(std::string(257, '\x80'), std::nullopt, limits).request.error().code, Code::kTooLarge);
}

TEST(Request, ADeclaredLengthBeyondTheBytesAllocatesNothing) {
  // array32, map32 and str32 that announce 2^32 - 1 elements.
  for (const char head : {'\xdd', '\xdf', '\xdb'}) {
    EXPECT_EQ(decode(std::string(1, head) + "\xff\xff\xff\xff").request.error().code, Code::kMalformed);
  }
  EXPECT_EQ(decode(std::string(2000, '\x91')).request.error().code, Code::kMalformed) << "arrays nested 2000 deep";
}

/// Random bytes, and valid messages with random bytes changed, cut or added: every one is answered, and whatever is
/// accepted says the same after another round trip.
TEST(RequestProperty, AnyBytesAreDecodedOrRefused) {
  Rng rng(20240607);
  Value::Map goal = op_map("goal");
  goal["latency_s"] = 0.1;
  goal["accuracy"] = 0.7;
  goal["objective"] = "energy";
  Value::Map infer = infer_map();
  infer["deadline_s"] = 0.25;
  const std::vector<std::string> seeds = {pack(Value(infer)), pack(Value(goal)), pack(Value(op_map("metrics")))};
  int accepted = 0;
  for (int round = 0; round < 60'000; ++round) {
    std::string map;
    if (rng.below(4) == 0) {
      map.resize(rng.index(64));
      for (char& c : map) c = static_cast<char>(rng.below(256));
    } else {
      map = seeds[rng.index(seeds.size())];
      for (std::uint64_t edits = rng.below(4); edits > 0 && !map.empty(); --edits) {
        const std::size_t at = rng.index(map.size());
        switch (rng.below(4)) {
          case 0:
            map[at] = static_cast<char>(rng.below(256));
            break;
          case 1:
            map.resize(at);
            break;
          case 2:
            map.insert(at, 1, static_cast<char>(rng.below(256)));
            break;
          default:
            map[at] = static_cast<char>(static_cast<unsigned char>(map[at]) ^ (1U << rng.below(8)));
            break;
        }
      }
    }
    const std::string tensor(rng.below(3) == 0 ? rng.index(20) : 12, 'x');
    const Decoded got = rng.below(2) == 0 ? decode(map, tensor) : decode(map);
    if (!got.request) {
      ASSERT_FALSE(got.request.error().message.empty());
      continue;
    }
    ++accepted;
    std::optional<std::string> frame;
    if (const auto* body = std::get_if<Infer>(&got.request->body)) {
      std::size_t elements = 1;
      for (const std::int64_t extent : body->tensor.shape) elements *= static_cast<std::size_t>(extent);
      ASSERT_EQ(elements * size_of(body->tensor.dtype), body->tensor.bytes.size());
      ASSERT_GT(body->deadline_s.value_or(1), 0);
      frame = std::string(body->tensor.bytes);
    }
    const std::string once = encode_request(*got.request);
    const Decoded again = decode(once, frame);
    ASSERT_TRUE(again.request) << again.request.error().message;
    ASSERT_EQ(encode_request(*again.request), once);
  }
  EXPECT_GT(accepted, 1000) << "the property is hardly exercised";
}

}  // namespace
}  // namespace reins::protocol
