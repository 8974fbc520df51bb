#include <algorithm>
#include <optional>

#include "proto/gotext/duration.h"
#include "proto/gotext/number.h"
#include "query/plan/field_names.h"
#include "query/plan/pair_numbers.h"
#include "query/plan/pushdown_impl.h"

namespace skald::query::plan {
namespace {

using logql::LabelFilter;

// Beyond this many distinct sets (trace ids, say) metadata is not a dictionary worth walking.
constexpr std::size_t kMetadataSetsMax = 4096;

base::Result<bool> convert(logql::Unwrap::Convert how, std::string_view text, double& out) {
  switch (how) {
    case logql::Unwrap::Convert::kNone:
      return gotext::read_float(text, out) == gotext::NumberError::kNone;
    case logql::Unwrap::Convert::kBytes: {
      const auto bytes = gotext::parse_bytes(text);
      if (bytes.ok()) out = static_cast<double>(*bytes);
      return bytes.ok();
    }
    case logql::Unwrap::Convert::kDuration:
    case logql::Unwrap::Convert::kDurationSeconds: {
      const auto duration = gotext::parse_duration(text);
      if (duration.ok()) out = gotext::duration_seconds(*duration);
      return duration.ok();
    }
  }
  return false;
}

}  // namespace

struct BlockPass::Impl {
  // Where a label of this block is read from.
  struct Source {
    enum class Kind { kStream, kMetadata, kField, kEmpty, kAbsent, kUnknown } kind = Kind::kUnknown;
    std::size_t field = 0;
  };
  // A label's value per selected row, as a dictionary. A parsed field may be there and empty.
  struct Key {
    std::vector<std::optional<std::string>> values;
    std::vector<std::uint32_t> ids;  // empty: every row has values[0]
  };

  const Pushdown::Impl& plan;
  store::Block& block;
  bool metadata_loaded = false;
  bool metadata_usable = true;
  store::MetadataSets metadata;

  Impl(const Pushdown::Impl& the_plan, store::Block& the_block)
      : plan(the_plan), block(the_block) {}

  base::Status load_metadata() {
    if (metadata_loaded || !block.has_metadata()) return {};
    metadata_loaded = true;
    // Names that the plan does not read change nothing.
    const bool is_read =
        std::any_of(plan.presence.begin(), plan.presence.end(),
                    [&](const auto& entry) { return block.may_have_metadata(entry.first); });
    if (!is_read) return {};
    base::Status status = block.read_metadata_sets(kMetadataSetsMax, metadata);
    if (status.code() != base::Code::kResourceExhausted) return status;
    metadata_usable = false;
    return {};
  }

  InStreams in_metadata(std::string_view name) const {
    std::size_t have = 0;
    for (const model::Labels& set : metadata.sets) have += set.has(name) ? 1 : 0;
    if (have == 0) return InStreams::kNone;
    return have == metadata.sets.size() ? InStreams::kAll : InStreams::kSome;
  }

  static Source to_source(const FieldLookup& found) {
    switch (found.kind) {
      case FieldLookup::Kind::kField: return {Source::Kind::kField, found.index};
      case FieldLookup::Kind::kAbsent: return {Source::Kind::kAbsent};
      case FieldLookup::Kind::kUnknown: break;
    }
    return {};
  }

  // Whether no row of the block can get an error from the parser.
  bool parses_cleanly(Parsed parsed) const {
    if (parsed == Parsed::kNothing) return true;
    const store::Shape& shape = block.shape();
    return shape.kind == store::Shape::Kind::kJson && (parsed == Parsed::kJson || shape.plain);
  }

  // Whether `| unpack` leaves every row as it is: a JSON object without an "_entry".
  bool unpacks_nothing() const {
    const store::Shape& shape = block.shape();
    if (shape.kind != store::Shape::Kind::kJson || !shape.plain) return false;
    return std::none_of(shape.fields.begin(), shape.fields.end(), [](const store::Field& field) {
      const std::string& key = field.path.front().key;
      return key == "_entry" || key.find('\\') != std::string::npos;
    });
  }

