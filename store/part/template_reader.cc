// Template and word columns: values put together from literal pieces and columns of their own.

#include <algorithm>
#include <cstring>
#include <optional>
#include <unordered_map>

#include "proto/base/check.h"
#include "store/part/column_reader.h"
#include "store/part/limits.h"
#include "store/part/part_format.h"
#include "store/part/span_match.h"

namespace skald::store::part {
namespace {

class TemplateReader final : public ColumnReader {
 public:
  TemplateReader(const ColumnSpec& spec, const ReaderContext& context)
      : ColumnReader(spec, context) {
    children_.resize(spec.children.size());
    for (const TemplateSpec& one : spec.templates) owners_.emplace_back(*this, one);
  }

  base::Status read(const Selection& selection, TextColumn& out) override {
    std::vector<TextColumn> parts;
    SKALD_TRY(read_templates(selection, parts));
    std::vector<std::size_t> next(parts.size(), 0);
    out.entries.reserve(selection.count());
    selection.for_each([&](std::uint32_t row) {
      const std::uint32_t t = ids_[row];
      out.entries.push_back(parts[t].entries[next[t]++]);
    });
    for (TextColumn& part : parts)
      for (auto& bytes : part.storage) out.storage.push_back(std::move(bytes));
    return {};
  }

  base::Status add_sizes(std::span<std::uint32_t> sizes) override {
    SKALD_TRY(load());
    std::vector<std::vector<std::uint32_t>> own(spec_.templates.size());
    for (std::uint32_t t = 0; t < own.size(); ++t) {
      const auto& literals = spec_.templates[t].literals;
      std::size_t fixed = 0;
      for (const std::string_view literal : literals) fixed += literal.size();
      own[t].assign(spec_.templates[t].rows, static_cast<std::uint32_t>(fixed));
      for (std::uint32_t v = 0; v + 1 < literals.size(); ++v)
        SKALD_TRY(child(t, v).add_sizes(own[t]));
    }
    for (std::size_t row = 0; row < sizes.size(); ++row)
      sizes[row] += own[ids_[row]][ordinals_[row]];
    return {};
  }

  base::Status read_labels(const Selection& selection, std::vector<model::Labels>& out);

 protected:
  base::Status filter_text(const TextTest& test, const Selection& among, Selection& hits) override {
    SKALD_TRY(load());
    for (std::uint32_t t = 0; t < spec_.templates.size(); ++t) {
      const TemplateSpec& one = spec_.templates[t];
      if (one.rows == 0) continue;
      SpanMatch match;
      match.overflow = true;
      if (test.op == TextTest::Op::kContains || test.op == TextTest::Op::kPrefix)
        match = find_spans(std::span<const std::string_view>(one.literals), test,
                           [&](std::uint32_t value, const TextTest& part) {
                             return may_pass(spec_.children[one.first_child + value], part,
                                             *context_.shared);
                           });
      if (!match.always && !match.overflow && match.ways.empty()) continue;
      const Selection inside = narrow(t, among);
      if (inside.none()) continue;
      Selection passed(one.rows);
      if (match.overflow) {
        TextColumn texts;
        SKALD_TRY(read_template(t, inside, texts));
        std::size_t at = 0;
        inside.for_each([&](std::uint32_t row) {
          if (test.matches(texts.entries[at++])) passed.set(row);
        });
      } else {
        SKALD_TRY(filter_ways(
            match, [&](std::uint32_t value) -> ColumnReader& { return child(t, value); }, inside,
            passed));
      }
      widen(t, passed, hits);
    }
    return {};
  }

