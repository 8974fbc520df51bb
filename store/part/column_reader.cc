#include "store/part/column_reader.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "store/part/limits.h"
#include "store/part/span_match.h"

namespace skald::store::part {
namespace {

class ConstantReader final : public ColumnReader {
 public:
  using ColumnReader::ColumnReader;

  base::Status filter_if(const ValueCheck& check, const Selection& among,
                         Selection& hits) override {
    if (check(spec_.text)) unite(among, hits);
    return {};
  }
  base::Status read(const Selection& selection, TextColumn& out) override {
    out.entries.push_back(spec_.text);
    out.ids.assign(selection.count(), 0);
    return {};
  }
  base::Status add_sizes(std::span<std::uint32_t> sizes) override {
    for (std::uint32_t& size : sizes) size += static_cast<std::uint32_t>(spec_.text.size());
    return {};
  }
};

// Dictionary and derived columns: entries, and an id per row.
class EntriesReader : public ColumnReader {
 public:
  using ColumnReader::ColumnReader;

  base::Status filter_if(const ValueCheck& check, const Selection& among,
                         Selection& hits) override {
    SKALD_TRY(load_entries());
    std::vector<std::uint8_t> table(entries_.size());
    std::size_t passed = 0;
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      table[i] = check(entries_[i]) ? 1 : 0;
      passed += table[i];
    }
    if (passed == 0) return {};
    if (passed == entries_.size()) return unite(among, hits), base::Status();
    SKALD_TRY_ASSIGN(const auto ids, load_ids());
    select_ids(ids, table, among, hits);
    return {};
  }

  base::Status read(const Selection& selection, TextColumn& out) override {
    SKALD_TRY(load_entries());
    SKALD_TRY_ASSIGN(const auto ids, load_ids());
    const std::size_t count = selection.count();
    if (count < entries_.size()) {  // few rows of a large dictionary
      selection.for_each([&](std::uint32_t row) { out.entries.push_back(entries_[ids[row]]); });
      return {};
    }
    out.entries.assign(entries_.begin(), entries_.end());
    if (count == selection.rows()) {
      out.ids.assign(ids.begin(), ids.end());
      return {};
    }
    out.ids.reserve(count);
    selection.for_each([&](std::uint32_t row) { out.ids.push_back(ids[row]); });
    return {};
  }

  base::Status add_sizes(std::span<std::uint32_t> sizes) override {
    SKALD_TRY(load_entries());
    SKALD_TRY_ASSIGN(const auto ids, load_ids());
    for (std::size_t i = 0; i < sizes.size(); ++i)
      sizes[i] += static_cast<std::uint32_t>(entries_[ids[i]].size());
    return {};
  }

 protected:
  virtual base::Status load_entries() = 0;
  virtual base::Result<std::span<const std::uint32_t>> load_ids() = 0;
  std::span<const std::string_view> entries_;
};

class DictionaryReader final : public EntriesReader {
 public:
  using EntriesReader::EntriesReader;

 private:
  base::Status load_entries() override {
    SKALD_TRY(stored_.load(spec_.entries, context_));
    entries_ = stored_.entries();
    return {};
  }
  base::Result<std::span<const std::uint32_t>> load_ids() override {
    if (ids_.empty())
      SKALD_TRY(spec_.ints.decode(source(), context_.decoding, ids_, spec_.entries.count - 1));
    return std::span<const std::uint32_t>(ids_);
  }
  StoredEntries stored_;
  std::vector<std::uint32_t> ids_;
};

class DerivedReader final : public EntriesReader {
 public:
  DerivedReader(const ColumnSpec& spec, const ReaderContext& context)
      : EntriesReader(spec, context), child_(make_column_reader(spec.children[0], context)) {}

 private:
  base::Status load_entries() override {
    if (!entries_.empty()) return {};
    TextColumn values;
    SKALD_TRY(child_->read(Selection(spec_.children[0].rows, true), values));
    for (std::uint32_t i = 0; i < spec_.children[0].rows; ++i) own_entries_.push_back(values.at(i));
    storage_ = std::move(values.storage);
    entries_ = own_entries_;
    return {};
  }
  base::Result<std::span<const std::uint32_t>> load_ids() override {
    return context_.owner->determinant_ids(spec_.determinant, spec_.children[0].rows);
  }
  std::unique_ptr<ColumnReader> child_;
  std::vector<std::string_view> own_entries_;
  std::vector<std::unique_ptr<char[]>> storage_;
};

class TextReader final : public ColumnReader {
 public:
  using ColumnReader::ColumnReader;

