#pragma once
// OTLP log records to push streams, as Loki's /otlp/v1/logs does: a fixed list of resource
// attributes become labels, everything else structured metadata. Shared by both encodings.
// Private to the room.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "proto/wire/push_builder.h"

namespace skald::wire {

using OtlpPairs = std::vector<model::Labels::Pair>;

// "k8s.pod.name" -> "k8s_pod_name"; runs of '_' are one, a leading digit gets "key_" in front.
std::string otlp_name(std::string_view name);

struct OtlpRecord {
  std::uint64_t time_ns = 0, observed_ns = 0;
  std::int64_t severity_number = 0;
  std::string severity_text, event_name;
  std::string body;
  OtlpPairs attributes;  // flattened, names clean
  std::uint64_t dropped_attributes = 0, flags = 0;
  std::string trace_id, span_id;  // lower-case hex
};

class OtlpBuilder {
 public:
  OtlpBuilder(PushBuilder& builder, std::int64_t now_ns) : builder_(builder), now_ns_(now_ns) {}

  // Attributes with their own (dotted) names; the list of labels goes by these.
  void begin_resource(const std::vector<std::pair<std::string, OtlpPairs>>& attributes,
                      std::uint64_t dropped_attributes);
  void begin_scope(std::string_view name, std::string_view version, OtlpPairs attributes,
                   std::uint64_t dropped_attributes);
  base::Status add(OtlpRecord record);
  void finish();

 private:
  struct Group {  // entries of one set of labels
    std::vector<model::EntryView> entries;
  };
  PushBuilder& builder_;
  const std::int64_t now_ns_;
  std::map<model::Labels, Group> groups_;
  Group* group_ = nullptr;
  OtlpPairs resource_, scope_;
  std::size_t entries_ = 0, pairs_ = 0;
};

}  // namespace skald::wire
