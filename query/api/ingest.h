#pragma once
// From a decoded push to Store::append: a tenant's limits, what Loki adds to entries, and which
// refusal makes which answer.
//
// Threads: append() is called from many workers at once.

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "proto/base/clock.h"
#include "proto/wire/push_decoder.h"
#include "query/api/tenant_limits.h"
#include "store/store.h"

namespace skald::query::api {

enum class Refusal : std::uint8_t {
  kInvalidLabels,
  kMissingLabels,
  kTooManyLabels,
  kLabelName,
  kLabelValue,
  kTooOld,
  kTooNew,
  kLineTooLong,
  kMetadata,
  kStreamLimit,
  kRateLimited,
  kStreamRate,
  kCount,
};
std::string_view refusal_name(Refusal refusal) noexcept;  // Loki's "reason" label

struct IngestCounters {
  std::atomic<std::uint64_t> requests{0}, entries{0}, bytes{0}, duplicates{0};
  std::array<std::atomic<std::uint64_t>, static_cast<std::size_t>(Refusal::kCount)> refused{};
};

struct IngestAnswer {
  int status = 204;
  std::string text;
  base::Status store_error = {};  // decides status and text, unless OK
};

// The active streams of one tenant, and the rates of tenant and streams. New streams over the
// limit are refused; those already active are not disturbed by them.
class StreamGate;
class Refusals;

class Ingest {
 public:
  Ingest(store::Store& store, const base::Clock& clock);
  ~Ingest();

  // Filters and extends `push` in place, then stores it.
  IngestAnswer append(const std::string& tenant, const TenantLimits& limits,
                      wire::DecodedPush& push);
  const IngestCounters& counters() const noexcept { return counters_; }
  std::uint64_t active_streams() const;

 private:
  struct Sizes {
    std::uint64_t entries = 0, bytes = 0;
  };
  Sizes prepare(const TenantLimits& limits, wire::DecodedPush& push,
                std::deque<model::Labels>& arena, Refusals& refusals);
  void admit(StreamGate& gate, const std::string& tenant, const TenantLimits& limits,
             wire::DecodedPush& push, Refusals& refusals);
  IngestAnswer store(const std::string& tenant, wire::DecodedPush& push, const Sizes& sizes,
                     Refusals& refusals);
  StreamGate& gate(const std::string& tenant);
  std::string marks_json(const std::string& tenant, const wire::DecodedPush& push);

  store::Store& store_;
  const base::Clock& clock_;
  IngestCounters counters_;
  mutable std::mutex gates_mutex_;
  std::unordered_map<std::string, std::unique_ptr<StreamGate>> gates_;
};

// [{"file_id":"...","end_offset":n},...]
std::string marks_to_json(const std::vector<model::FileMark>& marks);

}  // namespace skald::query::api
