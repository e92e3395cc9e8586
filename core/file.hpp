// core/file.hpp: whole files, read within a bound and written atomically.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

#include "core/result.hpp"

namespace reins {

/// The whole file. Errors: not_found, denied, io; kGarbled when it holds more than `max_bytes`.
Result<std::string> read_file(const std::filesystem::path& path, std::size_t max_bytes = std::size_t{1} << 30);

/// Writes to a temporary file beside `path`, fsyncs it, renames it over `path` and fsyncs the directory: after a kill
/// at any moment, `path` is the old file or the new one. Makes the parent folder where it is missing. Of a link its
/// target is replaced; a device or pipe is written into. Errors: denied, io; not_found for a link to nothing.
Status write_file_atomic(const std::filesystem::path& path, std::string_view bytes);

/// Whether write_file_atomic() could write `path`, found by making its temporary file: access() says yes to root in
/// folders that take no file. Leaves nothing behind, no folder either. Errors: as there, and kUsage for a folder.
Status check_writable(const std::filesystem::path& path);

/// CRC-32 (IEEE 802.3, reflected, as in zlib).
std::uint32_t crc32(std::string_view bytes) noexcept;

/// FNV-1a, 64 bits, as 16 hexadecimal digits: fingerprints of boards and networks (not cryptographic).
std::string fingerprint(std::string_view bytes);

}  // namespace reins
