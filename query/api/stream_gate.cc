#include "query/api/stream_gate.h"

#include <algorithm>

namespace skald::query::api {

bool TokenBucket::take(double bytes, double rate, double burst, std::int64_t now_ns) noexcept {
  if (tokens_ < 0) {
    tokens_ = burst;
  } else {
    const double elapsed = static_cast<double>(std::max<std::int64_t>(now_ns - at_ns_, 0)) / 1e9;
    tokens_ = std::min(burst, tokens_ + elapsed * rate);
  }
  at_ns_ = now_ns;
  if (tokens_ < std::min(bytes, burst)) return false;
  tokens_ = std::max(0.0, tokens_ - bytes);
  return true;
}

void StreamGate::seed(store::Store& store, const std::string& tenant, std::int64_t now_wall_ns) {
  {
    std::lock_guard lock(mutex_);
    if (seeded_) return;
    seeded_ = true;
  }
  const auto series = store.series({tenant, {now_wall_ns - kIdleNs, now_wall_ns + 1}, {}});
  if (!series.ok()) return;
  std::lock_guard lock(mutex_);
  for (const store::StreamInfo& stream : *series) streams_.try_emplace(stream.labels.hash());
}

bool StreamGate::take_tenant(std::uint64_t bytes, const TenantLimits& limits, std::int64_t now_ns) {
  if (limits.ingestion_rate_mb <= 0) return true;
  std::lock_guard lock(mutex_);
  return tenant_bucket_.take(static_cast<double>(bytes), limits.ingestion_rate_mb * (1 << 20),
                             std::max(limits.ingestion_burst_size_mb, 0.001) * (1 << 20), now_ns);
}

StreamGate::Verdict StreamGate::admit(std::uint64_t stream_hash, std::uint64_t bytes,
                                      const TenantLimits& limits, std::int64_t now_ns) {
  std::lock_guard lock(mutex_);
  auto found = streams_.find(stream_hash);
  if (found == streams_.end()) {
    const std::uint64_t limit = limits.max_global_streams_per_user;
    if (limit != 0 && streams_.size() >= limit) {
      sweep(now_ns);
      if (streams_.size() >= limit) return Verdict::kTooManyStreams;
    }
    found = streams_.try_emplace(stream_hash).first;
  }
  found->second.seen_ns = now_ns;
  if (limits.per_stream_rate_limit == 0) return Verdict::kPass;
  const bool pass = found->second.bucket.take(
      static_cast<double>(bytes), static_cast<double>(limits.per_stream_rate_limit),
      static_cast<double>(std::max<std::uint64_t>(limits.per_stream_rate_limit_burst, 1)), now_ns);
  return pass ? Verdict::kPass : Verdict::kTooFast;
}

std::size_t StreamGate::active() const {
  std::lock_guard lock(mutex_);
  return streams_.size();
}

// Called only at the limit, and then not often: it walks all streams.
void StreamGate::sweep(std::int64_t now_ns) {
  if (swept_ns_ != 0 && now_ns - swept_ns_ < kSweepEveryNs) return;
  swept_ns_ = now_ns;
  for (auto at = streams_.begin(); at != streams_.end();) {
    if (at->second.seen_ns == 0) at->second.seen_ns = now_ns;  // seeded, not seen yet
    at = now_ns - at->second.seen_ns > kIdleNs ? streams_.erase(at) : std::next(at);
  }
}

}  // namespace skald::query::api
