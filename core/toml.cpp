#include "core/toml.hpp"

#include <toml++/toml.h>

#include <cmath>
#include <set>
#include <sstream>

#include "core/csv.hpp"
#include "core/file.hpp"

namespace reins {

struct TomlTable::Impl {
  std::shared_ptr<toml::table> root;  // keeps `table` alive
  const toml::table* table = nullptr;
  std::string where;
  mutable std::set<std::string, std::less<>> asked;

  const toml::node* find(std::string_view key) const {
    asked.emplace(key);
    return table->get(key);
  }
};

Result<TomlTable> TomlTable::parse(std::string_view text, std::string_view where) {
  auto impl = std::make_shared<Impl>();
  impl->where = where;
  try {
    impl->root = std::make_shared<toml::table>(toml::parse(text, where));
  } catch (const toml::parse_error& error) {
    return fail(ErrorKind::kGarbled, error.description(),
                std::string(where) + ":" + std::to_string(error.source().begin.line));
  }
  impl->table = impl->root.get();
  return TomlTable(std::move(impl));
}

Result<TomlTable> TomlTable::read(const std::filesystem::path& path) {
  REINS_ASSIGN(const std::string bytes, read_file(path, std::size_t{4} << 20));
  return parse(bytes, path.native());
}

std::string TomlTable::place(std::string_view key) const {
  const toml::node* node = impl_->table->get(key);
  const auto line = (node != nullptr ? node->source() : impl_->table->source()).begin.line;
  return impl_->where + ":" + std::to_string(line);
}

bool TomlTable::has(std::string_view key) const { return impl_->find(key) != nullptr; }

namespace {

tl::unexpected<Error> missing(const TomlTable& table, std::string_view key) {
  return fail(ErrorKind::kGarbled, "the key '" + std::string(key) + "' is missing", table.place(key));
}

tl::unexpected<Error> wrong_type(const TomlTable& table, std::string_view key, std::string_view wanted) {
  return fail(ErrorKind::kGarbled, "'" + std::string(key) + "' is not " + std::string(wanted), table.place(key));
}

Result<double> number_in(const TomlTable& table, std::string_view key, const toml::node& node, double low,
                         double high) {
  const auto value = node.value<double>();
  if (!value || node.is_boolean() || node.is_string() || !std::isfinite(*value))
    return wrong_type(table, key, "a number");
  if (*value < low || *value > high) {
    return fail(ErrorKind::kGarbled,
                "'" + std::string(key) + "' is " + format_number(*value) + ", outside " + format_number(low) + " to " +
                    format_number(high),
                table.place(key));
  }
  return *value;
}

}  // namespace

Result<double> TomlTable::number(std::string_view key, double low, double high) const {
  const toml::node* node = impl_->find(key);
  if (node == nullptr) return missing(*this, key);
  return number_in(*this, key, *node, low, high);
}

Result<std::int64_t> TomlTable::integer(std::string_view key, std::int64_t low, std::int64_t high) const {
  const toml::node* node = impl_->find(key);
  if (node == nullptr) return missing(*this, key);
  if (!node->is_integer()) return wrong_type(*this, key, "an integer");
  const std::int64_t value = node->as_integer()->get();
  if (value < low || value > high) {
    return fail(ErrorKind::kGarbled,
                "'" + std::string(key) + "' is " + std::to_string(value) + ", outside " + std::to_string(low) + " to " +
                    std::to_string(high),
                place(key));
  }
  return value;
}

Result<bool> TomlTable::boolean(std::string_view key) const {
  const toml::node* node = impl_->find(key);
  if (node == nullptr) return missing(*this, key);
  if (!node->is_boolean()) return wrong_type(*this, key, "true or false");
  return node->as_boolean()->get();
}

Result<std::string> TomlTable::text(std::string_view key) const {
  const toml::node* node = impl_->find(key);
  if (node == nullptr) return missing(*this, key);
  if (!node->is_string()) return wrong_type(*this, key, "a string");
  return node->as_string()->get();
}

Result<std::vector<double>> TomlTable::numbers(std::string_view key, double low, double high) const {
  const toml::node* node = impl_->find(key);
  if (node == nullptr) return missing(*this, key);
  const toml::array* array = node->as_array();
  if (array == nullptr) return wrong_type(*this, key, "an array of numbers");
  std::vector<double> values;
  for (const toml::node& element : *array) {
    REINS_ASSIGN(const double value, number_in(*this, key, element, low, high));
    values.push_back(value);
  }
  return values;
}

Result<std::vector<std::string>> TomlTable::texts(std::string_view key) const {
  const toml::node* node = impl_->find(key);
  if (node == nullptr) return missing(*this, key);
  const toml::array* array = node->as_array();
  if (array == nullptr) return wrong_type(*this, key, "an array of strings");
  std::vector<std::string> values;
  for (const toml::node& element : *array) {
    if (!element.is_string()) return wrong_type(*this, key, "an array of strings");
    values.push_back(element.as_string()->get());
  }
  return values;
}

Result<TomlTable> TomlTable::table(std::string_view key) const {
  const toml::node* node = impl_->find(key);
  if (node == nullptr) return missing(*this, key);
  if (!node->is_table()) return wrong_type(*this, key, "a table");
  auto impl = std::make_shared<Impl>();
  impl->root = impl_->root;
  impl->table = node->as_table();
  impl->where = impl_->where;
  return TomlTable(std::move(impl));
}

Result<std::vector<TomlTable>> TomlTable::tables(std::string_view key) const {
  std::vector<TomlTable> all;
  const toml::node* node = impl_->find(key);
  if (node == nullptr) return all;
  const toml::array* array = node->as_array();
  if (array == nullptr) return wrong_type(*this, key, "an array of tables ([[...]])");
  for (const toml::node& element : *array) {
    if (!element.is_table()) return wrong_type(*this, key, "an array of tables ([[...]])");
    auto impl = std::make_shared<Impl>();
    impl->root = impl_->root;
    impl->table = element.as_table();
    impl->where = impl_->where;
    all.push_back(TomlTable(std::move(impl)));
  }
  return all;
}

Result<double> TomlTable::number_or(std::string_view key, double fallback, double low, double high) const {
  return has(key) ? number(key, low, high) : Result<double>(fallback);
}
Result<std::int64_t> TomlTable::integer_or(std::string_view key, std::int64_t fallback, std::int64_t low,
                                           std::int64_t high) const {
  return has(key) ? integer(key, low, high) : Result<std::int64_t>(fallback);
}
Result<bool> TomlTable::boolean_or(std::string_view key, bool fallback) const {
  return has(key) ? boolean(key) : Result<bool>(fallback);
}
Result<std::string> TomlTable::text_or(std::string_view key, std::string_view fallback) const {
  return has(key) ? text(key) : Result<std::string>(std::string(fallback));
}

std::vector<std::string> TomlTable::keys() const {
  std::vector<std::string> all;
  for (const auto& [key, node] : *impl_->table) all.emplace_back(key.str());
  return all;
}

Status TomlTable::reject_unknown() const {
  for (const auto& [key, node] : *impl_->table) {
    if (!impl_->asked.contains(key.str())) {
      return fail(ErrorKind::kGarbled, "unknown key '" + std::string(key.str()) + "'", place(key.str()),
                  "remove it or correct its spelling");
    }
  }
  return {};
}

}  // namespace reins
