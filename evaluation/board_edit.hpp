// evaluation/board_edit.hpp: puts fitted constants into the text of a board file and leaves everything else, comments
// and order too, as it stands.
#pragma once

#include <string>
#include <string_view>

#include "evaluation/board_fit.hpp"

namespace reins::evaluation {

/// `text`: the base board file; `note`: comment lines for its head, without '#'. Keys with a kept prior are not
/// touched. The result is read back and compared with `fit.board`. Errors: garbled (a table that is written in a way
/// this cannot edit, such as inline; with what to do), those of boards::parse_board.
Result<std::string> edited_board(std::string_view text, std::string_view where, const BoardFit& fit,
                                 std::string_view note);

}  // namespace reins::evaluation