  // For the row engine. Lines without the values that conditions ask for are not.
  base::Result<Outcome> candidates(store::Selection& selection) {
    for (const Pushdown::Impl::Needle& needle : plan.needles) {
      if (selection.none()) break;
      if (!block.may_have_metadata(needle.label))
        SKALD_TRY(block.filter_lines(needle.lines, selection));
    }
    return Outcome::kCandidates;
  }

  // Whether metadata gets the name because it clashes with a label of the stream.
  bool renames_metadata(const std::string& name) const {
    if (!name.ends_with(kExtracted)) return false;
    const std::string base = name.substr(0, name.size() - kExtracted.size());
    return in_metadata(base) != InStreams::kNone && plan.presence.at(base) != InStreams::kNone;
  }

  Source resolve(const std::string& name, Parsed parsed) const {
    if (renames_metadata(name)) return {};
    const InStreams streams = plan.presence.at(name);
    const InStreams sets = in_metadata(name);
    if (parsed == Parsed::kPaths) return resolve_path(name, streams, sets);
    const bool after_json = parsed == Parsed::kJson;
    if (sets != InStreams::kNone) {
      if (streams != InStreams::kNone) return {};
      // A field of the name would show where the metadata lacks it.
      if (sets == InStreams::kSome && after_json &&
          (block.shape().kind != store::Shape::Kind::kJson ||
           find_json_field(block.shape(), name).kind != FieldLookup::Kind::kAbsent))
        return {};
      return {Source::Kind::kMetadata};
    }
    if (streams == InStreams::kAll) return {Source::Kind::kStream};
    if (streams == InStreams::kSome) return after_json ? Source{} : Source{Source::Kind::kStream};
    if (!after_json) return {Source::Kind::kAbsent};
    if (block.shape().kind != store::Shape::Kind::kJson) return {};
    if (name.ends_with(kExtracted)) {
      const std::string base = name.substr(0, name.size() - kExtracted.size());
      if (in_metadata(base) != InStreams::kNone || plan.presence.at(base) == InStreams::kSome)
        return {};
      if (plan.presence.at(base) == InStreams::kAll) {
        if (find_json_field(block.shape(), name).kind != FieldLookup::Kind::kAbsent) return {};
        return to_source(find_json_field(block.shape(), base));
      }
    }
    return to_source(find_json_field(block.shape(), name));
  }

  // Behind `| json a="b.c"`. A path that leads nowhere makes an empty label, unless there is one.
  Source resolve_path(const std::string& name, InStreams streams, InStreams sets) const {
    const auto path = plan.paths.find(name);
    if (path != plan.paths.end()) {
      if (sets != InStreams::kNone || streams == InStreams::kSome) return {};
      if (streams == InStreams::kAll) return {Source::Kind::kStream};
      const Source found = to_source(find_json_path(block.shape(), path->second));
      return found.kind == Source::Kind::kAbsent ? Source{Source::Kind::kEmpty} : found;
    }
    if (name.ends_with(kExtracted)) {
      const std::string base = name.substr(0, name.size() - kExtracted.size());
      if (const auto clash = plan.paths.find(base); clash != plan.paths.end()) {
        if (streams != InStreams::kNone || sets != InStreams::kNone ||
            in_metadata(base) != InStreams::kNone || plan.presence.at(base) == InStreams::kSome)
          return {};
        if (plan.presence.at(base) == InStreams::kNone) return {Source::Kind::kAbsent};
        return to_source(find_json_path(block.shape(), clash->second));
      }
    }
    if (sets != InStreams::kNone)
      return streams != InStreams::kNone ? Source{} : Source{Source::Kind::kMetadata};
    return {streams != InStreams::kNone ? Source::Kind::kStream : Source::Kind::kAbsent};
  }

