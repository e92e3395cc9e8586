// core/toml.hpp: a TOML document with typed, bounded look-ups whose errors name file, line and key.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"

namespace reins {

/// A table of a parsed document. Copies are cheap and share the document. Keys that are never asked for can be listed
/// (`unknown_keys`), so that a misspelt option is an error. Not thread-safe.
class TomlTable {
 public:
  static Result<TomlTable> parse(std::string_view text, std::string_view where);
  static Result<TomlTable> read(const std::filesystem::path& path);

  bool has(std::string_view key) const;
  /// A finite number (integer or float) in [low, high].
  Result<double> number(std::string_view key, double low, double high) const;
  Result<std::int64_t> integer(std::string_view key, std::int64_t low, std::int64_t high) const;
  Result<bool> boolean(std::string_view key) const;
  Result<std::string> text(std::string_view key) const;
  Result<std::vector<double>> numbers(std::string_view key, double low, double high) const;
  Result<std::vector<std::string>> texts(std::string_view key) const;
  Result<TomlTable> table(std::string_view key) const;
  /// [[key]]: empty where the key is absent.
  Result<std::vector<TomlTable>> tables(std::string_view key) const;

  // The same with a default where the key is absent.
  Result<double> number_or(std::string_view key, double fallback, double low, double high) const;
  Result<std::int64_t> integer_or(std::string_view key, std::int64_t fallback, std::int64_t low,
                                  std::int64_t high) const;
  Result<bool> boolean_or(std::string_view key, bool fallback) const;
  Result<std::string> text_or(std::string_view key, std::string_view fallback) const;

  std::vector<std::string> keys() const;
  /// An error that names the first key of this table (not of nested ones) that no look-up has asked for.
  Status reject_unknown() const;
  /// "<file>:<line>" of a key (of this table where the key is absent).
  std::string place(std::string_view key) const;

 private:
  struct Document;
  struct Impl;
  explicit TomlTable(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<Impl> impl_;
};

}  // namespace reins
