#pragma once
// Many lines of one stream as one text and one column of notes (PUSH.md, LineBlock): no field per
// entry, and the digits of the times that stand in the lines are zeros. What differs from line to
// line is then nearly all that a compressor has to write down: structlog batches are a tenth
// smaller than as entries, at the fastest level, and read back in place.
//
// A line's note is a varint: zigzag(steps) << 1 | has_shape. Steps count from the time of the line
// before (0 at the block's start), both divided by the unit: of the last digit of the time in the
// line, else 1 ns. With has_shape two varints follow: how many bytes before the line's end its time
// stands (0: nowhere), which holds until the next shape, and how many newlines are in this line.

#include <cstdint>
#include <string>
#include <string_view>

#include "proto/base/status.h"
#include "proto/wire/line_time.h"

namespace skald::wire {

class LineBlockWriter {
 public:
  struct Placed {
    bool held = false;            // false: no block can say this time; send it as an entry
    std::size_t before_end = 0;   // where the time text begins; 0: none in the line
    std::size_t digits_size = 0;  // of it to be blanked (see blank_time)
  };
  // Appends the note of `line` to `notes`. The caller appends the line to the text, blanked, and a
  // newline.
  Placed add(std::string_view line, std::int64_t time_ns, std::string& notes);

 private:
  std::int64_t time_ns_ = 0;
  std::size_t before_end_ = 0;
};

class LineBlockReader {
 public:
  // `text` is written to: the times are put back. Both live as long as the lines.
  LineBlockReader(char* text, std::size_t size, std::string_view notes) noexcept;
  // False: at the end, or failed().
  bool next(std::string_view& line, std::int64_t& time_ns) noexcept;
  bool failed() const noexcept { return failed_; }

 private:
  bool fail() noexcept {
    failed_ = true;
    return false;
  }
  std::uint64_t note() noexcept;
  char* line_end(std::uint64_t newlines) noexcept;

  char* at_;
  char* const end_;
  const char* notes_;
  const char* const notes_end_;
  std::int64_t time_ns_ = 0;
  std::uint64_t before_end_ = 0;
  TimeWriter times_;
  bool failed_ = false;
};

}  // namespace skald::wire
