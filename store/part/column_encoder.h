#pragma once
// Turns the values of one column into pages and a description, by the first encoding that
// reproduces every byte. Deciding looks at a sample; exactness never rests on it: each encoder
// checks every value and gives up (or lists exceptions) when one does not fit.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proto/model/entry.h"
#include "store/part/page.h"
#include "store/part/uuid_table.h"

namespace skald::store::part {

// A column's description, finished by finish_column() when the UUID table is complete.
struct EncodedColumn {
  std::string spec;
  std::vector<std::uint32_t> uuid_ids;  // a UUID column: ids of UuidTable::insert
  bool is_uuid = false;
  std::vector<EncodedColumn> children;
};

struct EncodeContext {
  PageWriter& pages;
  UuidTable& uuids;
  std::vector<std::uint64_t>& identifiers;  // hashes of hex values, for the group's filter
};

// A UUID column of the same block that others may be functions of.
struct Determinant {
  std::uint32_t column = 0;  // its index in the block
  std::uint32_t distinct = 0;
  std::vector<std::uint32_t> ids;  // per row, 0.. by first appearance
};

struct ColumnInput {
  std::span<const std::string_view> values;
  std::span<const model::TimestampNs> times;  // of the entries, one per value
  bool tokens = false;                        // JSON tokens: numbers, true, false, null
  const Determinant* determinant = nullptr;
  unsigned depth = 0;  // of columns within columns
};

EncodedColumn encode_constant(std::string_view value);
EncodedColumn encode_column(EncodeContext& context, const ColumnInput& input);
void finish_column(EncodeContext& context, const EncodedColumn& column, std::string& out);
std::optional<Determinant> make_determinant(std::uint32_t column, const EncodedColumn& encoded);

// The parts, each in its own file. All but the last resort return nothing when they do not fit.
std::optional<EncodedColumn> encode_template(EncodeContext& context, const ColumnInput& input);
std::optional<EncodedColumn> encode_words(EncodeContext& context, const ColumnInput& input);
// Gives up when more than `distinct_max` values are distinct.
std::optional<EncodedColumn> encode_dictionary(EncodeContext& context, const ColumnInput& input,
                                               std::uint32_t distinct_max);
EncodedColumn encode_text(EncodeContext& context, const ColumnInput& input);
// varint count, then inline or paged entries: shared by dictionaries and words.
void put_entries(std::span<const std::string_view> entries, PageWriter& pages, std::string& spec);
void put_stamp(std::span<const std::string_view> values, std::string& spec);

// Distinct strings numbered by first appearance.
class StringTable {
 public:
  explicit StringTable(std::uint32_t limit) : limit_(limit), slots_(64, 0) {}
  // The number of `value`, or kFull when it is new and the table holds `limit` values already.
  std::uint32_t insert(std::string_view value);
  std::uint32_t find(std::string_view value) const;  // kFull: absent
  static constexpr std::uint32_t kFull = 0xFFFFFFFF;
  std::span<const std::string_view> entries() const noexcept { return entries_; }

 private:
  std::size_t slot_of(std::string_view value, std::uint64_t hash) const;
  void grow();
  std::uint32_t limit_;
  std::vector<std::uint32_t> slots_;
  std::vector<std::string_view> entries_;
  std::vector<std::uint64_t> hashes_;
};

}  // namespace skald::store::part
