// json, logfmt, regex: from text to extracted values.

#include <re2/re2.h>

#include <algorithm>

#include "agent/parse/jmespath.h"
#include "agent/parse/json_scan.h"
#include "agent/parse/limits.h"
#include "agent/parse/regex.h"
#include "agent/parse/stage.h"

namespace skald::agent {

namespace {

class JsonStage final : public Stage {
 public:
  Flow run(Entry& entry, Context& context) override {
    std::string_view text;
    if (!source_.get(entry, context.arena, text)) return Flow::kNext;
    if (!paths_.scan(text, context.arena, results_.data())) {
      if (!drop_malformed_) return Flow::kNext;
      ++*dropped_;
      return Flow::kDrop;
    }
    for (const auto& [name, result] : plain_) {
      store(results_[result], entry.slots[name], context.arena);
    }
    if (!general_.empty()) search(text, entry, context.arena);
    return Flow::kNext;
  }

  std::string describe() const override {
    return "reads " + source_text_ + " as a JSON object and takes " + taken_ +
           (drop_malformed_ ? "; lines that are none are dropped (counted)" : "");
  }

  static StagePtr build(MapReader& body, BuildContext& build) {
    auto stage = std::make_unique<JsonStage>();
    stage->source_ = read_source(body, build);
    stage->source_text_ = stage->source_.describe(*build.names);
    body.boolean("drop_malformed", stage->drop_malformed_);
    std::vector<std::pair<std::string, std::string>> expressions;
    body.string_map("expressions", expressions);
    if (expressions.empty()) {
      body.fail("expressions", "the json stage needs at least one: {name: JMESPath}");
    }
    for (auto& [name, expression] : expressions) stage->add(name, expression, body, build);
    stage->results_.resize(stage->paths_.size());
    stage->dropped_ = build.metrics->dropped_lines("json_malformed");
    return stage;
  }

 private:
  void add(const std::string& name, std::string expression, MapReader& body, BuildContext& build) {
    if (expression.empty()) expression = name;
    auto compiled = JmesPath::compile(expression);
    if (!compiled.ok()) {
      body.fail("expressions", "`" + name + ": " + expression +
                                   "`: " + std::string(compiled.status().message()) +
                                   " (a key with . or - in its name is written '\"a.b\"')");
      return;
    }
    const std::uint32_t slot = build.names->id(name);
    taken_ += (taken_.empty() ? "`" : ", `") + name + "`";
    if (expression != name) taken_ += " from " + expression;
    if (compiled->plain_path()) {
      plain_.emplace_back(slot, paths_.add(*compiled->plain_path()));
    } else {
      general_.emplace_back(slot, std::move(compiled).value());
    }
  }

  static void store(const JsonField& field, Value& out, Arena& arena) {
    switch (field.type) {
      case JsonField::Type::kNull: out = Value::null(); break;
      case JsonField::Type::kString:
        out = Value::string(field.escaped ? unescape(field.text, arena) : field.text);
        break;
      case JsonField::Type::kNumber: out = Value::number_text(field.text); break;
      case JsonField::Type::kTrue: out = Value::truth(true); break;
      case JsonField::Type::kFalse: out = Value::truth(false); break;
      case JsonField::Type::kObject:
      case JsonField::Type::kArray: {
        auto tree = parse_json_tree(field.text);
        if (!tree.ok()) break;  // nested beyond the tree's limit: as if it were not there
        std::string compact;
        append_json(*tree, compact);
        out = Value::string(arena.copy(compact));
        break;
      }
    }
  }

  void search(std::string_view text, Entry& entry, Arena& arena) {
    auto tree = parse_json_tree(text);
    if (!tree.ok()) return;
    for (const auto& [name, path] : general_) {
      auto found = path.search(*tree);
      if (!found.ok()) continue;
      Value& out = entry.slots[name];
      switch (found->type) {
        case JsonValue::Type::kNull: out = Value::null(); break;
        case JsonValue::Type::kBool: out = Value::truth(found->boolean); break;
        case JsonValue::Type::kNumber: out = Value::real(found->number); break;
        case JsonValue::Type::kString: out = Value::string(arena.copy(found->string)); break;
        default: {
          std::string compact;
          append_json(*found, compact);
          out = Value::string(arena.copy(compact));
        }
      }
    }
  }

