#include <algorithm>

#include "proto/gotext/functions.h"
#include "proto/gotext/template.h"
#include "query/exec/limits.h"
#include "query/exec/query_context.h"
#include "query/exec/stage.h"

namespace skald::query {
namespace {

// As a map has them: sorted, and of equal names the last, which an error's is.
std::vector<LabelView> sorted_labels(const Row& row) {
  std::vector<LabelView> labels;
  row.collect_all(labels);
  std::stable_sort(labels.begin(), labels.end(),
                   [](const LabelView& a, const LabelView& b) { return a.name < b.name; });
  const auto kept = std::unique(labels.rbegin(), labels.rend(),
                                [](const auto& a, const auto& b) { return a.name == b.name; });
  labels.erase(labels.begin(), kept.base());
  return labels;
}

std::vector<std::pair<std::string, gotext::Value>> as_entries(
    const std::vector<LabelView>& labels) {
  std::vector<std::pair<std::string, gotext::Value>> out;
  out.reserve(labels.size());
  for (const LabelView& label : labels)
    out.emplace_back(std::string(label.name), gotext::Value::borrow(label.value));
  return out;
}

// A row's labels as the map that templates see. Look-ups go to the row; the map is only built for
// templates that range over it or print it.
class RowObject final : public gotext::Object {
 public:
  explicit RowObject(const Row& row) : row_(row) {}

  std::optional<gotext::Value> get(std::string_view key) const override {
    if (key == kErrorLabel && row_.has_error()) return gotext::Value::borrow(row_.error());
    if (key == kErrorDetailsLabel && !row_.error_details().empty())
      return gotext::Value::borrow(row_.error_details());
    const Row::Found found = row_.get(key);
    if (!found.ok) return std::nullopt;
    return gotext::Value::borrow(found.value);
  }
  std::vector<std::pair<std::string, gotext::Value>> entries() const override {
    return as_entries(sorted_labels(row_));
  }

 private:
  const Row& row_;
};

// The labels as they were when a label_format began: its templates do not see each other's work.
class FrozenLabels final : public gotext::Object {
 public:
  explicit FrozenLabels(const Row& row) : labels_(sorted_labels(row)) {}
  std::optional<gotext::Value> get(std::string_view key) const override {
    const auto found = std::lower_bound(
        labels_.begin(), labels_.end(), key,
        [](const LabelView& label, std::string_view name) { return label.name < name; });
    if (found == labels_.end() || found->name != key) return std::nullopt;
    return gotext::Value::borrow(found->value);
  }
  std::vector<std::pair<std::string, gotext::Value>> entries() const override {
    return as_entries(labels_);
  }
  bool empty() const { return labels_.empty(); }

 private:
  std::vector<LabelView> labels_;
};

// The reason repeats the template's text, which may be 128 KiB, for each row that fails.
constexpr std::size_t kDetailsMax = 4U << 10;

// False: it failed, and the row says how.
bool execute(const gotext::Template& tmpl, const gotext::Object& labels, Row& row,
             std::string& out) {
  out.clear();
  const gotext::LineContext context{row.line, row.timestamp_ns,
                                    row.query() != nullptr ? row.query()->now_ns : 0};
  gotext::ExecOptions options;
  options.context = &context;
  options.output_max = kFormatOutputMax;
  options.host = row.pace();
  const base::Status status = tmpl.execute(gotext::Value::object(&labels), out, options);
  if (status.ok()) return true;
  row.set_error(kTemplateError);
  row.set_error_details(status.message().substr(0, kDetailsMax));
  if (row.query() != nullptr && !row.pace()->check().ok()) row.stop();
  return false;
}

class LineFormatStage final : public Stage {
 public:
  explicit LineFormatStage(gotext::Template tmpl) : template_(std::move(tmpl)) {
    if (const auto field = template_.simple_field()) field_ = std::string(*field);
  }

  bool process(Row& row) const override {
    if (!field_.empty()) {
      row.line = row.get(field_).value;
      return true;
    }
    const RowObject labels(row);
    std::string out;
    if (execute(template_, labels, row, out)) row.line = row.arena.copy(out);
    return true;
  }
  void required_labels(std::vector<std::string>& out) const override {
    for (std::string& name : template_.field_names()) out.push_back(std::move(name));
  }

 private:
  gotext::Template template_;
  std::string field_;
};

class LabelFormatStage final : public Stage {
 public:
  struct Item {
    std::string name, source;  // source: of a rename
    std::optional<gotext::Template> value;
  };
  explicit LabelFormatStage(std::vector<Item> items) : items_(std::move(items)) {}

  bool needs_line() const override {
    return std::any_of(items_.begin(), items_.end(), [](const Item& item) {
      return item.value && item.value->calls("__line__");
    });
  }

  bool process(Row& row) const override {
    std::optional<FrozenLabels> labels;
    std::string out;
    for (const Item& item : items_) {
      if (row.stopped()) return false;
      if (!item.value) {
        const Row::Found found = row.get(item.source);
        if (!found.ok) continue;
        row.set(Category::kParsed, item.name, found.value);
        row.erase(item.source);
        continue;
      }
      if (!labels || labels->empty()) labels.emplace(row);
      if (execute(*item.value, *labels, row, out))
        row.set(Category::kParsed, item.name, row.arena.copy(out));
    }
    return true;
  }
  void required_labels(std::vector<std::string>& out) const override {
    for (const Item& item : items_) {
      if (!item.value) {
        out.push_back(item.source);
        continue;
      }
      for (std::string& name : item.value->field_names()) out.push_back(std::move(name));
    }
  }

 private:
  std::vector<Item> items_;
};

}  // namespace

base::Result<std::unique_ptr<Stage>> make_line_format_stage(const logql::LineFormat& e) {
  auto parsed =
      gotext::Template::parse("line", e.text, gotext::logql_functions(), gotext::MissingKey::kZero);
  if (!parsed.ok())
    return base::invalid_argument("invalid line template: " +
                                  std::string(parsed.status().message()));
  return std::unique_ptr<Stage>(std::make_unique<LineFormatStage>(std::move(*parsed)));
}

base::Result<std::unique_ptr<Stage>> make_label_format_stage(const logql::LabelFormat& e) {
  std::vector<LabelFormatStage::Item> items;
  for (const logql::LabelFormat::Item& item : e.items) {
    if (item.name == kErrorLabel) return base::invalid_argument(item.name + " cannot be formatted");
    for (const auto& other : items)
      if (other.name == item.name)
        return base::invalid_argument("multiple label name '" + item.name +
                                      "' not allowed in a single format operation");
    LabelFormatStage::Item out{item.name, item.value, std::nullopt};
    if (!item.rename) {
      auto parsed = gotext::Template::parse("label", item.value, gotext::logql_functions(),
                                            gotext::MissingKey::kZero);
      if (!parsed.ok())
        return base::invalid_argument("invalid template for label '" + item.name +
                                      "': " + std::string(parsed.status().message()));
      out.value = std::move(*parsed);
    }
    items.push_back(std::move(out));
  }
  return std::unique_ptr<Stage>(std::make_unique<LabelFormatStage>(std::move(items)));
}

}  // namespace skald::query
