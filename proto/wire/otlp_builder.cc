#include "proto/wire/otlp_builder.h"

#include <algorithm>

namespace skald::wire {
namespace {

bool is_label_attribute(std::string_view name) noexcept {
  static constexpr std::string_view kNames[] = {"service.name",
                                                "service.namespace",
                                                "service.instance.id",
                                                "deployment.environment",
                                                "deployment.environment.name",
                                                "cloud.region",
                                                "cloud.availability_zone",
                                                "k8s.cluster.name",
                                                "k8s.namespace.name",
                                                "k8s.pod.name",
                                                "k8s.container.name",
                                                "container.name",
                                                "k8s.replicaset.name",
                                                "k8s.deployment.name",
                                                "k8s.statefulset.name",
                                                "k8s.daemonset.name",
                                                "k8s.cronjob.name",
                                                "k8s.job.name"};
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

void add_number(OtlpPairs& pairs, const char* name, std::uint64_t value) {
  if (value != 0) pairs.emplace_back(name, std::to_string(value));
}
void add_text(OtlpPairs& pairs, const char* name, std::string value) {
  if (!value.empty()) pairs.emplace_back(name, std::move(value));
}

}  // namespace

std::string otlp_name(std::string_view name) {
  std::string out;
  if (!name.empty() && name.front() >= '0' && name.front() <= '9') out = "key_";
  for (const char c : name) {
    const bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (fine)
      out.push_back(c);
    else if (out.empty() || out.back() != '_')
      out.push_back('_');
  }
  return out;
}

void OtlpBuilder::begin_resource(const std::vector<std::pair<std::string, OtlpPairs>>& attributes,
                                 std::uint64_t dropped_attributes) {
  builder_.result().any_stream = true;
  resource_.clear();
  scope_.clear();
  OtlpPairs labels;
  for (const auto& [name, flattened] : attributes) {
    OtlpPairs& into = is_label_attribute(name) ? labels : resource_;
    into.insert(into.end(), flattened.begin(), flattened.end());
  }
  add_number(resource_, "resource_dropped_attributes_count", dropped_attributes);
  // Nothing to tell streams apart: Loki's own fallback, also when discovery is off.
  if (labels.empty()) labels.emplace_back("service_name", "unknown_service");
  group_ = &groups_[model::Labels::from_pairs(std::move(labels))];
}

void OtlpBuilder::begin_scope(std::string_view name, std::string_view version, OtlpPairs attributes,
                              std::uint64_t dropped_attributes) {
  scope_ = std::move(attributes);
  add_text(scope_, "scope_name", std::string(name));
  add_text(scope_, "scope_version", std::string(version));
  add_number(scope_, "scope_dropped_attributes_count", dropped_attributes);
}

base::Status OtlpBuilder::add(OtlpRecord record) {
  OtlpPairs pairs = std::move(record.attributes);
  if (record.time_ns != 0) add_number(pairs, "observed_timestamp", record.observed_ns);
  if (record.severity_number != 0)
    pairs.emplace_back("severity_number", std::to_string(record.severity_number));
  add_text(pairs, "severity_text", std::move(record.severity_text));
  add_text(pairs, "event_name", std::move(record.event_name));
  add_number(pairs, "dropped_attributes_count", record.dropped_attributes);
  add_number(pairs, "flags", record.flags);
  add_text(pairs, "trace_id", std::move(record.trace_id));
  add_text(pairs, "span_id", std::move(record.span_id));
  pairs.insert(pairs.end(), resource_.begin(), resource_.end());
  pairs.insert(pairs.end(), scope_.begin(), scope_.end());
  entries_ += 1;
  pairs_ += pairs.size();
  if (entries_ > kEntriesMax || pairs_ > kPairsMax || pairs.size() > kMetadataPairsMax)
    return base::resource_exhausted("more than " + std::to_string(kEntriesMax) + " records or " +
                                    std::to_string(kPairsMax) +
                                    " attributes in one request: send smaller batches");
  model::EntryView entry;
  const std::uint64_t time = record.time_ns != 0 ? record.time_ns : record.observed_ns;
  if (time > static_cast<std::uint64_t>(INT64_MAX))
    return base::invalid_argument("timestamp out of range: " + std::to_string(time) + " ns");
  entry.timestamp_ns = time != 0 ? static_cast<std::int64_t>(time) : now_ns_;
  entry.line = builder_.keep_text(std::move(record.body));
  if (!pairs.empty()) entry.metadata = builder_.keep(model::Labels::from_pairs(std::move(pairs)));
  group_->entries.push_back(entry);
  return {};
}

void OtlpBuilder::finish() {
  // Resources without a record are no stream: a request of only those is empty.
  if (entries_ == 0) builder_.result().any_stream = false;
  for (auto& [labels, group] : groups_) {
    if (group.entries.empty()) continue;
    builder_.begin_stream();
    model::PushStream& stream = builder_.result().batch.streams.back();
    stream.labels = labels;
    stream.entries = std::move(group.entries);
  }
}

}  // namespace skald::wire
