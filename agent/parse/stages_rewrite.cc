// template, replace, output, pack, decolorize: new values and new lines.

#include <algorithm>
#include <array>

#include "agent/parse/jmespath.h"
#include "agent/parse/regex.h"
#include "agent/parse/stage.h"
#include "proto/gotext/functions.h"
#include "proto/gotext/template.h"

namespace skald::agent {

namespace {

// The extracted map as a template sees it: everything as strings, plus Value and (template stage
// only) Entry.
class ExtractedObject final : public gotext::Object {
 public:
  ExtractedObject(const Entry& entry, Context& context, std::string_view type_name)
      : entry_(entry), context_(context), type_name_(type_name) {}

  std::string_view type_name() const override { return type_name_; }
  gotext::Value missing() const override { return gotext::Value::nil(); }
  std::optional<gotext::Value> get(std::string_view key) const override {
    if (key == "Entry" && with_entry) return gotext::Value::borrow(entry_.line);
    if (key == "Value" && value) return gotext::Value::borrow(*value);
    const auto name = context_.names.find(key);
    std::string_view text;
    if (!name || !to_text(entry_.slots[*name], context_.arena, text)) return std::nullopt;
    return gotext::Value::borrow(text);
  }
  std::vector<std::pair<std::string, gotext::Value>> entries() const override {
    std::vector<std::pair<std::string, gotext::Value>> out;
    std::string_view text;
    for (std::uint32_t name = 0; name < entry_.slots.size(); ++name) {
      if (to_text(entry_.slots[name], context_.arena, text)) {
        out.emplace_back(context_.names.name(name), gotext::Value::borrow(text));
      }
    }
    if (value) put(out, "Value", *value);
    if (with_entry) put(out, "Entry", entry_.line);
    std::sort(out.begin(), out.end(),
              [](const auto& a, const auto& b) { return a.first < b.first; });
    return out;
  }

  std::optional<std::string_view> value;
  bool with_entry = false;

 private:
  static void put(std::vector<std::pair<std::string, gotext::Value>>& out, const char* key,
                  std::string_view text) {
    std::erase_if(out, [&](const auto& field) { return field.first == key; });
    out.emplace_back(key, gotext::Value::borrow(text));
  }
  const Entry& entry_;
  Context& context_;
  std::string_view type_name_;
};

std::optional<gotext::Template> parse_template(const std::string& text, MapReader& body,
                                               std::string_view key, BuildContext& build) {
  auto parsed = gotext::Template::parse("pipeline_template", text, gotext::agent_functions());
  if (!parsed.ok()) {
    body.fail(key, parsed.status().message());
    return std::nullopt;
  }
  for (const auto& name : parsed->field_names()) build.names->id(name);
  return std::move(parsed).value();
}

class TemplateStage final : public Stage {
 public:
  Flow run(Entry& entry, Context& context) override {
    Value& slot = entry.slots[source_];
    std::string_view text;
    ExtractedObject data(entry, context, "map[string]interface {}");
    data.with_entry = true;
    if (to_text(slot, context.arena, text)) data.value = text;
    buffer_.clear();
    if (!template_->execute(gotext::Value::object(&data), buffer_).ok()) return Flow::kNext;
    slot = buffer_.empty() ? Value() : Value::string(context.arena.copy(buffer_));
    return Flow::kNext;
  }
  std::string describe() const override {
    return "sets `" + source_name_ + "` to the template " + text_;
  }

  static StagePtr build(MapReader& body, BuildContext& build) {
    auto stage = std::make_unique<TemplateStage>();
    body.string("source", stage->source_name_);
    body.string("template", stage->text_);
    if (stage->source_name_.empty()) {
      body.fail("source", "the template stage needs one: the value to set");
    }
    stage->source_ = build.names->id(stage->source_name_);
    stage->template_ = parse_template(stage->text_, body, "template", build);
    return stage;
  }

