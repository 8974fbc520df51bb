#pragma once
// What retention keeps of one tenant, as of one moment: by the periods of its policy, and by what
// limits of bytes on streams have cut off (see StoreImpl::byte_cutoffs).

#include <algorithm>
#include <cstdint>
#include <limits>
#include <mutex>
#include <shared_mutex>
#include <utility>
#include <vector>

#include "store/ingest/tenant.h"
#include "store/retention_policy.h"

namespace skald::store {

class KeptSince {
 public:
  // `cutoffs`: by rule the oldest time kept; of another size than the rules it is passed over. The
  // tenant outlives this.
  KeptSince(RetentionPolicy policy, std::vector<model::TimestampNs> cutoffs,
            const ingest::Tenant& tenant, std::int64_t now_ns)
      : policy_(std::move(policy)), cutoffs_(std::move(cutoffs)), tenant_(tenant), now_ns_(now_ns) {
    if (cutoffs_.size() != policy_.rules.size()) cutoffs_.clear();
  }

  static constexpr model::TimestampNs kEverything = std::numeric_limits<model::TimestampNs>::min();

  bool unlimited() const { return policy_.period_ns <= 0 && policy_.rules.empty(); }
  bool uniform() const { return policy_.rules.empty(); }
  model::TimestampNs of_all() const { return since(policy_.period_ns); }
  // The oldest time kept of a stream, by number. Takes the tenant's lock.
  model::TimestampNs of(std::uint32_t number) const {
    if (uniform()) return of_all();
    const std::shared_lock lock(tenant_.mutex);
    const std::size_t rule = rule_of(policy_, tenant_.labels.labels(number));
    if (rule == policy_.rules.size()) return of_all();
    const model::TimestampNs by_time = since(policy_.rules[rule].period_ns);
    return cutoffs_.empty() ? by_time : std::max(by_time, cutoffs_[rule]);
  }

 private:
  model::TimestampNs since(std::int64_t period_ns) const {
    return period_ns <= 0 ? kEverything : std::max<std::int64_t>(0, now_ns_ - period_ns);
  }
  const RetentionPolicy policy_;
  std::vector<model::TimestampNs> cutoffs_;
  const ingest::Tenant& tenant_;
  const std::int64_t now_ns_;
};

}  // namespace skald::store
