// policies/c_header.hpp: a frozen policy as one self-contained C99 header, for firmware and for people without C++.
#pragma once

#include <string>

#include "policies/policy_file.hpp"

namespace reins::policies {

/// The header's text: `reins_decide(features, mask)`, the tables it needs, and `reins_selftest()`, which repeats the
/// policy's examples and returns how many come out otherwise. Names begin with `reins_`, so one header to a program.
/// The same decisions as the policy file, given a compiler that fuses no multiply-add (-std=c99, or -ffp-contract=off).
std::string c_header(const PolicyFile& file);

}  // namespace reins::policies