 private:
  std::uint32_t source_ = 0;
  std::string source_name_, text_, buffer_;
  std::optional<gotext::Template> template_;
};

// Replaces what the capture groups matched, not the whole match; without groups nothing changes.
class ReplaceStage final : public Stage {
 public:
  Flow run(Entry& entry, Context& context) override {
    std::string_view input;
    if (!source_.get(entry, context.arena, input)) return Flow::kNext;
    result_.clear();
    captured_.clear();
    bool found = false;
    std::size_t copied = 0;
    std::size_t from = 0;
    while (from <= input.size() && match(input, from)) {
      if (!found) first_ = groups_;
      found = true;
      for (std::size_t i = 1; i < groups_.size(); ++i) {
        if (groups_[i].data() == nullptr) continue;
        if (!replace_group(input, i, copied, entry, context)) return Flow::kNext;
      }
      const std::size_t end =
          static_cast<std::size_t>(groups_[0].data() - input.data()) + groups_[0].size();
      from = groups_[0].empty() ? end + 1 : end;
    }
    if (!found) return Flow::kNext;
    result_.append(input.substr(copied));
    const std::string_view text = context.arena.copy(result_);
    if (source_.name) {
      entry.slots[*source_.name] = Value::string(text);
    } else {
      entry.line = text;
    }
    store_named(entry, context);
    return Flow::kNext;
  }

  std::string describe() const override {
    return "replaces what the groups of /" + regex_->pattern() + "/ match in " + source_text_ +
           " by " + (text_.empty() ? "nothing" : text_);
  }

  static StagePtr build(MapReader& body, BuildContext& build) {
    auto stage = std::make_unique<ReplaceStage>();
    stage->source_ = read_source(body, build);
    stage->source_text_ = stage->source_.describe(*build.names);
    std::string expression;
    body.string("expression", expression);
    body.string("replace", stage->text_);
    if (expression.empty()) body.fail("expression", "the replace stage needs one");
    stage->regex_ = compile_regex(expression, body, "expression");
    stage->template_ = parse_template(stage->text_, body, "replace", build);
    if (stage->regex_ == nullptr) return nullptr;
    stage->groups_.resize(static_cast<std::size_t>(stage->regex_->NumberOfCapturingGroups()) + 1);
    if (stage->groups_.size() == 1) {
      body.warn("expression",
                "has no group ( ): what groups match is replaced, so this stage changes nothing");
    }
    for (const auto& [index, name] : stage->regex_->CapturingGroupNames()) {
      stage->named_.emplace_back(index, build.names->id(name));
    }
    return stage;
  }

 private:
  bool match(std::string_view input, std::size_t from) {
    return regex_->Match(re2::StringPiece(input.data(), input.size()), from, input.size(),
                         re2::RE2::UNANCHORED, groups_.data(), static_cast<int>(groups_.size()));
  }
  bool replace_group(std::string_view input, std::size_t group, std::size_t& copied,
                     const Entry& entry, Context& context) {
    const std::string_view text(groups_[group].data(), groups_[group].size());
    ExtractedObject data(entry, context, "map[string]string");
    data.value = text;
    std::string replaced;
    if (!template_->execute(gotext::Value::object(&data), replaced).ok()) return false;
    const auto start = static_cast<std::size_t>(text.data() - input.data());
    if (copied <= start) {  // a group inside one already replaced is passed over
      result_.append(input.substr(copied, start - copied)).append(replaced);
      copied = start + text.size();
    }
    captured_.emplace_back(text, std::move(replaced));
    return true;
  }
  // Named groups of the first match, with the new text of what they captured.
  void store_named(Entry& entry, Context& context) const {
    for (const auto& [group, slot] : named_) {
      const re2::StringPiece& piece = first_[group];
      const std::string_view text = piece.data() == nullptr
                                        ? std::string_view()
                                        : std::string_view(piece.data(), piece.size());
      for (auto it = captured_.rbegin(); it != captured_.rend(); ++it) {
        if (it->first != text) continue;
        entry.slots[slot] = Value::string(context.arena.copy(it->second));
        break;
      }
    }
  }

  Source source_;
  std::unique_ptr<re2::RE2> regex_;
  std::optional<gotext::Template> template_;
  std::vector<std::pair<std::size_t, std::uint32_t>> named_;
  std::vector<re2::StringPiece> groups_, first_;                    // scratch
  std::vector<std::pair<std::string_view, std::string>> captured_;  // scratch
  std::string result_, source_text_, text_;
};

class OutputStage final : public Stage {
 public:
  Flow run(Entry& entry, Context& context) override {
    std::string_view text;
    if (to_text(entry.slots[source_], context.arena, text)) entry.line = text;
    return Flow::kNext;
  }
  std::string describe() const override { return "makes `" + name_ + "` the line"; }

