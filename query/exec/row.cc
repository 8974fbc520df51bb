#include "query/exec/row.h"

#include <algorithm>
#include <utility>

#include "query/exec/go_sort.h"
#include "query/exec/hints.h"
#include "query/exec/query_context.h"

namespace skald::query {
namespace {

bool contains(const std::vector<LabelView>& list, std::string_view name) {
  for (const LabelView& label : list)
    if (label.name == name) return true;
  return false;
}

const LabelView* find(const std::vector<LabelView>& list, std::string_view name) {
  for (const LabelView& label : list)
    if (label.name == name) return &label;
  return nullptr;
}

}  // namespace

Row::Row(const Hints& hints, QueryContext* query) : arena(query), hints_(&hints), query_(query) {
  if (query != nullptr) pace_.emplace(*query);
}

template <typename T>
void Row::append(std::vector<T>& list, T item) {
  const std::size_t before = list.capacity();
  list.push_back(item);
  if (list.capacity() != before) arena.take_beside((list.capacity() - before) * sizeof(T));
}

void Row::start(std::int64_t timestamp, std::string_view stored_line, const model::Labels& stream,
                const model::Labels* metadata) {
  timestamp_ns = timestamp;
  line = stored_line;
  arena.reset();
  stopped_ = false;
  base_ = &stream;
  for (auto& added : added_) added.clear();
  deleted_.clear();
  extracted_.clear();
  parsed_at_.clear();
  error_ = details_ = {};
  if (metadata == nullptr) return;
  for (const auto& [name, value] : *metadata) {
    const std::string_view key =
        base_has(name) ? arena.concat(name, kDuplicateSuffix) : std::string_view(name);
    if (key == kErrorLabel)
      error_ = value;
    else if (key == kErrorDetailsLabel)
      details_ = value;
    else
      set(Category::kMetadata, key, value);
  }
}

Row::Found Row::get(std::string_view name) const {
  for (const auto& added : added_)
    if (const LabelView* label = find(added, name)) return {label->value, true};
  if (is_deleted(name)) return {};
  const std::string_view value = base_->get(name);
  return {value, !value.empty()};
}

bool Row::in_category(std::string_view name, Category category) const {
  return contains(added_[static_cast<std::size_t>(category)], name);
}

bool Row::is_deleted(std::string_view name) const {
  return std::find(deleted_.begin(), deleted_.end(), name) != deleted_.end();
}

void Row::erase_from(Category category, std::string_view name) {
  std::erase_if(list(category), [&](const LabelView& label) { return label.name == name; });
}

void Row::set(Category category, std::string_view name, std::string_view value) {
  if (category == Category::kParsed) {
    return set_parsed(name, value);
  } else if (category == Category::kMetadata) {
    erase_from(Category::kStream, name);
    if (in_category(name, Category::kParsed)) return;
  } else if (in_category(name, Category::kMetadata) || in_category(name, Category::kParsed)) {
    return;
  }
  for (LabelView& label : list(category)) {
    if (label.name == name) {
      label.value = value;
      return;
    }
  }
  append(list(category), {name, value});
}

void Row::set_parsed(std::string_view name, std::string_view value) {
  erase_from(Category::kMetadata, name);
  erase_from(Category::kStream, name);
  std::vector<LabelView>& parsed = list(Category::kParsed);
  const std::uint32_t known = extracted_.find(name);
  if (known == NameIndex::kNone) {
    extracted_.add(name);
    parsed_at_.push_back(static_cast<std::uint32_t>(parsed.size()));
    const std::uint64_t bytes = extracted_.bytes() + parsed_at_.capacity() * sizeof(std::uint32_t);
    if (bytes > index_bytes_) arena.take_beside(bytes - std::exchange(index_bytes_, bytes));
    return append(parsed, {name, value});
  }
  const std::size_t at = parsed_at_[known];
  if (at < parsed.size() && parsed[at].name == name) {
    parsed[at].value = value;
    return;
  }
  const auto moved = std::find_if(parsed.begin(), parsed.end(),
                                  [&](const LabelView& label) { return label.name == name; });
  if (moved != parsed.end()) {
    moved->value = value;
    return;
  }
  parsed_at_[known] = static_cast<std::uint32_t>(parsed.size());
  append(parsed, {name, value});
}

void Row::erase_all(std::vector<std::string_view> names) {
  std::sort(names.begin(), names.end());
  for (auto& added : added_)
    std::erase_if(added, [&](const LabelView& label) {
      return std::binary_search(names.begin(), names.end(), label.name);
    });
  for (const std::string_view name : names) append(deleted_, name);
}

void Row::erase(std::string_view name) {
  for (const Category category : {Category::kStream, Category::kMetadata, Category::kParsed})
    erase_from(category, name);
  append(deleted_, name);
}

void Row::add_parser_error(std::string_view error, std::string_view details) {
  set_error(error);
  if (!details.empty()) set_error_details(details);
  if (hints_->preserve_error()) set(Category::kParsed, kPreserveErrorLabel, "true");
}

bool Row::extracted(std::string_view name) const {
  return extracted_.find(name) != NameIndex::kNone;
}

bool Row::all_required_extracted() const {
  const auto& required = hints_->required();
  if (required.empty() || extracted_.size() < required.size()) return false;
  return std::all_of(required.begin(), required.end(),
                     [&](const std::string& name) { return extracted(name); });
}

bool Row::no_labels() const { return hints_->no_labels() || all_required_extracted(); }

bool Row::should_continue(std::string_view name) { return hints_->should_continue(name, *this); }

void Row::append_errors(std::vector<LabelView>& parsed) const {
  const bool doubled = (!error_.empty() && contains(parsed, kErrorLabel)) ||
                       (!details_.empty() && contains(parsed, kErrorDetailsLabel));
  if (!error_.empty()) parsed.push_back({kErrorLabel, error_});
  if (!details_.empty()) parsed.push_back({kErrorDetailsLabel, details_});
  if (doubled) drop_doubled_errors(parsed);
}

// Loki sorts all labels by name, which leaves equal names in any order, and takes the last.
void Row::drop_doubled_errors(std::vector<LabelView>& parsed) const {
  std::vector<LabelView> all, part;
  collect(Category::kStream, all);
  collect(Category::kMetadata, part);
  all.insert(all.end(), part.begin(), part.end());
  all.insert(all.end(), parsed.begin(), parsed.end());
  const auto by_name = [](const LabelView& a, const LabelView& b) { return a.name < b.name; };
  GoSort<LabelView, decltype(by_name)>(all, by_name).run();
  for (const std::string_view name : {kErrorLabel, kErrorDetailsLabel}) {
    const auto last = std::find_if(all.rbegin(), all.rend(),
                                   [&](const LabelView& label) { return label.name == name; });
    if (last == all.rend()) continue;
    std::erase_if(parsed, [&](const LabelView& label) { return label.name == name; });
    parsed.push_back(*last);
  }
}

void Row::collect(Category category, std::vector<LabelView>& out) const {
  out.clear();
  const auto& metadata = added(Category::kMetadata);
  const auto& parsed = added(Category::kParsed);
  if (category == Category::kStream) {
    const auto& changes = added(Category::kStream);
    for (const auto& [name, value] : *base_) {
      if (is_deleted(name) || contains(metadata, name) || contains(parsed, name)) continue;
      const LabelView* change = find(changes, name);
      out.push_back({name, change != nullptr ? change->value : std::string_view(value)});
    }
  } else if (category == Category::kMetadata) {
    for (const LabelView& label : metadata)
      if (!contains(parsed, label.name)) out.push_back(label);
  } else {
    out = parsed;
    // Details without an error only show beside other changes.
    if (has_error() || changed()) append_errors(out);
  }
}

void Row::collect_all(std::vector<LabelView>& out) const {
  std::vector<LabelView> part;
  collect(Category::kStream, out);
  for (const Category category : {Category::kMetadata, Category::kParsed}) {
    collect(category, part);
    out.insert(out.end(), part.begin(), part.end());
  }
}

}  // namespace skald::query