 private:
  // The rows of one template, to its columns.
  class Owner final : public ColumnOwner {
   public:
    Owner(TemplateReader& parent, const TemplateSpec& spec) : parent_(&parent), spec_(&spec) {}
    base::Result<std::span<const model::TimestampNs>> row_times() override {
      if (times_.empty()) {
        SKALD_TRY(parent_->load());
        SKALD_TRY_ASSIGN(const auto all, parent_->context_.owner->row_times());
        times_.reserve(spec_->rows);
        const auto t = static_cast<std::uint32_t>(spec_ - parent_->spec_.templates.data());
        for (std::size_t row = 0; row < all.size(); ++row)
          if (parent_->ids_[row] == t) times_.push_back(all[row]);
      }
      return std::span<const model::TimestampNs>(times_);
    }
    base::Result<std::span<const std::uint32_t>> determinant_ids(std::uint32_t,
                                                                 std::uint32_t) override {
      return parent_->damaged("a derived column within a template");
    }

   private:
    TemplateReader* parent_;
    const TemplateSpec* spec_;
    std::vector<model::TimestampNs> times_;
  };

  base::Status load() {
    if (!ids_.empty()) return {};
    std::vector<std::uint32_t> ids;
    SKALD_TRY(spec_.ints.decode(source(), context_.decoding, ids, spec_.templates.size() - 1));
    std::vector<std::uint32_t> seen(spec_.templates.size(), 0);
    ordinals_.resize(ids.size());
    for (std::size_t row = 0; row < ids.size(); ++row) ordinals_[row] = seen[ids[row]]++;
    for (std::size_t t = 0; t < seen.size(); ++t)
      if (seen[t] != spec_.templates[t].rows) return damaged("rows of a template");
    ids_ = std::move(ids);
    return {};
  }

  ColumnReader& child(std::uint32_t t, std::uint32_t value) {
    const std::uint32_t at = spec_.templates[t].first_child + value;
    if (children_[at] == nullptr) {
      ReaderContext context = context_;
      context.owner = &owners_[t];
      children_[at] = make_column_reader(spec_.children[at], context);
    }
    return *children_[at];
  }

  Selection narrow(std::uint32_t t, const Selection& rows) const {
    Selection inside(spec_.templates[t].rows);
    rows.for_each([&](std::uint32_t row) {
      if (ids_[row] == t) inside.set(ordinals_[row]);
    });
    return inside;
  }
  void widen(std::uint32_t t, const Selection& inside, Selection& hits) const {
    if (inside.none()) return;
    for (std::uint32_t row = 0; row < ids_.size(); ++row)
      if (ids_[row] == t && inside.test(ordinals_[row])) hits.set(row);
  }

  base::Status read_label_sets(std::size_t sets_max, MetadataSets& out);
  bool constant_labels(MetadataSets& out) const;
  base::Status read_values(std::uint32_t t, const Selection& inside,
                           std::vector<TextColumn>& values) {
    const std::size_t variables = spec_.templates[t].literals.size() - 1;
    values.resize(variables);
    for (std::uint32_t v = 0; v < variables; ++v) SKALD_TRY(child(t, v).read(inside, values[v]));
    return {};
  }
  base::Status read_template(std::uint32_t t, const Selection& inside, TextColumn& out) {
    std::vector<TextColumn> values;
    SKALD_TRY(read_values(t, inside, values));
    return join_pieces(spec_.templates[t].literals, values, inside.count(), kRowGroupBytesMax,
                       source(), *context_.decoding, out);
  }
  std::vector<Selection> split(const Selection& selection) const {
    std::vector<Selection> inside;
    for (const TemplateSpec& one : spec_.templates) inside.emplace_back(one.rows);
    selection.for_each([&](std::uint32_t row) { inside[ids_[row]].set(ordinals_[row]); });
    return inside;
  }
  base::Status read_templates(const Selection& selection, std::vector<TextColumn>& out) {
    SKALD_TRY(load());
    const std::vector<Selection> inside = split(selection);
    out.resize(inside.size());
    for (std::uint32_t t = 0; t < inside.size(); ++t)
      if (!inside[t].none()) SKALD_TRY(read_template(t, inside[t], out[t]));
    return {};
  }

