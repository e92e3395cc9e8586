// data/cifar10.hpp: what CIFAR-10's reader makes of bytes, without their files.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "core/result.hpp"
#include "data/image_set.hpp"

namespace reins::data {

/// Appends records `first` to `last` - 1 of a file's bytes. Errors, naming `where`: garbled (fewer whole records than
/// `last`, a label above 9); what came before the bad record is appended then.
Status append_cifar10(ImageSet& images, std::string_view bytes, std::size_t first, std::size_t last,
                      std::string_view where);

using Md5Sums = std::map<std::string, std::string, std::less<>>;

/// MD5SUMS as md5sum writes it, "<32 hex digits>  <file>" per line: the sums by file. Any text is taken; a line of
/// another form names no file that is asked for.
Md5Sums parse_md5sums(std::string_view text);

}  // namespace reins::data
