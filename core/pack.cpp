#include "core/pack.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <msgpack.hpp>

#include "core/csv.hpp"

namespace reins {

bool operator==(const Value& a, const Value& b) {
  if (a.data_.index() != b.data_.index()) return false;
  if (const std::string* bytes = a.binary()) return *bytes == *b.binary();
  if (const auto* x = std::get_if<bool>(&a.data_)) return *x == std::get<bool>(b.data_);
  if (const auto* x = a.integer()) return *x == *b.integer();
  if (const auto* x = std::get_if<double>(&a.data_)) return *x == std::get<double>(b.data_);
  if (const auto* x = a.text()) return *x == *b.text();
  if (const auto* x = a.array()) return *x == *b.array();
  if (const auto* x = a.map()) return *x == *b.map();
  return true;
}

bool Value::number(double& out) const noexcept {
  if (const auto* x = std::get_if<double>(&data_)) {
    out = *x;
    return std::isfinite(out);
  }
  if (const auto* x = integer()) {
    out = static_cast<double>(*x);
    return true;
  }
  return false;
}

const std::string* Value::binary() const noexcept {
  const auto* b = std::get_if<Binary>(&data_);
  return b == nullptr ? nullptr : &b->bytes;
}

const Value* Value::find(std::string_view key) const noexcept {
  const Map* m = map();
  if (m == nullptr) return nullptr;
  const auto found = m->find(key);
  return found == m->end() ? nullptr : &found->second;
}

namespace {

Error no_such(std::string_view key, std::string_view wanted, std::string_view where) {
  return Error(ErrorKind::kGarbled, "'" + std::string(key) + "' is missing or not " + std::string(wanted), where);
}

Error out_of_range(std::string_view key, double value, double low, double high, std::string_view where) {
  return Error(ErrorKind::kGarbled,
               "'" + std::string(key) + "' is " + format_number(value) + ", outside " + format_number(low) + " to " +
                   format_number(high),
               where);
}

}  // namespace

Result<double> Value::number_at(std::string_view key, std::string_view where, double low, double high) const {
  const Value* v = find(key);
  double x = 0;
  if (v == nullptr || !v->number(x)) return fail(no_such(key, "a finite number", where));
  if (x < low || x > high) return fail(out_of_range(key, x, low, high, where));
  return x;
}

Result<std::int64_t> Value::integer_at(std::string_view key, std::string_view where, std::int64_t low,
                                       std::int64_t high) const {
  const Value* v = find(key);
  if (v == nullptr || v->integer() == nullptr) return fail(no_such(key, "an integer", where));
  const std::int64_t x = *v->integer();
  if (x < low || x > high) {
    return fail(out_of_range(key, static_cast<double>(x), static_cast<double>(low), static_cast<double>(high), where));
  }
  return x;
}

Result<bool> Value::boolean_at(std::string_view key, std::string_view where) const {
  const Value* v = find(key);
  if (v == nullptr || v->boolean() == nullptr) return fail(no_such(key, "true or false", where));
  return *v->boolean();
}

Result<std::string> Value::text_at(std::string_view key, std::string_view where) const {
  const Value* v = find(key);
  if (v == nullptr || v->text() == nullptr) return fail(no_such(key, "a string", where));
  return *v->text();
}

Result<std::string> Value::binary_at(std::string_view key, std::string_view where) const {
  const Value* v = find(key);
  if (v == nullptr || v->binary() == nullptr) return fail(no_such(key, "binary", where));
  return *v->binary();
}

Result<const Value::Array*> Value::array_at(std::string_view key, std::string_view where) const {
  const Value* v = find(key);
  if (v == nullptr || v->array() == nullptr) return fail(no_such(key, "an array", where));
  return v->array();
}

Result<const Value*> Value::map_at(std::string_view key, std::string_view where) const {
  const Value* v = find(key);
  if (v == nullptr || v->map() == nullptr) return fail(no_such(key, "a map", where));
  return v;
}

namespace {

/// msgpack-cxx writes a float without a fraction as an integer. For -0 and beyond 64 signed bits that is another value,
/// or none that `unpack` takes: those are written as they are.
void pack_float(msgpack::sbuffer& buffer, msgpack::packer<msgpack::sbuffer>& packer, double x) {
  const auto bits = std::bit_cast<std::uint64_t>(x);
  if (std::abs(x) < 0x1p63 && bits != std::bit_cast<std::uint64_t>(-0.0)) {
    packer.pack_double(x);
    return;
  }
  std::array<char, 9> bytes{'\xcb'};
  for (std::size_t i = 0; i < 8; ++i) bytes[i + 1] = static_cast<char>((bits >> (56 - 8 * i)) & 0xFFU);
  buffer.write(bytes.data(), bytes.size());
}

void pack_into(msgpack::sbuffer& buffer, msgpack::packer<msgpack::sbuffer>& packer, const Value& value) {
  double x = 0;
  if (const bool* b = value.boolean()) {
    *b ? packer.pack_true() : packer.pack_false();
  } else if (const std::int64_t* i = value.integer()) {
    packer.pack_int64(*i);
  } else if (const std::string* s = value.text()) {
    packer.pack_str(static_cast<std::uint32_t>(s->size()));
    packer.pack_str_body(s->data(), static_cast<std::uint32_t>(s->size()));
  } else if (const std::string* b = value.binary()) {
    packer.pack_bin(static_cast<std::uint32_t>(b->size()));
    packer.pack_bin_body(b->data(), static_cast<std::uint32_t>(b->size()));
  } else if (const Value::Array* a = value.array()) {
    packer.pack_array(static_cast<std::uint32_t>(a->size()));
    for (const Value& element : *a) pack_into(buffer, packer, element);
  } else if (const Value::Map* m = value.map()) {
    packer.pack_map(static_cast<std::uint32_t>(m->size()));
    for (const auto& [key, element] : *m) {
      packer.pack_str(static_cast<std::uint32_t>(key.size()));
      packer.pack_str_body(key.data(), static_cast<std::uint32_t>(key.size()));
      pack_into(buffer, packer, element);
    }
  } else if (value.number(x)) {
    pack_float(buffer, packer, x);
  } else {
    packer.pack_nil();
  }
}

Result<Value> convert(const msgpack::object& object, std::string_view where) {
  switch (object.type) {
    case msgpack::type::NIL:
      return Value();
    case msgpack::type::BOOLEAN:
      return Value(object.via.boolean);
    case msgpack::type::POSITIVE_INTEGER:
      if (object.via.u64 > static_cast<std::uint64_t>(INT64_MAX)) {
        return fail(ErrorKind::kGarbled, "an integer beyond 64 signed bits", where);
      }
      return Value(static_cast<std::int64_t>(object.via.u64));
    case msgpack::type::NEGATIVE_INTEGER:
      return Value(object.via.i64);
    case msgpack::type::FLOAT32:
    case msgpack::type::FLOAT64:
      return Value(object.via.f64);
    case msgpack::type::STR:
      return Value(std::string(object.via.str.ptr, object.via.str.size));
    case msgpack::type::BIN:
      return Value(Value::Binary{std::string(object.via.bin.ptr, object.via.bin.size)});
    case msgpack::type::ARRAY: {
      Value::Array array;
      array.reserve(object.via.array.size);
      for (std::uint32_t i = 0; i < object.via.array.size; ++i) {
        REINS_ASSIGN(Value element, convert(object.via.array.ptr[i], where));
        array.push_back(std::move(element));
      }
      return Value(std::move(array));
    }
    case msgpack::type::MAP: {
      Value::Map map;
      for (std::uint32_t i = 0; i < object.via.map.size; ++i) {
        const msgpack::object_kv& entry = object.via.map.ptr[i];
        if (entry.key.type != msgpack::type::STR)
          return fail(ErrorKind::kGarbled, "a map key that is no string", where);
        REINS_ASSIGN(Value element, convert(entry.val, where));
        if (!map.emplace(std::string(entry.key.via.str.ptr, entry.key.via.str.size), std::move(element)).second) {
          return fail(ErrorKind::kGarbled, "a map key stands twice", where);
        }
      }
      return Value(std::move(map));
    }
    default:
      return fail(ErrorKind::kGarbled, "a msgpack extension type", where);
  }
}

}  // namespace

std::string pack(const Value& value) {
  msgpack::sbuffer buffer;
  msgpack::packer<msgpack::sbuffer> packer(buffer);
  pack_into(buffer, packer, value);
  return std::string(buffer.data(), buffer.size());
}

Result<Value> unpack(std::string_view bytes, std::string_view where, const PackLimits& limits) {
  if (bytes.size() > limits.max_bytes) return fail(ErrorKind::kGarbled, "message is over its size limit", where);
  try {
    std::size_t offset = 0;
    // An element takes a byte at least: a few bytes that announce a million make no room for them.
    const std::size_t max_elements = std::min(limits.max_elements, bytes.size());
    const msgpack::unpack_limit bound(max_elements, max_elements, limits.max_bytes, limits.max_bytes, 0,
                                      limits.max_depth);
    const msgpack::object_handle handle = msgpack::unpack(bytes.data(), bytes.size(), offset, nullptr, nullptr, bound);
    if (offset != bytes.size()) return fail(ErrorKind::kGarbled, "bytes behind the end of the message", where);
    return convert(handle.get(), where);
  } catch (const std::exception&) {
    return fail(ErrorKind::kGarbled, "not a whole msgpack value", where, "the file or message is cut or damaged");
  }
}

}  // namespace reins
