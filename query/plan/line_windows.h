#pragma once
// Looks for a match in the lines of a block without rebuilding them: an automaton reads the
// literals of the shape once and each distinct value of a column once for each state it is in.
//
// The window of a line is the run of its pieces from the last place where no match had begun to the
// place where nothing that follows can change the leftmost match. It has that match with the same
// groups: it is a part of the line with all its bytes, no match of the line begins before it, every
// match in it is one of the line, and there are no assertions but a leading ^ (then it begins with
// the line).

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "proto/base/status.h"
#include "query/plan/line_automaton.h"
#include "store/scan.h"

namespace skald::query::plan {

// Keeps the selected rows whose lines match. False: not decided, and nothing is taken out.
base::Result<bool> keep_matching(store::Block& block, const LineAutomaton& automaton,
                                 store::Selection& selection);

// Selected rows, divided so that those of a group have the same window: a part of the line that to
// the stage is as good as the line.
struct LineWindows {
  struct Window {
    std::string text;
    bool unknown = false;  // the stage needs the whole line
  };
  std::vector<Window> windows;
  std::vector<std::uint32_t> ids;  // by selected row; empty: all have windows[0]
};
// Nothing: the block is not for it, or there are too many windows.
base::Result<std::optional<LineWindows>> find_windows(store::Block& block,
                                                      const LineAutomaton& automaton,
                                                      const store::Selection& selection);

}  // namespace skald::query::plan