  std::vector<std::uint32_t> ids_, ordinals_;
  std::vector<Owner> owners_;
  std::vector<std::unique_ptr<ColumnReader>> children_;

  friend base::Status skald::store::part::read_template_label_sets(ColumnReader&, std::size_t,
                                                                   MetadataSets&);
  friend base::Status skald::store::part::read_template_labels(ColumnReader&, const Selection&,
                                                               std::vector<model::Labels>&);
};

model::Labels unpack_labels(std::string_view packed) {
  std::vector<model::Labels::Pair> pairs;
  base::ByteReader reader(packed);
  while (!reader.done()) {
    const std::string_view name = reader.read_bytes();
    const std::string_view value = reader.read_bytes();
    if (!reader.failed()) pairs.emplace_back(name, value);
  }
  return model::Labels::from_pairs(std::move(pairs));
}

base::Status TemplateReader::read_labels(const Selection& selection,
                                         std::vector<model::Labels>& out) {
  SKALD_TRY(load());
  const std::vector<Selection> inside = split(selection);
  std::vector<std::vector<TextColumn>> values(inside.size());
  for (std::uint32_t t = 0; t < inside.size(); ++t)
    if (!inside[t].none()) SKALD_TRY(read_values(t, inside[t], values[t]));
  std::vector<std::size_t> next(inside.size(), 0);
  out.clear();
  out.reserve(selection.count());
  selection.for_each([&](std::uint32_t row) {
    const std::uint32_t t = ids_[row];
    const std::size_t at = next[t]++;
    const auto& names = spec_.templates[t].literals;
    if (names.size() == 2 && names[0] == kPackedMetadata) {
      out.push_back(unpack_labels(values[t][0].at(at)));
      return;
    }
    std::vector<model::Labels::Pair> pairs;
    for (std::size_t v = 0; v < values[t].size(); ++v)
      pairs.emplace_back(names[v], values[t][v].at(at));
    out.push_back(model::Labels::from_pairs(std::move(pairs)));
  });
  return {};
}

// Values of one variable as small numbers: equal numbers, equal values.
struct ValueIds {
  std::vector<std::string_view> values;
  std::vector<std::uint32_t> ids;  // by row of the template; empty: all have values[0]
};

// Nothing: there are more than `values_max`.
std::optional<ValueIds> to_value_ids(const TextColumn& column, std::size_t values_max) {
  ValueIds out;
  if (!column.ids.empty()) {
    out.values = column.entries;
    if (column.entries.size() > 1) out.ids = column.ids;
    return out;
  }
  std::unordered_map<std::string_view, std::uint32_t> known;
  for (const std::string_view value : column.entries) {
    const auto [it, is_new] = known.try_emplace(value, static_cast<std::uint32_t>(known.size()));
    if (is_new) out.values.push_back(value);
    if (known.size() > values_max) return std::nullopt;
    out.ids.push_back(it->second);
  }
  return out;
}

// Numbers the distinct combinations of the variables' values, row by row; `first_row` has for each
// the row that showed it first. False: more than `sets_max`.
bool combine_values(const std::vector<ValueIds>& variables, std::size_t rows, std::size_t sets_max,
                    std::vector<std::uint32_t>& ids, std::vector<std::uint32_t>& first_row) {
  constexpr std::uint32_t kUnseen = 0xFFFFFFFF;
  constexpr std::size_t kTableMax = 1U << 16;
  ids.assign(rows, 0);
  first_row.assign(1, 0);
  for (const ValueIds& variable : variables) {
    if (variable.ids.empty()) continue;
    const std::size_t values = variable.values.size();
    const bool small = first_row.size() <= kTableMax / values;
    std::vector<std::uint32_t> table(small ? first_row.size() * values : 0, kUnseen);
    std::unordered_map<std::uint64_t, std::uint32_t> known;
    first_row.clear();
    for (std::uint32_t row = 0; row < rows; ++row) {
      std::uint32_t& number =
          small ? table[ids[row] * values + variable.ids[row]]
                : known.try_emplace((std::uint64_t{ids[row]} << 32) | variable.ids[row], kUnseen)
                      .first->second;
      if (number == kUnseen) {
        number = static_cast<std::uint32_t>(first_row.size());
        first_row.push_back(row);
      }
      if (first_row.size() > sets_max) return false;
      ids[row] = number;
    }
  }
  return true;
}

base::Status TemplateReader::read_label_sets(std::size_t sets_max, MetadataSets& out) {
  out = MetadataSets{};
  const auto too_many = [&] {
    return base::resource_exhausted("more than " + std::to_string(sets_max) +
                                    " distinct sets of structured metadata");
  };
  if (constant_labels(out)) return {};
  SKALD_TRY(load());
  std::vector<std::vector<std::uint32_t>> set_of(spec_.templates.size());
  for (std::uint32_t t = 0; t < spec_.templates.size(); ++t) {
    const std::uint32_t rows = spec_.templates[t].rows;
    if (rows == 0) continue;
    std::vector<TextColumn> columns;
    SKALD_TRY(read_values(t, Selection(rows, true), columns));
    std::vector<ValueIds> variables;
    variables.reserve(columns.size());
    for (const TextColumn& column : columns) {
      std::optional<ValueIds> ids = to_value_ids(column, sets_max);
      if (!ids) return too_many();
      variables.push_back(std::move(*ids));
    }
    std::vector<std::uint32_t> first_row;
    if (!combine_values(variables, rows, sets_max, set_of[t], first_row)) return too_many();
    if (out.sets.size() + first_row.size() > sets_max) return too_many();
    const auto base = static_cast<std::uint32_t>(out.sets.size());
    for (std::uint32_t& set : set_of[t]) set += base;
    const auto& names = spec_.templates[t].literals;
    const bool packed = names.size() == 2 && names[0] == kPackedMetadata;
    for (const std::uint32_t row : first_row) {
      std::vector<model::Labels::Pair> pairs;
      for (std::size_t v = 0; v < columns.size(); ++v)
        pairs.emplace_back(names[v], columns[v].at(row));
      out.sets.push_back(packed ? unpack_labels(columns[0].at(row))
                                : model::Labels::from_pairs(std::move(pairs)));
    }
  }
  out.ids.resize(ids_.size());
  for (std::size_t row = 0; row < ids_.size(); ++row)
    out.ids[row] = set_of[ids_[row]][ordinals_[row]];
  return {};
}

// Every row with the same metadata, the usual case of a derived level: told by the description.
bool TemplateReader::constant_labels(MetadataSets& out) const {
  const TemplateSpec* only = nullptr;
  for (const TemplateSpec& one : spec_.templates) {
    if (one.rows == 0) continue;
    if (only != nullptr) return false;
    only = &one;
  }
  if (only == nullptr || only->literals[0] == kPackedMetadata) return false;
  std::vector<model::Labels::Pair> pairs;
  for (std::size_t v = 0; v + 1 < only->literals.size(); ++v) {
    const ColumnSpec& child = spec_.children[only->first_child + v];
    if (child.encoding != Encoding::kConstant) return false;
    pairs.emplace_back(only->literals[v], child.text);
  }
  out.sets.push_back(model::Labels::from_pairs(std::move(pairs)));
  return true;
}

class WordsReader final : public ColumnReader {
 public:
  using ColumnReader::ColumnReader;