  static bool reads_error(const LabelFilter& filter) {
    if (filter.left == nullptr) return is_error_label(filter.label);
    return reads_error(*filter.left) || reads_error(*filter.right);
  }

  // Removes the rows that `filter` drops. False: not decided; rows may be left that it drops.
  base::Result<bool> apply(const LabelFilter& filter, Parsed parsed, store::Selection& selection) {
    if (filter.kind == LabelFilter::Kind::kAnd) {
      SKALD_TRY_ASSIGN(const bool left, apply(*filter.left, parsed, selection));
      // What is not sure may set an error, which the right side would have to see.
      if (!left && reads_error(*filter.right)) return false;
      SKALD_TRY_ASSIGN(const bool right, apply(*filter.right, parsed, selection));
      return left && right;
    }
    if (filter.kind != LabelFilter::Kind::kOr) return apply_leaf(filter, parsed, selection);
    return apply_exactly(filter, parsed, selection);
  }

  // The same for what stands inside an `or`. A row that one side of an `and` drops may still come
  // in by the other side of the `or`, with the error of a comparison that did not convert; so both
  // sides of the `and` are asked about every row.
  base::Result<bool> apply_exactly(const LabelFilter& filter, Parsed parsed,
                                   store::Selection& selection) {
    if (filter.kind != LabelFilter::Kind::kAnd && filter.kind != LabelFilter::Kind::kOr)
      return apply_leaf(filter, parsed, selection);
    const bool both = filter.kind == LabelFilter::Kind::kAnd;
    store::Selection left = selection;
    store::Selection right = selection;
    SKALD_TRY_ASSIGN(const bool left_sure, apply_exactly(*filter.left, parsed, left));
    if (!left_sure) return false;
    if (!both) right.subtract(left);
    SKALD_TRY_ASSIGN(const bool right_sure, apply_exactly(*filter.right, parsed, right));
    if (!right_sure) return false;
    if (both) {
      selection = std::move(left);
      selection.intersect(right);
      return true;
    }
    for (std::size_t i = 0; i < left.words().size(); ++i) left.words()[i] |= right.words()[i];
    selection = std::move(left);
    return true;
  }

  base::Result<bool> apply_leaf(const LabelFilter& filter, Parsed parsed,
                                store::Selection& selection) {
    // Rows with an error pass it, whatever their label.
    if (filter.kind == LabelFilter::Kind::kIp &&
        (plan.converts || !parses_cleanly(parsed) || block.may_have_metadata("__error__")))
      return false;
    if (is_error_label(filter.label)) {
      if (filter.kind != LabelFilter::Kind::kString) return false;
      if (!parses_cleanly(parsed)) return false;
      if (plan.leaves.at(&filter).passes_absent()) return true;
      // A parser asks later conditions on a label as soon as it has found it: their errors are here
      // already.
      if (plan.converts) return false;
      selection.clear();
      return true;
    }
    const Leaf& leaf = plan.leaves.at(&filter);
    const Source source = resolve(filter.label, parsed);
    switch (source.kind) {
      case Source::Kind::kUnknown: return false;
      case Source::Kind::kAbsent:
        if (!leaf.passes_absent()) selection.clear();
        return true;
      case Source::Kind::kEmpty: return apply_to_all(leaf.judge({}), selection);
      case Source::Kind::kStream: {
        SKALD_TRY_ASSIGN(const auto ids, block.streams());
        return apply_to_dictionary(leaf, ids, plan.streams.size(), selection, [&](std::size_t i) {
          return plan.streams[i].labels.get(filter.label);
        });
      }
      case Source::Kind::kMetadata:
        if (metadata.ids.empty())
          return apply_to_all(verdict_of(leaf, metadata.sets[0].get(filter.label)), selection);
        return apply_to_dictionary(
            leaf, metadata.ids, metadata.sets.size(), selection,
            [&](std::size_t i) { return metadata.sets[i].get(filter.label); });
      case Source::Kind::kField: break;
    }
    const bool token = block.shape().fields[source.field].syntax == store::Field::Syntax::kToken;
    const LeafPredicate predicate(
        leaf, token,
        parsed == Parsed::kPaths ? LeafPredicate::Null::kEmpty : LeafPredicate::Null::kAbsent);
    store::Selection narrowed = selection;
    SKALD_TRY(block.filter_field(source.field, predicate, narrowed));
    if (predicate.unsure()) return false;
    selection = std::move(narrowed);
    return true;
  }

