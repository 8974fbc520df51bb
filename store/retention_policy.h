#pragma once
// Evaluates a RetentionPolicy: which period holds for a stream, and how old an entry may be.

#include <cstdint>
#include <string>
#include <vector>

#include "proto/model/entry.h"
#include "proto/model/labels.h"
#include "proto/model/push.h"
#include "store/store.h"

namespace skald::store {

// The index of the rule of the highest priority that matches (of equal ones the first), or the
// number of rules: none.
std::size_t rule_of(const RetentionPolicy& policy, const model::Labels& labels);
// That rule's period, else the policy's own. 0: for ever.
std::int64_t period_of(const RetentionPolicy& policy, const model::Labels& labels);

// The oldest acceptable time of each stream of a batch.
class AgeLimits {
 public:
  AgeLimits(const RetentionPolicy& policy, const model::PushBatch& batch, std::int64_t now_ns);
  model::TimestampNs oldest_ns(std::size_t stream) const noexcept {
    return by_stream_.empty() ? all_ : by_stream_[stream];
  }
  // "entry of stream {...} at 2026-... is older than the retention period of 30d: ..."
  std::string describe(const model::Labels& labels, std::size_t stream,
                       const model::EntryView& entry) const;

 private:
  std::int64_t now_ns_;
  model::TimestampNs all_;
  std::vector<model::TimestampNs> by_stream_;  // empty: no rules
};

}  // namespace skald::store