  Source source_;
  JsonPaths paths_;
  std::vector<std::pair<std::uint32_t, std::size_t>> plain_;  // slot, result
  std::vector<std::pair<std::uint32_t, JmesPath>> general_;
  std::vector<JsonField> results_;  // scratch
  bool drop_malformed_ = false;
  std::uint64_t* dropped_ = nullptr;
  std::string source_text_, taken_;
};

// go-logfmt's rules: keys end at '=', space or a control character; '"' in a key or a stray '=' is
// an error that ends the line (what was read stays).
class LogfmtReader {
 public:
  LogfmtReader(std::string_view text, Arena& arena) : text_(text), arena_(arena) {}

  bool next(std::string_view& key, std::string_view& value) {
    while (at_ < text_.size() && is_gap(text_[at_])) ++at_;
    if (at_ >= text_.size()) return false;
    const std::size_t start = at_;
    while (at_ < text_.size() && text_[at_] != '=' && !is_gap(text_[at_])) {
      if (text_[at_] == '"') return false;
      ++at_;
    }
    if (at_ == start) return false;  // '=' without a key
    key = text_.substr(start, at_ - start);
    value = {};
    if (at_ < text_.size() && text_[at_] == '=') {
      ++at_;
      return read_value(value);
    }
    return true;
  }

 private:
  static bool is_gap(char c) noexcept { return static_cast<unsigned char>(c) <= ' '; }

  bool read_value(std::string_view& value) {
    if (at_ < text_.size() && text_[at_] == '"') return read_quoted(value);
    const std::size_t start = at_;
    while (at_ < text_.size() && !is_gap(text_[at_])) {
      if (text_[at_] == '=' || text_[at_] == '"') return false;
      ++at_;
    }
    value = text_.substr(start, at_ - start);
    return true;
  }
  bool read_quoted(std::string_view& value) {
    const std::size_t start = ++at_;
    bool escaped = false;
    while (at_ < text_.size() && text_[at_] != '"') {
      if (text_[at_] == '\\') {
        escaped = true;
        ++at_;
      }
      ++at_;
    }
    if (at_ >= text_.size()) return false;  // unterminated
    value = text_.substr(start, at_ - start);
    ++at_;
    if (at_ < text_.size() && !is_gap(text_[at_])) return false;
    if (!escaped) return true;
    if (!is_json_value("\"" + std::string(value) + "\"")) return false;
    value = unescape(value, arena_);
    return true;
  }

  std::string_view text_;
  Arena& arena_;
  std::size_t at_ = 0;
};

class LogfmtStage final : public Stage {
 public:
  Flow run(Entry& entry, Context& context) override {
    std::string_view text;
    if (!source_.get(entry, context.arena, text)) return Flow::kNext;
    LogfmtReader reader(text, context.arena);
    std::string_view key;
    std::string_view value;
    while (reader.next(key, value)) {
      for (const auto& [wanted, slot] : mapping_) {
        if (wanted == key) entry.slots[slot] = Value::string(value);
      }
    }
    return Flow::kNext;
  }

  std::string describe() const override {
    std::string taken;
    for (const auto& [key, slot] : mapping_) taken += (taken.empty() ? "`" : ", `") + key + "`";
    return "reads " + source_text_ + " as logfmt and takes " + taken;
  }