  base::Status read(const Selection& selection, TextColumn& out) override {
    SKALD_TRY(load());
    std::uint64_t total = 0;
    selection.for_each([&](std::uint32_t row) { total += size_of(row); });
    if (total > kRowGroupBytesMax) return damaged("lines larger than their row group");
    SKALD_TRY(context_.decoding->check_room(total));
    auto bytes = std::make_unique_for_overwrite<char[]>(total + 1);
    char* at = bytes.get();
    selection.for_each([&](std::uint32_t row) {
      char* const start = at;
      for (std::uint32_t w = first_[row]; w < first_[row + 1]; ++w) {
        if (w > first_[row]) *at++ = ' ';
        const std::string_view word = stored_.entries()[words_[w]];
        std::memcpy(at, word.data(), word.size());
        at += word.size();
      }
      out.entries.emplace_back(start, static_cast<std::size_t>(at - start));
    });
    out.storage.push_back(std::move(bytes));
    return {};
  }

  base::Status add_sizes(std::span<std::uint32_t> sizes) override {
    SKALD_TRY(load());
    for (std::uint32_t row = 0; row < sizes.size(); ++row)
      sizes[row] += static_cast<std::uint32_t>(size_of(row));
    return {};
  }

 protected:
  base::Status filter_text(const TextTest& test, const Selection& among, Selection& hits) override {
    const bool one_word = test.text.find(' ') == std::string_view::npos;
    if (test.op != TextTest::Op::kContains || !one_word)
      return ColumnReader::filter_text(test, among, hits);
    SKALD_TRY(stored_.load(spec_.entries, context_));
    const auto entries = stored_.entries();
    std::vector<std::uint8_t> table(entries.size());
    bool any = false;
    for (std::size_t i = 0; i < entries.size(); ++i) {
      table[i] = test.matches(entries[i]) ? 1 : 0;
      any |= table[i] != 0;
    }
    if (!any) return {};
    SKALD_TRY(load());
    among.for_each([&](std::uint32_t row) {
      for (std::uint32_t w = first_[row]; w < first_[row + 1]; ++w)
        if (table[words_[w]] != 0) {
          hits.set(row);
          break;
        }
    });
    return {};
  }

