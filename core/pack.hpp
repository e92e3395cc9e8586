// core/pack.hpp: msgpack, written from and read into a small tree of values, within bounds.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/result.hpp"

namespace reins {

/// A msgpack value: nil, bool, integer, float, string, binary, array or map with string keys.
/// Thin over msgpack-cxx, which is not seen outside pack.cpp.
class Value {
 public:
  using Array = std::vector<Value>;
  using Map = std::map<std::string, Value, std::less<>>;
  struct Binary {
    std::string bytes;
  };

  Value() = default;
  Value(bool v) : data_(v) {}                            // NOLINT: implicit on purpose, trees read like literals
  Value(int v) : data_(static_cast<std::int64_t>(v)) {}  // NOLINT
  Value(std::int64_t v) : data_(v) {}                    // NOLINT
  Value(std::uint64_t v) : data_(static_cast<std::int64_t>(v)) {}  // NOLINT
  Value(double v) : data_(v) {}                                    // NOLINT
  Value(const char* v) : data_(std::string(v)) {}                  // NOLINT
  Value(std::string_view v) : data_(std::string(v)) {}             // NOLINT
  Value(std::string v) : data_(std::move(v)) {}                    // NOLINT
  Value(Binary v) : data_(std::move(v)) {}                         // NOLINT
  Value(Array v) : data_(std::move(v)) {}                          // NOLINT
  Value(Map v) : data_(std::move(v)) {}                            // NOLINT

  bool is_nil() const noexcept { return std::holds_alternative<std::monostate>(data_); }
  const bool* boolean() const noexcept { return std::get_if<bool>(&data_); }
  const std::int64_t* integer() const noexcept { return std::get_if<std::int64_t>(&data_); }
  /// A float, or an integer as a float.
  bool number(double& out) const noexcept;
  const std::string* text() const noexcept { return std::get_if<std::string>(&data_); }
  const std::string* binary() const noexcept;
  const Array* array() const noexcept { return std::get_if<Array>(&data_); }
  const Map* map() const noexcept { return std::get_if<Map>(&data_); }

  // Look-ups in a map; `where` names the message or file in errors.
  const Value* find(std::string_view key) const noexcept;
  Result<double> number_at(std::string_view key, std::string_view where, double low, double high) const;
  Result<std::int64_t> integer_at(std::string_view key, std::string_view where, std::int64_t low,
                                  std::int64_t high) const;
  Result<bool> boolean_at(std::string_view key, std::string_view where) const;
  Result<std::string> text_at(std::string_view key, std::string_view where) const;
  Result<std::string> binary_at(std::string_view key, std::string_view where) const;
  Result<const Array*> array_at(std::string_view key, std::string_view where) const;
  Result<const Value*> map_at(std::string_view key, std::string_view where) const;

  friend bool operator==(const Value& a, const Value& b);

 private:
  std::variant<std::monostate, bool, std::int64_t, double, std::string, Binary, Array, Map> data_;
};

std::string pack(const Value& value);

/// Bounds on what a reader accepts: beyond them it is garbled, however well-formed.
struct PackLimits {
  std::size_t max_bytes = std::size_t{64} << 20;
  std::size_t max_elements = 1 << 20;  ///< of one array or map
  std::size_t max_depth = 16;
};

/// The whole of `bytes` as one value. Errors: kGarbled (not msgpack, trailing bytes, over a bound, a key that is no
/// string).
Result<Value> unpack(std::string_view bytes, std::string_view where, const PackLimits& limits = {});

}  // namespace reins
