#pragma once
// Times as they stand in log lines: an entry whose time is written in its own line need not carry
// it a second time (PUSH.md, field 101). The nanoseconds of an entry are as good as random to a
// compressor: leaving them out makes a batch of structlog lines a fifth smaller.
//
// What is understood, and nothing else:
//   YYYY-MM-DD ("T" | "t" | " ") HH:MM:SS [("." | ",") 1..9 digits] ["Z" | "z" | (+|-)HH:MM]
// Without a zone it is UTC. The text ends where this form ends; what follows does not matter.
// Plain functions, safe from any thread.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace skald::wire {

// The time at the start of `text`; none if it is not of that form or out of range (before 1970 or
// after 2261).
std::optional<std::int64_t> read_line_time(std::string_view text) noexcept;

// How many bytes before the end of `line` a text starts that reads as exactly `time_ns`; 0: none.
// `hint` is tried first: the answer for the line before, or 0.
std::size_t find_line_time(std::string_view line, std::int64_t time_ns, std::size_t hint) noexcept;

inline constexpr std::size_t kTimeDigitsMax = 29;  // without its zone

// How a time is written, whatever its digits say.
struct TimeForm {
  std::size_t digits_size = 0;  // up to the last digit before the zone; 0: not of a form above
  std::int64_t unit_ns = 0;     // of the last digit
  std::int64_t zone_s = 0;      // east of UTC
};
TimeForm time_form(std::string_view text) noexcept;

// The first form.digits_size bytes of `text` with every digit a zero.
void blank_time(char* text, std::size_t digits_size) noexcept;

// Writes times over texts of their form. One thread; remembers the last day.
class TimeWriter {
 public:
  // `time_ns` is a multiple of form.unit_ns. False: read_line_time would refuse the time.
  bool write(char* text, const TimeForm& form, std::int64_t time_ns) noexcept;

 private:
  std::int64_t day_ = -1;
  char date_[10] = {};
};

}  // namespace skald::wire
