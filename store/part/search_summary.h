#pragma once
// The search summary of a merged part (PART.md): what proves that a needle is in none of its lines
// without opening the part. Built from the raw lines, so it holds however they are encoded.
//
// Two proofs. Grams: every four neighbouring bytes of a line that have no digit, folded to lower
// case, are in one small bitmap. Identifiers: every UUID and every long run of hex digits in a line
// is in its row group's filter; here are the places of these filters and checksums of their pieces,
// so that a question reads 4 KiB of each.
//
// Threads: SummaryBuilder belongs to one thread; a SearchSummary may be shared.

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proto/base/bytes.h"
#include "proto/base/fs.h"
#include "proto/base/status.h"
#include "store/part/part_writer.h"
#include "store/scan.h"

namespace skald::store::part {

// A filter of a row group as it was stored, or empty: no such identifiers.
struct StoredFilter {
  std::string bytes;
  std::uint64_t offset = 0;  // of its page in the group
  bool inlined = false;      // it lies in the metadata instead
};

// Hashes of identifiers that occur in lines, as the filters want them; with repetitions.
struct LineIdentifiers {
  std::vector<std::uint64_t> uuids, hexes;
};

class SummaryBuilder {
 public:
  // Looks at the rows of the next group; what it finds must go into the group's filters.
  const LineIdentifiers& add_rows(std::span<const InputRow> rows);
  void add_group(std::uint64_t group_offset, const StoredFilter& uuids, const StoredFilter& hexes);
  std::string finish();

 private:
  void add_line(std::string_view line);
  void add_grams(std::string_view line);
  void add_run(std::string_view run);
  void add_hex(std::string_view digits);

  LineIdentifiers found_;
  std::vector<std::uint64_t> grams_;
  std::uint64_t hex_sizes_ = 0;  // bit n / 2: a run of n hex digits was hashed
  std::uint64_t longest_unhashed_ = 0, longest_decimal_ = 0, longest_hex_ = 0;
  bool uuids_open_ = false;
  std::string groups_;
  std::uint64_t groups_count_ = 0;
};

class SearchSummary {
 public:
  // kCorrupt. `bytes` are the section's.
  static base::Result<SearchSummary> parse(std::string bytes);
  // By row group; false proves that none of its lines passes. The groups' filters are read from
  // `part` where needed; whatever cannot be read proves nothing.
  using Groups = std::vector<bool>;
  Groups may_match(const LineFilter& filter, const base::File& part) const;

 private:
  struct Filter {
    enum class Kind : std::uint8_t { kNone = 0, kInline = 1, kStored = 2 };
    Kind kind = Kind::kNone;
    std::string_view bytes;  // kInline; kStored: the checksums of its pieces
    std::uint64_t offset = 0, size = 0;
    bool may_have(std::uint64_t hash, const base::File& part) const;
  };
  struct Group {
    Filter uuids, hexes;
  };
  Groups may_contain(std::string_view needle, const base::File& part) const;
  bool has_grams(std::string_view needle) const;
  // These take groups out of `among`.
  void ask_run(std::string_view run, const base::File& part, Groups& among) const;
  void ask_hex(std::string_view digits, const base::File& part, Groups& among) const;
  static bool parse_filter(base::ByteReader& reader, Filter& out);

  std::string bytes_;  // views borrow from it
  std::string_view grams_;
  std::uint64_t hex_sizes_ = 0, longest_unhashed_ = 0, longest_decimal_ = 0;
  bool uuids_open_ = false;
  std::vector<Group> groups_;
};

}  // namespace skald::store::part
