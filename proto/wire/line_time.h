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

}  // namespace skald::wire
