#pragma once
// Which streams of a tenant are active, and how fast they and the tenant may grow. Private.

#include <cstdint>
#include <mutex>
#include <unordered_map>

#include "query/api/tenant_limits.h"
#include "store/store.h"

namespace skald::query::api {

// Bytes per second with a burst; time is given, not read.
class TokenBucket {
 public:
  // Takes `bytes` if they are there. A request larger than the burst passes when the bucket is
  // full: it could never pass otherwise.
  bool take(double bytes, double rate, double burst, std::int64_t now_ns) noexcept;

 private:
  double tokens_ = -1;  // -1: full
  std::int64_t at_ns_ = 0;
};

class StreamGate {
 public:
  enum class Verdict : std::uint8_t { kPass, kTooManyStreams, kTooFast };

  // Streams the store already has count as active after a restart.
  void seed(store::Store& store, const std::string& tenant, std::int64_t now_wall_ns);
  bool take_tenant(std::uint64_t bytes, const TenantLimits& limits, std::int64_t now_ns);
  Verdict admit(std::uint64_t stream_hash, std::uint64_t bytes, const TenantLimits& limits,
                std::int64_t now_ns);
  std::size_t active() const;

 private:
  // Without data for this long a stream is no longer active, as an idle chunk in Loki.
  static constexpr std::int64_t kIdleNs = 1800LL * base::kNsPerSecond;
  static constexpr std::int64_t kSweepEveryNs = 10LL * base::kNsPerSecond;
  struct Stream {
    std::int64_t seen_ns = 0;
    TokenBucket bucket;
  };
  void sweep(std::int64_t now_ns);

  mutable std::mutex mutex_;
  bool seeded_ = false;
  std::int64_t swept_ns_ = 0;
  TokenBucket tenant_bucket_;
  std::unordered_map<std::uint64_t, Stream> streams_;
};

}  // namespace skald::query::api