  // Labels of streams and metadata are never empty: that is their absence.
  static Verdict verdict_of(const Leaf& leaf, std::string_view value) {
    if (!value.empty()) return leaf.judge(value);
    return leaf.passes_absent() ? Verdict::kPass : Verdict::kDrop;
  }

  // All rows share the answer.
  static bool apply_to_all(Verdict verdict, store::Selection& selection) {
    if (verdict == Verdict::kDrop) selection.clear();
    return verdict != Verdict::kError;
  }

  template <typename ValueOf>
  base::Result<bool> apply_to_dictionary(const Leaf& leaf, std::span<const std::uint32_t> ids,
                                         std::size_t entries, store::Selection& selection,
                                         const ValueOf& value_of) {
    enum : unsigned char { kNotAsked, kKeep, kRemove };
    std::vector<unsigned char> verdicts(entries, kNotAsked);
    bool unsure = false;
    store::Selection dropped(selection.rows());
    selection.for_each([&](std::uint32_t row) {
      unsigned char& verdict = verdicts[ids[row]];
      if (verdict == kNotAsked) {
        const std::string_view value = value_of(ids[row]);
        const Verdict v = verdict_of(leaf, value);
        unsure = unsure || v == Verdict::kError;
        verdict = v == Verdict::kDrop ? kRemove : kKeep;
      }
      if (verdict == kRemove) dropped.set(row);
    });
    if (unsure) return false;
    selection.subtract(dropped);
    return true;
  }

  bool decidable() const {
    if (!plan.complete) return false;
    if (!parses_cleanly(plan.parsed)) return false;
    if (plan.unpacks && !unpacks_nothing()) return false;
    if (!metadata_usable) return false;
    // Ungrouped series carry the metadata.
    return plan.needs->grouped || !block.has_metadata();
  }

  base::Result<bool> read_key(const std::string& name, const store::Selection& selection,
                              Key& key) {
    const Source source = resolve(name, plan.parsed);
    switch (source.kind) {
      case Source::Kind::kUnknown: return false;
      case Source::Kind::kAbsent: key.values.emplace_back(); return true;
      case Source::Kind::kEmpty: key.values.emplace_back(std::string()); return true;
      case Source::Kind::kStream: {
        SKALD_TRY_ASSIGN(const auto ids, block.streams());
        for (const store::StreamInfo& stream : plan.streams)
          key.values.push_back(non_empty(stream.labels.get(name)));
        gather(ids, selection, key);
        return true;
      }
      case Source::Kind::kMetadata:
        for (const model::Labels& set : metadata.sets)
          key.values.push_back(non_empty(set.get(name)));
        if (!metadata.ids.empty()) gather(metadata.ids, selection, key);
        return true;
      case Source::Kind::kField: return read_field_key(source.field, selection, key);
    }
    return false;
  }

  static std::optional<std::string> non_empty(std::string_view value) {
    if (value.empty()) return std::nullopt;
    return std::string(value);
  }

  static void gather(std::span<const std::uint32_t> ids, const store::Selection& selection,
                     Key& key) {
    key.ids.reserve(selection.count());
    selection.for_each([&](std::uint32_t row) { key.ids.push_back(ids[row]); });
  }

