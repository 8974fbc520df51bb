#include "query/alert/expand.h"

#include <optional>

#include "proto/gotext/template.h"
#include "query/alert/limits.h"

namespace skald::query::alert {
namespace {

using gotext::Value;

// Prometheus' short names for the fields of the data.
constexpr std::string_view kPrelude[] = {
    "{{$labels := .Labels}}", "{{$externalLabels := .ExternalLabels}}",
    "{{$externalURL := .ExternalURL}}", "{{$value := .Value}}"};

// Of those that the text has. A comment keeps the place of the others: errors tell columns, and a
// tree without them is half as large.
std::string prelude_of(std::string_view text) {
  std::string out;
  for (const std::string_view definition : kPrelude) {
    const std::string_view name = definition.substr(2, definition.find(' ') - 2);
    out += text.find(name) != std::string_view::npos
               ? std::string(definition)
               : "{{/*" + std::string(definition.size() - 8, ' ') + "*/}}";
  }
  return out;
}

// struct { Labels, ExternalLabels map[string]string; ExternalURL string; Value any }
class DataObject final : public gotext::Object {
 public:
  DataObject(const ExpandData& data, const gotext::LabelsObject& labels,
             const gotext::LabelsObject& external)
      : data_(data), labels_(labels), external_(external) {}
  std::string_view type_name() const override { return "template.alertData"; }
  bool is_map() const override { return false; }
  std::optional<Value> get(std::string_view key) const override {
    if (key == "Labels") return Value::object(&labels_);
    if (key == "ExternalLabels") return Value::object(&external_);
    if (key == "ExternalURL") return Value::borrow(data_.context.external_url);
    if (key == "Value") return Value(data_.value);
    return std::nullopt;
  }
  std::vector<std::pair<std::string, Value>> entries() const override {
    return {{"Labels", *get("Labels")},
            {"ExternalLabels", *get("ExternalLabels")},
            {"ExternalURL", *get("ExternalURL")},
            {"Value", *get("Value")}};
  }

 private:
  const ExpandData& data_;
  const gotext::LabelsObject& labels_;
  const gotext::LabelsObject& external_;
};

base::Result<gotext::Template> parse(std::string_view alert, std::string_view text) {
  return gotext::Template::parse("__alert_" + std::string(alert),
                                 prelude_of(text) + std::string(text), gotext::alert_functions(),
                                 gotext::MissingKey::kZero);
}

}  // namespace

struct ExpandedTexts::Item {
  std::string name;
  std::string literal;  // without "{{" the text is the value
  std::optional<gotext::Template> parsed;
  std::string error;
};

base::Result<std::size_t> check_template(std::string_view alert, std::string_view text) {
  if (text.find("{{") == std::string_view::npos) return 0;
  SKALD_TRY_ASSIGN(const gotext::Template parsed, parse(alert, text));
  return parsed.nodes();
}

base::Status ExpandHost::check() {
  if (base::thread_cpu_ns() - began_ns_ > kExpandCpuMaxNs)
    return base::resource_exhausted("the templates of the rule take longer than " +
                                    std::to_string(kExpandCpuMaxNs / base::kNsPerMs) + " ms");
  return {};
}

ExpandedTexts::ExpandedTexts(std::string_view alert, const TextMap& texts) {
  for (const auto& [name, text] : texts) {
    Item item;
    item.name = name;
    if (text.find("{{") == std::string::npos) {
      item.literal = text;
    } else if (auto parsed = parse(alert, text); parsed.ok()) {
      item.parsed = std::move(parsed).value();
    } else {
      item.error = parsed.status().message();
    }
    items_.push_back(std::move(item));
  }
}

ExpandedTexts::~ExpandedTexts() = default;
ExpandedTexts::ExpandedTexts(ExpandedTexts&&) noexcept = default;
ExpandedTexts& ExpandedTexts::operator=(ExpandedTexts&&) noexcept = default;

std::vector<model::Labels::Pair> ExpandedTexts::expand(const ExpandData& data,
                                                       std::uint64_t& failures) const {
  static const model::Labels none;
  const gotext::LabelsObject labels(data.labels ? *data.labels : none);
  const gotext::LabelsObject external(data.external_labels ? *data.external_labels : none);
  const DataObject object(data, labels, external);
  std::vector<model::Labels::Pair> out;
  out.reserve(items_.size());
  for (const Item& item : items_) {
    std::string text = item.literal;
    std::string error = item.error;
    if (item.parsed) {
      gotext::ExecOptions options;
      options.context = &data.context;
      options.output_max = kExpandedTextMax;
      options.host = data.host;
      if (auto status = item.parsed->execute(Value::object(&object), text, options); !status.ok())
        error = status.message();
    }
    if (!error.empty()) {
      ++failures;
      text = "<error expanding template: " + error + ">";
    }
    out.emplace_back(item.name, std::move(text));
  }
  return out;
}

}  // namespace skald::query::alert