  static StagePtr build(MapReader& body, BuildContext& build) {
    auto stage = std::make_unique<LogfmtStage>();
    stage->source_ = read_source(body, build);
    stage->source_text_ = stage->source_.describe(*build.names);
    std::vector<std::pair<std::string, std::string>> mapping;
    body.string_map("mapping", mapping);
    if (mapping.empty()) body.fail("mapping", "the logfmt stage needs at least one: {name: key}");
    for (const auto& [name, key] : mapping) {
      stage->mapping_.emplace_back(key.empty() ? name : key, build.names->id(name));
    }
    return stage;
  }

 private:
  Source source_;
  std::vector<std::pair<std::string, std::uint32_t>> mapping_;  // logfmt key, slot
  std::string source_text_;
};

class RegexStage final : public Stage {
 public:
  Flow run(Entry& entry, Context& context) override {
    std::string_view text;
    if (!source_.get(entry, context.arena, text)) return Flow::kNext;
    if (!regex_->Match(re2::StringPiece(text.data(), text.size()), 0, text.size(),
                       re2::RE2::UNANCHORED, groups_.data(), static_cast<int>(groups_.size()))) {
      return Flow::kNext;
    }
    for (const auto& [group, slot] : named_) {
      const re2::StringPiece& piece = groups_[group];
      entry.slots[slot] =
          Value::string(piece.data() == nullptr ? std::string_view("", 0)
                                                : std::string_view(piece.data(), piece.size()));
    }
    return Flow::kNext;
  }

  std::string describe() const override {
    std::string taken;
    for (const auto& name : names_) taken += (taken.empty() ? "`" : ", `") + name + "`";
    return "matches " + source_text_ + " against /" + regex_->pattern() + "/ and takes " + taken;
  }

  static StagePtr build(MapReader& body, BuildContext& build) {
    auto stage = std::make_unique<RegexStage>();
    stage->source_ = read_source(body, build);
    stage->source_text_ = stage->source_.describe(*build.names);
    std::string expression;
    body.string("expression", expression);
    if (expression.empty()) {
      body.fail("expression", "the regex stage needs one, with named groups (?P<name>...)");
      return nullptr;
    }
    stage->regex_ = compile_regex(expression, body, "expression");
    if (stage->regex_ == nullptr) return nullptr;
    std::size_t last = 0;
    for (const auto& [index, name] : stage->regex_->CapturingGroupNames()) {
      stage->named_.emplace_back(index, build.names->id(name));
      stage->names_.push_back(name);
      last = std::max(last, static_cast<std::size_t>(index));
    }
    if (stage->named_.empty()) {
      body.fail("expression", "has no named group (?P<name>...), so it extracts nothing");
    }
    stage->groups_.resize(last + 1);
    return stage;
  }

 private:
  Source source_;
  std::unique_ptr<re2::RE2> regex_;
  std::vector<std::pair<std::size_t, std::uint32_t>> named_;  // group, slot
  std::vector<std::string> names_;
  std::vector<re2::StringPiece> groups_;  // scratch
  std::string source_text_;
};

}  // namespace

Source read_source(MapReader& body, BuildContext& build) {
  Source source;
  if (!body.has("source")) return source;
  std::string name;
  body.string("source", name);
  if (name.empty()) {
    body.fail("source", "is empty; leave the key out to work on the line");
    return source;
  }
  source.name = build.names->id(name);
  return source;
}

std::unique_ptr<re2::RE2> compile_regex(std::string_view expression, MapReader& body,
                                        std::string_view key) {
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(kStageRegexMemoryMax);
  auto regex =
      std::make_unique<re2::RE2>(re2::StringPiece(expression.data(), expression.size()), options);
  if (regex->ok()) return regex;
  body.fail(key, "`" + std::string(expression) + "` does not compile: " + regex->error());
  return nullptr;
}

StagePtr build_json(MapReader& body, BuildContext& build) { return JsonStage::build(body, build); }
StagePtr build_logfmt(MapReader& body, BuildContext& build) {
  return LogfmtStage::build(body, build);
}
StagePtr build_regex(MapReader& body, BuildContext& build) {
  return RegexStage::build(body, build);
}

}  // namespace skald::agent
