// msgpack trees: round trips, bounds, and bytes that are no msgpack.
#include "core/pack.hpp"

#include <cmath>
#include <limits>

#include "core/rng.hpp"
#include "tests/support/matchers.hpp"

namespace reins {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::IsError;

std::string random_bytes(Rng& rng, std::size_t most) {
  std::string bytes(rng.index(most + 1), '\0');
  for (char& c : bytes) c = static_cast<char>(rng.below(256));
  return bytes;
}

Value random_value(Rng& rng, int depth) {
  switch (rng.below(depth > 0 ? 8 : 6)) {
    case 0:
      return Value();
    case 1:
      return Value(rng.below(2) == 1);
    case 2:
      return Value(static_cast<std::int64_t>(rng.next()));
    case 3:
      return Value(rng.normal() * 1e30);
    case 4:
      return Value(random_bytes(rng, 40));
    case 5:
      return Value(Value::Binary{random_bytes(rng, 300)});
    case 6: {
      Value::Array array;
      for (std::uint64_t n = rng.below(6); n > 0; --n) array.push_back(random_value(rng, depth - 1));
      return Value(std::move(array));
    }
    default: {
      Value::Map map;
      for (std::uint64_t n = rng.below(6); n > 0; --n) map[random_bytes(rng, 8)] = random_value(rng, depth - 1);
      return Value(std::move(map));
    }
  }
}

TEST(Pack, RoundTripsAnyTree) {
  Rng rng(7);
  for (int i = 0; i < 2000; ++i) {
    const Value value = random_value(rng, 4);
    const auto back = unpack(pack(value), "here");
    ASSERT_OK(back);
    EXPECT_EQ(*back, value) << "tree " << i;
  }
}

TEST(Pack, RoundTripsTheExtremes) {
  for (const std::int64_t x : {INT64_MIN, INT64_MIN + 1, std::int64_t{-1}, std::int64_t{0}, INT64_MAX}) {
    EXPECT_EQ(*unpack(pack(Value(x)), "here"), Value(x));
  }
  for (const double x : {0.0, -0.0, 3.0, -7.0, 5e-324, 1e19, -1e19, 0x1p63, std::numeric_limits<double>::max()}) {
    double back = 1;
    EXPECT_TRUE(unpack(pack(Value(x)), "here")->number(back)) << x;
    EXPECT_EQ(back, x);
  }
  // Only that of -0 would show in no comparison.
  double zero = 1;
  EXPECT_TRUE(unpack(pack(Value(-0.0)), "here")->number(zero) && std::signbit(zero));
  EXPECT_THAT(unpack("\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "here"),
              IsError(ErrorKind::kGarbled, HasSubstr("64 signed bits")));
}

TEST(Pack, EveryTruncationIsGarbled) {
  const std::string whole =
      pack(Value(Value::Map{{"a", Value(Value::Array{1, 2.5, "text"})}, {"b", Value(Value::Binary{"xyz"})}}));
  for (std::size_t n = 0; n < whole.size(); ++n) {
    EXPECT_THAT(unpack(std::string_view(whole).substr(0, n), "file.x"),
                IsError(ErrorKind::kGarbled, HasSubstr("file.x")))
        << n << " bytes";
  }
  EXPECT_THAT(unpack(whole + "\xc0", "file.x"), IsError(ErrorKind::kGarbled, HasSubstr("behind the end")));
}

TEST(Pack, RandomAndDamagedBytesNeverDoMoreThanFail) {
  Rng rng(11);
  const std::string whole = pack(random_value(rng, 6));
  int accepted = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string bytes = i % 2 == 0 ? random_bytes(rng, 64) : whole;
    if (i % 2 == 1 && !bytes.empty()) bytes[rng.index(bytes.size())] = static_cast<char>(rng.below(256));
    const auto value = unpack(bytes, "fuzz");
    if (!value.has_value()) {
      EXPECT_EQ(value.error().kind(), ErrorKind::kGarbled);
      continue;
    }
    ++accepted;
    EXPECT_OK(unpack(pack(*value), "again")) << "what was read can be written and read";
  }
  EXPECT_GT(accepted, 100);
}

TEST(Pack, BoundsHoldHoweverWellFormedTheBytesAre) {
  Value deep = 1;
  for (int i = 0; i < 40; ++i) deep = Value(Value::Array{deep});
  EXPECT_THAT(unpack(pack(deep), "deep"), IsError(ErrorKind::kGarbled, HasSubstr("deep")));
  const std::string wide = pack(Value(Value::Array(100, Value(1))));
  EXPECT_OK(unpack(wide, "wide", {.max_elements = 100}));
  EXPECT_THAT(unpack(wide, "wide", {.max_elements = 99}), IsError(ErrorKind::kGarbled, HasSubstr("wide")));
  EXPECT_THAT(unpack(wide, "wide", {.max_bytes = wide.size() - 1}),
              IsError(ErrorKind::kGarbled, HasSubstr("size limit")));
  // An array that claims four thousand million elements and brings none: no memory is taken for it.
  EXPECT_THAT(unpack(std::string("\xdd\xff\xff\xff\xff", 5), "liar"), IsError(ErrorKind::kGarbled, HasSubstr("liar")));
}

TEST(Pack, RefusesKeysThatAreNoStringsOrStandTwice) {
  EXPECT_THAT(unpack(std::string("\x81\x01\x02", 3), "here"), IsError(ErrorKind::kGarbled, HasSubstr("no string")));
  EXPECT_THAT(unpack(std::string("\x82\xa1\x61\x01\xa1\x61\x02", 7), "here"),
              IsError(ErrorKind::kGarbled, HasSubstr("twice")));
  EXPECT_THAT(unpack(std::string("\xd4\x01\x00", 3), "here"), IsError(ErrorKind::kGarbled, HasSubstr("here")));
}

TEST(Pack, LookUpsNameTheKeyTheBoundAndThePlace) {
  const Value map(Value::Map{{"n", 7}, {"x", 2.5}, {"t", "text"}, {"nan", std::nan("")}});
  EXPECT_EQ(*map.integer_at("n", "m", 0, 7), 7);
  EXPECT_DOUBLE_EQ(*map.number_at("n", "m", 0, 10), 7) << "an integer is a number";
  EXPECT_THAT(map.integer_at("n", "m", 0, 6),
              IsError(ErrorKind::kGarbled, AllOf(HasSubstr("'n' is 7"), HasSubstr("0 to 6"))));
  EXPECT_THAT(map.integer_at("x", "m", 0, 6),
              IsError(ErrorKind::kGarbled, HasSubstr("'x' is missing or not an integer")));
  EXPECT_THAT(map.number_at("nan", "m", 0, 6), IsError(ErrorKind::kGarbled, HasSubstr("'nan'")));
  EXPECT_THAT(map.text_at("n", "m"), IsError(ErrorKind::kGarbled, HasSubstr("'n'")));
  EXPECT_THAT(map.binary_at("t", "m"), IsError(ErrorKind::kGarbled, HasSubstr("'t'")));
  EXPECT_THAT(map.array_at("none", "m"), IsError(ErrorKind::kGarbled, HasSubstr("'none'")));
  EXPECT_THAT(Value(3).map_at("k", "m"), IsError(ErrorKind::kGarbled, HasSubstr("m: ")));
}

}  // namespace
}  // namespace reins
