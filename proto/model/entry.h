#pragma once
// An entry: one log line with its time and its structured metadata, as pushed and as given back.

#include <compare>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "proto/model/labels.h"

namespace skald::model {

// Unix time in nanoseconds, the resolution of Loki's protocol.
using TimestampNs = std::int64_t;

// Half-open: start <= t < end.
struct TimeRange {
  TimestampNs start_ns = 0;
  TimestampNs end_ns = std::numeric_limits<TimestampNs>::max();
  bool contains(TimestampNs t) const noexcept { return t >= start_ns && t < end_ns; }
  bool overlaps(TimestampNs min_ns, TimestampNs max_ns) const noexcept {  // closed [min, max]
    return max_ns >= start_ns && min_ns < end_ns;
  }
};

enum class Direction : unsigned char { kBackward, kForward };

// Names a stream within a tenant: the hash of its labels. Hashes may collide (and be made to): the
// index compares labels in full and gives the later stream the next free number.
struct StreamId {
  std::uint64_t value = 0;
  friend auto operator<=>(const StreamId&, const StreamId&) = default;
};

// Owns nothing: line and metadata borrow from the request or block that produced the entry.
struct EntryView {
  TimestampNs timestamp_ns = 0;
  std::string_view line;             // any bytes, no trailing newline
  const Labels* metadata = nullptr;  // structured metadata; null or empty: none
};

struct Entry {
  TimestampNs timestamp_ns = 0;
  std::string line;
  Labels metadata;
};

}  // namespace skald::model
