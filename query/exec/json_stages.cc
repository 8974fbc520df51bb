#include <functional>

#include "query/exec/json_scan.h"
#include "query/exec/label_names.h"
#include "query/exec/limits.h"
#include "query/exec/stage.h"
#include "query/logql/json_path.h"

namespace skald::query {
namespace {

std::string_view label_value(const json::Value& value, Arena& arena) {
  return value.type == json::Type::kString ? json::unescape_value(value.text, arena) : value.text;
}

// ---- | json ----

class JsonStage final : public Stage {
 public:
  bool process(Row& row) const override {
    if (row.no_labels()) return true;
    row.views.clear();
    const json::Error error = object(row, row.line, 0);
    if (error == nullptr || error == json::kStopSatisfied) return true;
    if (error == json::kStopRefused) return false;
    row.add_parser_error(kJsonError, error);
    return true;
  }

 private:
  json::Error object(Row& row, std::string_view text, int depth) const {
    if (depth > kJsonDepthMax) return json::kMalformedJson;
    return json::for_each_member(
        text, row.arena, [&](std::string_view key, const json::Value& value) -> json::Error {
          switch (value.type) {
            case json::Type::kString:
            case json::Type::kNumber:
            case json::Type::kBoolean: {
              const json::Error error = scalar(row, key, value);
              if (row.all_required_extracted()) return json::kStopSatisfied;
              return error;
            }
            case json::Type::kObject: {
              const std::size_t prefix = row.views.size();
              row.views.push_back(key);
              json::Error error = nullptr;
              if (row.hints().should_extract_prefix(joined(row)))
                error = object(row, value.text, depth + 1);
              row.views.resize(prefix);
              return error;
            }
            default: return row.all_required_extracted() ? json::kStopSatisfied : nullptr;
          }
        });
  }

  // The name of the keys in row.views, in row.text.
  static std::string_view joined(Row& row) {
    row.text.clear();
    for (const std::string_view key : row.views) append_label_name(row.text, key);
    return row.text;
  }

  json::Error scalar(Row& row, std::string_view key, const json::Value& value) const {
    std::string_view name;
    if (row.views.empty()) {
      name = clean_label_name(key, row.arena);
      if (name.empty()) return nullptr;
      name = row.parsed_name(name);
    } else {
      row.views.push_back(key);
      name = joined(row);
      row.views.pop_back();
      if (!row.hints().required().empty() && !row.hints().should_extract(name) &&
          !row.is_taken(name))
        return nullptr;  // before the name is copied
      name = row.arena.copy(name);
      if (row.is_taken(name)) {
        row.views.push_back(row.arena.concat(key, kDuplicateSuffix));
        name = row.arena.copy(joined(row));
        row.views.pop_back();
      }
    }
    if (!row.hints().should_extract(name) || row.extracted(name)) return nullptr;
    row.set(Category::kParsed, name, label_value(value, row.arena));
    return row.should_continue(name) ? nullptr : json::kStopRefused;
  }
};

// ---- | json a="b.c" ----

class JsonExpressionsStage final : public Stage {
 public:
  JsonExpressionsStage(std::vector<std::string> names, std::vector<std::vector<std::string>> paths)
      : names_(std::move(names)), paths_(std::move(paths)) {}

  bool process(Row& row) const override {
    if (row.line.empty() || row.no_labels()) return true;
    const char first = row.line[0];
    if (first != '"' && first != '{' && first != '[') {
      row.add_parser_error(kJsonError, {});
      return true;
    }
    std::size_t found = 0;
    json::find_paths(row.line, paths_, row.arena, [&](int index, const json::Value& value) {
      if (value.error != nullptr) return row.add_parser_error(kJsonError, value.error);
      const std::string_view name = row.parsed_name(names_[static_cast<std::size_t>(index)]);
      std::string_view text;
      if (value.type == json::Type::kObject)
        text = value.text;
      else if (value.type != json::Type::kNull)
        text = json::unescape_value(value.text, row.arena);
      row.set(Category::kParsed, name, text);
      ++found;
    });
    if (found < names_.size())
      for (const std::string& name : names_)
        if (!row.get(name).ok) row.set(Category::kParsed, name, {});
    return true;
  }

 private:
  std::vector<std::string> names_;
  std::vector<std::vector<std::string>> paths_;
};

// ---- | unpack ----

class UnpackStage final : public Stage {
 public:
  bool process(Row& row) const override {
    if (row.line.empty() || row.no_labels()) return true;
    if (row.line[0] != '{') {
      row.add_parser_error(kJsonError, "expecting json object(6), but it is not");
      return true;
    }
    std::optional<std::string_view> entry;
    std::vector<LabelView> labels;
    const json::Error error = json::for_each_member(
        row.line, row.arena, [&](std::string_view key, const json::Value& value) -> json::Error {
          if (value.type != json::Type::kString) return nullptr;
          if (key == "_entry") {
            entry = json::unescape(value.text, row.arena);
            return entry ? nullptr : json::kMalformedEscape;
          }
          const std::string_view name = row.parsed_name(key);
          if (!row.hints().should_extract(name) || row.extracted(name)) return nullptr;
          labels.push_back(
              {clean_label_name(name, row.arena), json::unescape_value(value.text, row.arena)});
          return nullptr;
        });
    if (error != nullptr) {
      row.add_parser_error(kJsonError, error);
      return true;
    }
    if (!entry) return true;
    for (const LabelView& label : labels) {
      row.set(Category::kParsed, label.name, label.value);
      if (!row.should_continue(label.name)) return false;
    }
    row.line = *entry;
    return true;
  }
};

}  // namespace

std::unique_ptr<Stage> make_json_stage() { return std::make_unique<JsonStage>(); }
std::unique_ptr<Stage> make_unpack_stage() { return std::make_unique<UnpackStage>(); }

base::Result<std::unique_ptr<Stage>> make_json_expressions_stage(const logql::JsonExpressions& e) {
  std::vector<std::string> names;
  std::vector<std::vector<std::string>> paths;
  for (const logql::Extraction& extraction : e.extractions) {
    auto path = logql::parse_json_path(extraction.expression);
    if (!path.ok())
      return base::invalid_argument("cannot parse expression [" + extraction.expression +
                                    "]: " + std::string(path.status().message()));
    names.push_back(extraction.identifier);
    paths.push_back(std::move(*path));
  }
  return std::unique_ptr<Stage>(
      std::make_unique<JsonExpressionsStage>(std::move(names), std::move(paths)));
}

}  // namespace skald::query
