#pragma once
// The directory layout and the names in it (LAYOUT.md). Names say all that recovery needs: a part's
// name carries its day, the WAL sequences it came from, and its level.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "proto/model/entry.h"

namespace skald::store::catalog {

struct Layout {
  std::string root;
  std::string format_file() const { return root + "/FORMAT"; }
  std::string lock_file() const { return root + "/LOCK"; }
  std::string checkpoint_file() const { return root + "/CHECKPOINT"; }
  std::string wal_directory() const { return root + "/wal"; }
  std::string index_directory() const { return root + "/index"; }
  std::string tenants_directory() const { return root + "/tenants"; }
  std::string tenant_directory(std::string_view tenant) const;
  std::string parts_directory(std::string_view tenant) const;
  std::string quarantine_directory(std::string_view tenant) const;
  std::string deletes_file(std::string_view tenant) const;
};

// Bytes other than [A-Za-z0-9_-] become %XX; a tenant of any bytes is one directory name.
std::string escape_tenant(std::string_view tenant);
std::optional<std::string> unescape_tenant(std::string_view directory);

// UTC days since 1970, rounded down.
std::int64_t day_of(model::TimestampNs time_ns) noexcept;
model::TimeRange range_of_day(std::int64_t day) noexcept;

struct PartName {
  std::int64_t day = 0;
  std::uint64_t first_sequence = 0;  // WAL records that may have rows in it, inclusive
  std::uint64_t last_sequence = 0;
  std::uint32_t level = 0;  // 0: from the head; a merge has one more than its inputs

  std::string to_string() const;  // "20781_00000000000000a1_00000000000000ff_0.part"
  static std::optional<PartName> parse(std::string_view file_name);
  // The other is an input of this one: it is superseded.
  bool covers(const PartName& other) const noexcept {
    return day == other.day && level > other.level && first_sequence <= other.first_sequence &&
           last_sequence >= other.last_sequence;
  }
  bool overlaps(const PartName& other) const noexcept {
    return day == other.day && first_sequence <= other.last_sequence &&
           last_sequence >= other.first_sequence;
  }
  friend auto operator<=>(const PartName&, const PartName&) = default;
};

}  // namespace skald::store::catalog