  base::Status read(const Selection& selection, TextColumn& out) override {
    SKALD_TRY(load());
    selection.for_each([&](std::uint32_t row) { out.entries.push_back(value(row)); });
    return {};
  }
  base::Status add_sizes(std::span<std::uint32_t> sizes) override {
    SKALD_TRY(load());
    for (std::uint32_t row = 0; row < sizes.size(); ++row)
      sizes[row] += static_cast<std::uint32_t>(value(row).size());
    return {};
  }

 protected:
  base::Status filter_text(const TextTest& test, const Selection& among, Selection& hits) override {
    SKALD_TRY(load());
    if (test.op != TextTest::Op::kContains || test.text.empty() ||
        among.count() < spec_.rows / 16) {
      among.for_each([&](std::uint32_t row) {
        if (test.matches(value(row))) hits.set(row);
      });
      return {};
    }
    // One search over all bytes; a hit belongs to the row it lies in, whole.
    for (std::size_t at = 0;;) {
      at = test.fold ? find_folded(page_.view, test.text, at)
                     : find_bytes(page_.view, test.text, at);
      if (at == kNotFound) return {};
      const auto row = static_cast<std::uint32_t>(std::upper_bound(ends_.begin(), ends_.end(), at) -
                                                  ends_.begin());
      if (at + test.text.size() > ends_[row]) {
        ++at;
        continue;
      }
      if (among.test(row)) hits.set(row);
      at = ends_[row];
    }
  }

 private:
  std::string_view value(std::uint32_t row) const {
    const std::uint64_t start = row == 0 ? 0 : ends_[row - 1];
    return page_.view.substr(start, ends_[row] - start);
  }
  base::Status load() {
    if (!ends_.empty()) return {};
    std::vector<std::uint64_t> ends;
    SKALD_TRY(spec_.ints.decode(source(), context_.decoding, ends, kLineBytesMax));
    std::uint64_t end = 0;
    for (std::uint64_t& size : ends) size = end += size;
    SKALD_TRY_ASSIGN(page_, source().read(spec_.page, context_.shared->line_bytes + kTextSlack,
                                          context_.decoding));
    if (page_.view.size() != end) return damaged("text and its sizes disagree");
    ends_ = std::move(ends);
    return {};
  }
  // Metadata values are not line bytes.
  static constexpr std::uint64_t kTextSlack = kRowGroupBytesMax;
  PageBytes page_;
  std::vector<std::uint64_t> ends_;
};

}  // namespace

void unite(const Selection& from, Selection& hits) {
  for (std::size_t w = 0; w < hits.words().size(); ++w) hits.words()[w] |= from.words()[w];
}

void select_ids(std::span<const std::uint32_t> ids, std::span<const std::uint8_t> table,
                const Selection& among, Selection& hits) {
  for (std::size_t w = 0; w < hits.words().size(); ++w) {
    const std::uint64_t wanted = among.words()[w];
    if (wanted == 0) continue;
    const std::size_t start = w * 64;
    const std::size_t size = std::min<std::size_t>(64, ids.size() - start);
    std::uint64_t bits = 0;
    for (std::size_t i = 0; i < size; ++i) bits |= std::uint64_t{table[ids[start + i]]} << i;
    hits.words()[w] |= bits & wanted;
  }
}

bool parse_number(std::string_view token, double& out) noexcept {
  if (token.empty() || (token[0] != '-' && (token[0] < '0' || token[0] > '9'))) return false;
  const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), out);
  return error == std::errc() && end == token.data() + token.size();
}

base::Status ColumnReader::filter(const TextTest& test, const Selection& among, Selection& hits) {
  if (!may_pass(spec_, test, *context_.shared)) return {};
  return filter_text(test, among, hits);
}

base::Status ColumnReader::filter_text(const TextTest& test, const Selection& among,
                                       Selection& hits) {
  return filter_if([&](std::string_view value) { return test.matches(value); }, among, hits);
}

base::Status ColumnReader::filter_if(const ValueCheck& check, const Selection& among,
                                     Selection& hits) {
  TextColumn values;
  SKALD_TRY(read(among, values));
  std::size_t at = 0;
  among.for_each([&](std::uint32_t row) {
    if (check(values.at(at++))) hits.set(row);
  });
  return {};
}