  static StagePtr build(MapReader& body, BuildContext& build) {
    auto stage = std::make_unique<OutputStage>();
    body.string("source", stage->name_);
    if (stage->name_.empty()) body.fail("source", "the output stage needs one");
    stage->source_ = build.names->id(stage->name_);
    return stage;
  }

 private:
  std::uint32_t source_ = 0;
  std::string name_;
};

class PackStage final : public Stage {
 public:
  Flow run(Entry& entry, Context& context) override {
    buffer_ = "{";
    std::string_view text;
    for (const auto& [name, slot] : packed_) {
      if (!to_text(entry.slots[slot], context.arena, text)) continue;
      append_json_string(name, buffer_);
      buffer_ += ':';
      append_json_string(text, buffer_);
      buffer_ += ',';
      std::string_view label;
      if (context.label(entry, slot, label)) entry.remove_label(slot);
    }
    buffer_ += "\"_entry\":";
    append_json_string(entry.line, buffer_);
    buffer_ += '}';
    entry.line = context.arena.copy(buffer_);
    if (ingest_timestamp_) entry.timestamp_ns = entry.read_ns;
    return Flow::kNext;
  }
  std::string describe() const override {
    return "packs labels and line into one JSON line" +
           std::string(ingest_timestamp_ ? "; its time is the time of reading" : "");
  }

  static StagePtr build(MapReader& body, BuildContext& build) {
    auto stage = std::make_unique<PackStage>();
    std::vector<std::string> names;
    body.strings("labels", names);
    body.boolean("ingest_timestamp", stage->ingest_timestamp_);
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    for (const auto& name : names) stage->packed_.emplace_back(name, build.names->id(name));
    return stage;
  }

 private:
  std::vector<std::pair<std::string, std::uint32_t>> packed_;  // sorted
  bool ingest_timestamp_ = true;
  std::string buffer_;
};

// Strips ECMA-48 sequences: ESC [ parameters letter, and two-byte ESC x.
class DecolorizeStage final : public Stage {
 public:
  Flow run(Entry& entry, Context& context) override {
    const std::string_view line = entry.line;
    std::size_t at = line.find('\x1B');
    if (at == std::string_view::npos) return Flow::kNext;
    char* const out = context.arena.allocate(line.size());
    std::size_t size = 0;
    std::size_t copied = 0;
    while (at != std::string_view::npos) {
      const std::size_t end = sequence_end(line, at);
      if (end != at) {
        std::memcpy(out + size, line.data() + copied, at - copied);
        size += at - copied;
        copied = end;
      }
      at = line.find('\x1B', std::max(end, at + 1));
    }
    if (copied < line.size()) std::memcpy(out + size, line.data() + copied, line.size() - copied);
    size += line.size() - copied;
    entry.line = {out, size};
    return Flow::kNext;
  }
  std::string describe() const override { return "strips ANSI colours from the line"; }

 private:
  static std::size_t sequence_end(std::string_view line, std::size_t at) {
    std::size_t i = at + 1;
    if (i >= line.size()) return at;
    if (line[i] != '[') return line[i] >= 0x40 && line[i] <= 0x5F ? i + 1 : at;
    ++i;
    while (i < line.size() && line[i] >= 0x20 && line[i] <= 0x3F) ++i;
    return i < line.size() && line[i] >= 0x40 && line[i] <= 0x7E ? i + 1 : at;
  }
};

}  // namespace

StagePtr build_template(MapReader& body, BuildContext& build) {
  return TemplateStage::build(body, build);
}
StagePtr build_replace(MapReader& body, BuildContext& build) {
  return ReplaceStage::build(body, build);
}
StagePtr build_output(MapReader& body, BuildContext& build) {
  return OutputStage::build(body, build);
}
StagePtr build_pack(MapReader& body, BuildContext& build) { return PackStage::build(body, build); }
StagePtr build_decolorize(MapReader&, BuildContext&) { return std::make_unique<DecolorizeStage>(); }

}  // namespace skald::agent