 private:
  std::uint64_t size_of(std::uint32_t row) const {
    std::uint64_t size = first_[row + 1] - first_[row];
    size -= size > 0 ? 1 : 0;
    for (std::uint32_t w = first_[row]; w < first_[row + 1]; ++w)
      size += stored_.entries()[words_[w]].size();
    return size;
  }
  base::Status load() {
    if (!first_.empty()) return {};
    SKALD_TRY(stored_.load(spec_.entries, context_));
    SKALD_TRY(spec_.words->decode(source(), context_.decoding, words_, spec_.entries.count - 1));
    std::vector<std::uint32_t> counts;
    SKALD_TRY(spec_.ints.decode(source(), context_.decoding, counts, spec_.words->count()));
    std::uint64_t total = 0;
    for (const std::uint32_t count : counts) total += count;
    if (total != spec_.words->count()) return damaged("words per row");
    first_.reserve(counts.size() + 1);
    first_.push_back(0);
    for (const std::uint32_t count : counts) first_.push_back(first_.back() + count);
    return {};
  }

  StoredEntries stored_;
  std::vector<std::uint32_t> words_, first_;
};

}  // namespace

base::Status read_template_label_sets(ColumnReader& column, std::size_t sets_max,
                                      MetadataSets& out) {
  CHECK(column.spec().encoding == Encoding::kTemplate);
  return static_cast<TemplateReader&>(column).read_label_sets(sets_max, out);
}

base::Status read_template_labels(ColumnReader& column, const Selection& selection,
                                  std::vector<model::Labels>& out) {
  CHECK(column.spec().encoding == Encoding::kTemplate);
  return static_cast<TemplateReader&>(column).read_labels(selection, out);
}

std::unique_ptr<ColumnReader> make_template_reader(const ColumnSpec& spec,
                                                   const ReaderContext& context) {
  return std::make_unique<TemplateReader>(spec, context);
}

std::unique_ptr<ColumnReader> make_words_reader(const ColumnSpec& spec,
                                                const ReaderContext& context) {
  return std::make_unique<WordsReader>(spec, context);
}

}  // namespace skald::store::part
