#pragma once
// "2006-01-02T15:04:05.999999999Z07:00", as Go's time.RFC3339Nano reads it.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace skald::wire {

// Unix nanoseconds; nothing if malformed or outside of what 64 bits hold (1677 to 2262).
std::optional<std::int64_t> parse_rfc3339(std::string_view text) noexcept;
// UTC, fraction without trailing zeros: "2023-11-14T22:13:20.123Z".
std::string format_rfc3339(std::int64_t time_ns);
// Days since 1970-01-01 of a proleptic Gregorian date.
std::int64_t days_from_civil(std::int64_t year, unsigned month, unsigned day) noexcept;

}  // namespace skald::wire