base::Status ColumnReader::add_sizes(std::span<std::uint32_t> sizes) {
  TextColumn values;
  SKALD_TRY(read(Selection(spec_.rows, true), values));
  for (std::size_t i = 0; i < sizes.size(); ++i)
    sizes[i] += static_cast<std::uint32_t>(values.at(i).size());
  return {};
}

base::Status ColumnReader::filter_interval(const ValuePredicate::Interval& interval,
                                           const Selection& among, Selection& hits) {
  return filter_if(
      [&](std::string_view token) {
        double number = 0;
        return parse_number(token, number) && interval.contains(number);
      },
      among, hits);
}

base::Status ColumnReader::read_numbers(const Selection& selection, std::vector<double>& out) {
  TextColumn values;
  SKALD_TRY(read(selection, values));
  std::vector<double> numbers(values.entries.size());
  for (std::size_t i = 0; i < numbers.size(); ++i)
    if (!parse_number(values.entries[i], numbers[i])) return damaged("a number that is none");
  if (values.ids.empty()) {
    out = std::move(numbers);
    return {};
  }
  out.resize(values.ids.size());
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = numbers[values.ids[i]];
  return {};
}

base::Result<std::span<const std::uint32_t>> ColumnReader::uuid_ids() {
  return damaged("a derived column names a column that is no UUID");
}

base::Status join_pieces(std::span<const std::string_view> literals,
                         std::span<const TextColumn> values, std::size_t count,
                         std::uint64_t bytes_max, const PageSource& source, Decoding& decoding,
                         TextColumn& out) {
  std::uint64_t fixed = 0, total = 0;
  for (const std::string_view literal : literals) fixed += literal.size();
  total = fixed * count;
  for (const TextColumn& column : values)
    for (std::size_t i = 0; i < count; ++i) total += column.at(i).size();
  if (total > bytes_max) return source.damaged("lines larger than their row group");
  SKALD_TRY(decoding.check_room(total));
  auto bytes = std::make_unique_for_overwrite<char[]>(total + 1);
  char* at = bytes.get();
  const auto put = [&at](std::string_view part) {
    std::memcpy(at, part.data(), part.size());
    at += part.size();
  };
  for (std::size_t i = 0; i < count; ++i) {
    char* const start = at;
    put(literals[0]);
    for (std::size_t v = 0; v < values.size(); ++v) {
      put(values[v].at(i));
      put(literals[v + 1]);
    }
    out.entries.emplace_back(start, static_cast<std::size_t>(at - start));
  }
  out.storage.push_back(std::move(bytes));
  return {};
}

base::Status filter_ways(const SpanMatch& match, const ReaderAt& reader_at, const Selection& among,
                         Selection& hits) {
  if (match.always) return unite(among, hits), base::Status();
  Selection left = among;
  for (const auto& way : match.ways) {
    Selection rows = left;
    for (const ValueTest& test : way) {
      Selection passed(rows.rows());
      SKALD_TRY(reader_at(test.value).filter(test.test, rows, passed));
      rows = std::move(passed);
      if (rows.none()) break;
    }
    unite(rows, hits);
    left.subtract(rows);
  }
  return {};
}

base::Status StoredEntries::load(const EntriesSpec& spec, const ReaderContext& context) {
  if (!entries_.empty()) return {};
  if (spec.inlined) {
    entries_ = spec.entries;
    return {};
  }
  const PageSource& source = context.shared->source;
  SKALD_TRY_ASSIGN(page_, source.read(spec.page, kRowGroupBytesMax, context.decoding));
  own_.clear();
  SKALD_TRY(split_entries(page_.view, spec.count, source, own_));
  entries_ = own_;
  return {};
}

std::unique_ptr<ColumnReader> make_column_reader(const ColumnSpec& spec,
                                                 const ReaderContext& context) {
  switch (spec.encoding) {
    case Encoding::kConstant: return std::make_unique<ConstantReader>(spec, context);
    case Encoding::kDictionary: return std::make_unique<DictionaryReader>(spec, context);
    case Encoding::kText: return std::make_unique<TextReader>(spec, context);
    case Encoding::kDerived: return std::make_unique<DerivedReader>(spec, context);
    case Encoding::kTemplate: return make_template_reader(spec, context);
    case Encoding::kWords: return make_words_reader(spec, context);
    default: return make_formatted_reader(spec, context);
  }
}

}  // namespace skald::store::part
