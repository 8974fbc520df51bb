#pragma once
// Durations and byte sizes as Go programs write them. Pure and thread-safe.
//
// Which function where: LogQL's lexer reads a duration literal with parse_prometheus_duration and
// falls back to parse_duration (see parse_logql_duration); label values in duration filters and
// unwrap duration() use parse_duration alone; byte literals, byte filters and unwrap bytes() use
// parse_bytes. Rule files, Promtail's and Loki's configuration use Prometheus durations.

#include <cstdint>
#include <string>
#include <string_view>

#include "proto/base/status.h"

namespace skald::gotext {

// time.ParseDuration: "1h2m3.5s", "-1.5h", "0"; units ns us µs μs ms s m h. Nanoseconds.
// Error text: `time: invalid duration "x"`, `time: missing unit in duration "1"`, ...
base::Result<std::int64_t> parse_duration(std::string_view text);
// time.Duration.String: "1h2m3.5s", "1.5µs", "0s".
std::string format_duration(std::int64_t duration_ns);
// time.Duration.Seconds: whole seconds and fraction are added as doubles, as Go does.
double duration_seconds(std::int64_t duration_ns) noexcept;

// model.ParseDuration: "1y2w3d4h5m6s7ms" in this order, each once, integers only; "0".
// Error text: `not a valid duration string: "x"`, `empty duration string`,
// `duration out of range`.
base::Result<std::int64_t> parse_prometheus_duration(std::string_view text);
// model.ParseDurationAllowNegative
base::Result<std::int64_t> parse_prometheus_duration_signed(std::string_view text);
// model.Duration.String: "1d", "90m" -> "1h30m", years and weeks only when they divide evenly,
// "0s". Truncates to milliseconds.
std::string format_prometheus_duration(std::int64_t duration_ns);
// LogQL's literals: Prometheus' form, else Go's.
base::Result<std::int64_t> parse_logql_duration(std::string_view text);

// humanize.ParseBytes: "42 MB", "42mib", "1,005.03 KB"; SI units are powers of 1000, IEC of 1024.
// Fractions of a byte are dropped. Error text: `unhandled size name: x`, `too large: x`, or
// ParseFloat's.
base::Result<std::uint64_t> parse_bytes(std::string_view text);
std::string format_bytes(std::uint64_t bytes);   // humanize.Bytes:  "83 MB"
std::string format_ibytes(std::uint64_t bytes);  // humanize.IBytes: "79 MiB"

}  // namespace skald::gotext
