#pragma once
// A column's description, parsed from the metadata of its row group: all that is known without
// reading pages. Immutable; views borrow from the metadata, which the group owns.

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "store/part/column_format.h"
#include "store/part/hex.h"
#include "store/part/intpack.h"
#include "store/part/page.h"
#include "store/part/search.h"

namespace skald::store::part {

// Distinct values, in the metadata or in a page.
struct EntriesSpec {
  std::uint32_t count = 0;
  bool inlined = false;
  std::vector<std::string_view> entries;  // if inlined
  PageRef page;                           // else
};

struct TemplateSpec {
  std::vector<std::string_view> literals;  // one more than its variables
  std::uint32_t rows = 0;
  std::uint32_t first_child = 0;
};

struct ColumnSpec {
  Encoding encoding = Encoding::kConstant;
  std::uint32_t rows = 0;
  std::string_view text;  // kConstant
  // What no value goes beyond; of the entries only in kWords.
  ByteSet bytes;
  std::uint64_t longest = 0;
  Ints ints;                     // ids, sizes, mantissas, differences, addresses, numbers
  std::unique_ptr<Ints> words;   // kWords: word ids; `ints` counts them per row
  EntriesSpec entries;           // kDictionary, kWords
  PageRef page;                  // kText: bytes; kHex: bytes; kDecimal: exceptions
  std::uint32_t exceptions = 0;  // kDecimal
  ByteSet exception_bytes;
  unsigned scale = 0;
  DecimalRule rule = DecimalRule::kFixed;
  std::int64_t min = 0, max = 0;  // mantissas
  TimestampFormat format;
  std::uint32_t width = 0;  // kHex: bytes; kDigits: digits
  std::vector<TemplateSpec> templates;
  std::uint32_t determinant = 0;  // kDerived
  std::vector<ColumnSpec> children;
};

// What the columns of a row group share.
class GroupShared {
 public:
  GroupShared(PageSource source_, std::uint64_t line_bytes_)
      : source(std::move(source_)), line_bytes(line_bytes_) {}

  // False proves that no UUID column of the group has it.
  bool may_have_uuid(const Uuid& uuid) const;
  // False proves that no hex column has these bytes as a whole value.
  bool may_have_hex(std::string_view bytes) const;
  base::Result<std::string_view> uuid_bytes() const;  // 16 per UUID
  // Per UUID of the table whether its text passes; null: none does. The last answer is kept, since
  // a needle is asked of every UUID column of the group in turn.
  using Passed = std::shared_ptr<const std::vector<std::uint8_t>>;
  base::Result<Passed> uuids_passing(const TextTest& test) const;

  // The filters' checksums, which no reading of rows looks at.
  base::Status verify_filters() const;

  PageSource source;
  std::uint64_t line_bytes;  // of all rows: bounds what a column may decode to
  std::uint32_t uuids_count = 0;
  std::uint64_t hex_count = 0;  // values of hex columns wide enough for the filter
  PageRef uuid_filter, uuid_table, hex_filter;

 private:
  struct Answer {
    TextTest test;  // its text borrows from `text`
    std::string text;
    Passed passed;
  };
  mutable std::once_flag filter_once_, table_once_, hex_once_;
  mutable std::mutex answer_mutex_;
  mutable std::unique_ptr<Answer> answer_;  // guarded by answer_mutex_
  mutable base::Result<PageBytes> filter_, table_, hex_;
};

base::Status parse_column(base::ByteReader& reader, std::uint32_t rows, const GroupShared& shared,
                          unsigned depth, ColumnSpec& out);
base::Status parse_entries(base::ByteReader& reader, const GroupShared& shared, ColumnSpec& out);
// Reads the list of a paged dictionary; entries borrow from `page`.
base::Status split_entries(std::string_view list, std::uint32_t count, const PageSource& source,
                           std::vector<std::string_view>& out);

// False: no decimal of the column that is written by rule (is no exception) passes.
bool may_be_number(const ColumnSpec& column, const TextTest& test);

// False proves that no value of the column passes the test. Never reads a page except the UUID
// filter and, when that says yes, the UUID table.
bool may_pass(const ColumnSpec& column, const TextTest& test, const GroupShared& shared);

}  // namespace skald::store::part
