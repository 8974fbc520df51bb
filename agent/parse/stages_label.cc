// labels, static_labels, labeldrop, labelallow, structured_metadata, tenant.

#include <algorithm>

#include "agent/parse/stage.h"
#include "proto/base/utf8.h"

namespace skald::agent {

namespace {

struct LabelSource {
  std::uint32_t label = 0;
  std::uint32_t source = 0;
};

std::string list_names(const std::vector<std::string>& names) {
  std::string out;
  for (const auto& name : names) out += (out.empty() ? "`" : ", `") + name + "`";
  return out;
}

// {label: source or empty}. Names must be of the legacy charset.
std::vector<LabelSource> read_label_sources(const Node& body, const std::string& path,
                                            BuildContext& build, std::string& described) {
  std::vector<LabelSource> out;
  if (!body.is_map() || body.fields.empty()) {
    build.state->fail(body.line, path, "needs a map {label: extracted name, or nothing}");
    return out;
  }
  for (const auto& [label, source] : body.fields) {
    if (!model::is_label_name(label)) {
      build.state->fail(
          source.key_line, path,
          "`" + label + "` is not a label name: letters, digits and _, no digit first");
    }
    if (!source.is_scalar() && !source.is_null()) {
      build.state->fail(source.line, path + "." + label,
                        "the name of an extracted value goes here");
    }
    const std::string& from = source.scalar.empty() ? label : source.scalar;
    out.push_back({build.names->id(label), build.names->id(from)});
    described += (described.empty() ? "`" : ", `") + label + "`";
    if (from != label) described += " from `" + from + "`";
  }
  return out;
}

// Go's LabelValue.IsValid: UTF-8. Short ASCII is the common case.
bool is_ascii(std::string_view text) noexcept {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

class LabelsStage final : public Stage {
 public:
  LabelsStage(std::vector<LabelSource> sources, std::string described)
      : sources_(std::move(sources)), described_(std::move(described)) {}
  Flow run(Entry& entry, Context& context) override {
    std::string_view text;
    for (const LabelSource& source : sources_) {
      if (!to_text(entry.slots[source.source], context.arena, text)) continue;
      if (!is_ascii(text) && !base::is_valid_utf8(text)) continue;
      entry.set_label(source.label, text);
    }
    return Flow::kNext;
  }
  std::string describe() const override { return "sets the labels " + described_; }

 private:
  std::vector<LabelSource> sources_;
  std::string described_;
};

// Promtail sends a value that is both extracted and a label twice; here once.
class StructuredMetadataStage final : public Stage {
 public:
  StructuredMetadataStage(std::vector<LabelSource> sources, std::string described)
      : sources_(std::move(sources)), described_(std::move(described)) {}
  Flow run(Entry& entry, Context& context) override {
    std::string_view text;
    for (const LabelSource& source : sources_) {
      if (to_text(entry.slots[source.source], context.arena, text) &&
          (is_ascii(text) || base::is_valid_utf8(text))) {
        entry.set_metadata(source.label, text);
      }
    }
    // A label of the source's name moves.
    for (const LabelSource& source : sources_) {
      if (!context.label(entry, source.source, text)) continue;
      entry.set_metadata(source.label, text);
      entry.remove_label(source.source);
    }
    return Flow::kNext;
  }
  std::string describe() const override {
    return "sends " + described_ + " as structured metadata, not as labels";
  }

 private:
  std::vector<LabelSource> sources_;
  std::string described_;
};

class StaticLabelsStage final : public Stage {
 public:
  Flow run(Entry& entry, Context&) override {
    for (const auto& [name, value] : labels_) entry.set_label(name, value);
    return Flow::kNext;
  }
  std::string describe() const override { return "sets fixed labels: " + described_; }

  std::vector<std::pair<std::uint32_t, std::string>> labels_;
  std::string described_;
};

class LabelFilterStage final : public Stage {
 public:
  LabelFilterStage(std::vector<std::uint32_t> names, bool keep, std::string described)
      : names_(std::move(names)), keep_(keep), described_(std::move(described)) {}
  Flow run(Entry& entry, Context& context) override {
    std::string_view text;
    if (!keep_) {
      for (std::uint32_t name : names_) {
        if (context.label(entry, name, text)) entry.remove_label(name);
      }
      return Flow::kNext;
    }
    scratch_.clear();
    context.each_label(entry, [&](std::uint32_t name, std::string_view) {
      if (std::find(names_.begin(), names_.end(), name) == names_.end()) scratch_.push_back(name);
    });
    for (std::uint32_t name : scratch_) entry.remove_label(name);
    return Flow::kNext;
  }
  std::string describe() const override {
    return keep_ ? "removes every label but " + described_ : "removes the labels " + described_;
  }

 private:
  std::vector<std::uint32_t> names_;
  bool keep_;
  std::string described_;
  std::vector<std::uint32_t> scratch_;
};

class TenantStage final : public Stage {
 public:
  Flow run(Entry& entry, Context& context) override {
    std::string_view text;
    if (source_ && !to_text(entry.slots[*source_], context.arena, text)) return Flow::kNext;
    if (label_ && !context.label(entry, *label_, text)) return Flow::kNext;
    if (!source_ && !label_) text = value_;
    if (!text.empty()) entry.set_label(tenant_, text);
    return Flow::kNext;
  }
  std::string describe() const override { return "sends to the tenant " + described_; }

  std::optional<std::uint32_t> source_, label_;
  std::string value_, described_;
  std::uint32_t tenant_ = 0;
};

}  // namespace

StagePtr build_labels(const Node& body, const std::string& path, BuildContext& build) {
  std::string described;
  auto sources = read_label_sources(body, path, build, described);
  return std::make_unique<LabelsStage>(std::move(sources), std::move(described));
}

StagePtr build_structured_metadata(const Node& body, const std::string& path, BuildContext& build) {
  std::string described;
  auto sources = read_label_sources(body, path, build, described);
  return std::make_unique<StructuredMetadataStage>(std::move(sources), std::move(described));
}

StagePtr build_static_labels(const Node& body, const std::string& path, BuildContext& build) {
  auto stage = std::make_unique<StaticLabelsStage>();
  if (!body.is_map() || body.fields.empty()) {
    build.state->fail(body.line, path, "needs a map {label: value}");
    return nullptr;
  }
  for (const auto& [label, value] : body.fields) {
    if (!model::is_label_name(label)) {
      build.state->fail(
          value.key_line, path,
          "`" + label + "` is not a label name: letters, digits and _, no digit first");
    }
    if (!value.is_scalar() && !value.is_null()) {
      build.state->fail(value.line, path + "." + label, "one value goes here");
    }
    if (value.scalar.empty()) continue;
    stage->labels_.emplace_back(build.names->id(label), value.scalar);
    stage->described_ += (stage->described_.empty() ? "" : ", ") + label + "=" + value.scalar;
  }
  return stage;
}

StagePtr build_label_filter(const Node& body, const std::string& path, bool keep,
                            BuildContext& build) {
  std::vector<std::string> names;
  bool good = body.is_sequence() && !body.items.empty();
  for (const Node& item : body.items) {
    good = good && item.is_scalar();
    names.push_back(item.scalar);
  }
  if (!good) {
    build.state->fail(body.line, path, "needs a list of label names");
    return nullptr;
  }
  std::vector<std::uint32_t> ids;
  for (const auto& name : names) ids.push_back(build.names->id(name));
  return std::make_unique<LabelFilterStage>(std::move(ids), keep, list_names(names));
}

StagePtr build_tenant(MapReader& body, BuildContext& build) {
  auto stage = std::make_unique<TenantStage>();
  std::string source;
  std::string label;
  body.string("source", source);
  body.string("label", label);
  body.string("value", stage->value_);
  const int given =
      (source.empty() ? 0 : 1) + (label.empty() ? 0 : 1) + (stage->value_.empty() ? 0 : 1);
  if (given != 1) body.fail("", "the tenant stage needs exactly one of source, label, value");
  if (!source.empty()) stage->source_ = build.names->id(source);
  if (!label.empty()) stage->label_ = build.names->id(label);
  stage->described_ = !source.empty()  ? "named by the extracted `" + source + "`"
                      : !label.empty() ? "named by the label `" + label + "`"
                                       : "`" + stage->value_ + "`";
  stage->tenant_ = build.names->id(kTenantLabel);
  return stage;
}

}  // namespace skald::agent