  base::Result<bool> read_field_key(std::size_t field, const store::Selection& selection,
                                    Key& key) {
    store::TextColumn column;
    SKALD_TRY(block.read_text(field, selection, column));
    const bool token = block.shape().fields[field].syntax == store::Field::Syntax::kToken;
    key.values.reserve(column.entries.size());
    for (const std::string_view value : column.entries) {
      if (!token && is_changed_by_parser(value)) return false;
      if (token && value == "null")
        key.values.push_back(plan.parsed == Parsed::kPaths ? std::optional<std::string>("")
                                                           : std::nullopt);
      else
        key.values.emplace_back(std::string(value));
    }
    key.ids = std::move(column.ids);
    if (key.ids.empty() && key.values.size() != 1) {
      key.ids.resize(key.values.size());
      for (std::uint32_t i = 0; i < key.ids.size(); ++i) key.ids[i] = i;
    }
    return true;
  }

  base::Status ungrouped(const store::Selection& selection, RowGroups& out) {
    SKALD_TRY_ASSIGN(const auto ids, block.streams());
    std::vector<std::uint32_t> known(plan.streams.size(), PairNumbers::kUnseen);
    out.ids.reserve(selection.count());
    selection.for_each([&](std::uint32_t row) {
      std::uint32_t& group = known[ids[row]];
      if (group == PairNumbers::kUnseen) {
        group = static_cast<std::uint32_t>(out.labels.size());
        out.labels.push_back(plan.streams[ids[row]].labels);
      }
      out.ids.push_back(group);
    });
    return {};
  }
};

namespace {

// Series of rows while they are found: labels as pairs, and which row has which.
struct Partition {
  std::vector<std::vector<model::Labels::Pair>> labels{1};
  std::vector<std::uint32_t> ids;  // empty: all rows have labels[0]
};

void add_pair(std::vector<model::Labels::Pair>& labels, const std::string& name,
              const std::optional<std::string>& value) {
  if (value) labels.emplace_back(name, *value);
}

constexpr std::size_t kFewKeys = 16;

// Refines the groups of rows so far by one more key: rows stay together that have equal keys.
void refine(const std::string& name, const std::vector<std::optional<std::string>>& values,
            std::vector<std::uint32_t> key_ids, Partition& groups) {
  if (key_ids.empty()) {
    for (auto& labels : groups.labels) add_pair(labels, name, values.front());
    return;
  }
  if (groups.ids.empty() && values.size() <= kFewKeys) {
    // Keys that no row has make series without samples, which are none.
    const auto before = std::move(groups.labels.front());
    groups.labels.assign(values.size(), before);
    for (std::size_t k = 0; k < values.size(); ++k) add_pair(groups.labels[k], name, values[k]);
    groups.ids = std::move(key_ids);
    return;
  }
  PairNumbers numbers(groups.labels.size(), values.size());
  std::vector<std::vector<model::Labels::Pair>> labels;
  for (std::size_t i = 0; i < key_ids.size(); ++i) {
    const std::uint32_t before = groups.ids.empty() ? 0 : groups.ids[i];
    std::uint32_t& number = numbers.at(before, key_ids[i]);
    if (number == PairNumbers::kUnseen) {
      number = static_cast<std::uint32_t>(labels.size());
      labels.push_back(groups.labels[before]);
      add_pair(labels.back(), name, values[key_ids[i]]);
    }
    key_ids[i] = number;
  }
  groups.labels = std::move(labels);
  groups.ids = std::move(key_ids);
}

}  // namespace

BlockPass::BlockPass(const Pushdown& plan, store::Block& block)
    : impl_(std::make_unique<Impl>(*plan.impl_, block)) {}
BlockPass::~BlockPass() = default;

base::Result<bool> BlockPass::counts_by_stream() {
  SKALD_TRY(impl_->load_metadata());
  if (!impl_->decidable()) return false;
  return std::all_of(
      impl_->plan.needs->by.begin(), impl_->plan.needs->by.end(), [&](const std::string& name) {
        return impl_->in_metadata(name) == InStreams::kNone && !impl_->renames_metadata(name);
      });
}

base::Result<BlockPass::Outcome> BlockPass::filter(store::Selection& selection) {
  SKALD_TRY(filter_lines(impl_->plan.line_filters, impl_->block, selection));
  if (selection.none()) return Outcome::kDecided;
  SKALD_TRY(impl_->load_metadata());
  if (!impl_->metadata_usable) return impl_->candidates(selection);
  for (const Pushdown::Impl::Step& step : impl_->plan.steps) {
    if (step.unpacked && !impl_->unpacks_nothing()) return impl_->candidates(selection);
    SKALD_TRY_ASSIGN(const bool sure, impl_->apply(*step.filter, step.parsed, selection));
    // Filters behind it may depend on the error label that this one would set.
    if (!sure) return impl_->candidates(selection);
    if (selection.none()) return Outcome::kDecided;
  }
  if (!impl_->decidable()) return impl_->candidates(selection);
  for (const std::string& name : impl_->plan.needs->by)
    if (impl_->resolve(name, impl_->plan.parsed).kind == Impl::Source::Kind::kUnknown)
      return impl_->candidates(selection);
  return Outcome::kDecided;
}

base::Result<bool> BlockPass::values(store::Selection& selection, std::vector<double>& out) {
  const logql::Unwrap& unwrap = *impl_->plan.needs->unwrap;
  const Impl::Source source = impl_->resolve(unwrap.label, impl_->plan.parsed);
  if (source.kind == Impl::Source::Kind::kUnknown) return false;
  if (source.kind == Impl::Source::Kind::kAbsent || source.kind == Impl::Source::Kind::kEmpty) {
    selection.clear();
    return true;
  }
  if (source.kind == Impl::Source::Kind::kField &&
      unwrap.convert == logql::Unwrap::Convert::kNone &&
      impl_->block.field_stats(source.field).all_numbers) {
    SKALD_TRY(impl_->block.read_numbers(source.field, selection, out));
    return true;
  }
  Impl::Key key;
  SKALD_TRY_ASSIGN(const bool known, impl_->read_key(unwrap.label, selection, key));
  if (!known) return false;
  std::vector<std::optional<double>> converted(key.values.size());
  for (std::size_t i = 0; i < key.values.size(); ++i) {
    double number = 0;
    // A row without the label, or with an empty one, has no sample.
    if (!key.values[i] || key.values[i]->empty()) continue;
    SKALD_TRY_ASSIGN(const bool ok, convert(unwrap.convert, *key.values[i], number));
    if (!ok) return false;
    converted[i] = number;
  }
  out.clear();
  store::Selection without(selection.rows());
  std::size_t i = 0;
  selection.for_each([&](std::uint32_t row) {
    const auto& value = converted[key.ids.empty() ? 0 : key.ids[i]];
    if (value)
      out.push_back(*value);
    else
      without.set(row);
    ++i;
  });
  selection.subtract(without);
  return true;
}

base::Result<bool> BlockPass::groups(const store::Selection& selection, RowGroups& out) {
  out.labels.clear();
  out.ids.clear();
  if (!impl_->plan.needs->grouped) {
    SKALD_TRY(impl_->ungrouped(selection, out));
    return true;
  }
  Partition groups;
  for (const std::string& name : impl_->plan.needs->by) {
    Impl::Key key;
    SKALD_TRY_ASSIGN(const bool known, impl_->read_key(name, selection, key));
    if (!known) return false;
    refine(name, key.values, std::move(key.ids), groups);
  }
  for (auto& pairs : groups.labels)
    out.labels.push_back(model::Labels::from_result(std::move(pairs)));
  out.ids = std::move(groups.ids);
  return true;
}

}  // namespace skald::query::plan
