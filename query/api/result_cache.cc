#include "query/api/result_cache.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <iterator>
#include <list>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

namespace skald::query::api {
namespace {

constexpr std::size_t kSeriesBytes = 256;  // labels and what holds them, about

// Steps before this time are known. Appends lower it while a query runs and as long as its result
// is kept.
struct Watch {
  std::vector<std::string> tenants;
  std::atomic<std::int64_t> known_before_ns{INT64_MAX};

  void lower_to(std::int64_t time_ns) noexcept {
    std::int64_t known = known_before_ns.load();
    while (time_ns < known && !known_before_ns.compare_exchange_weak(known, time_ns)) {
    }
  }
  bool concerns(std::string_view tenant) const {
    return std::find(tenants.begin(), tenants.end(), tenant) != tenants.end();
  }
};

struct Kept {
  std::int64_t from_ns = 0, to_ns = 0;  // first and last step
  std::int64_t born_ns = 0;             // when its oldest steps were computed
  std::shared_ptr<const std::vector<Series>> series;
  std::shared_ptr<Watch> watch;
  std::uint64_t bytes = 0;
  std::list<std::string>::iterator age;  // in Impl::by_age
};

std::vector<std::string> split_tenants(const std::string& names) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at <= names.size();) {
    const std::size_t end = std::min(names.find('|', at), names.size());
    out.push_back(names.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

std::string key_of(const QueryRequest& request) {
  return request.tenant + '\n' + std::to_string(request.step_ns) + '\n' + request.text;
}

base::Status wait_for_turn(std::unique_lock<std::timed_mutex>& turn, const QueryRequest& request) {
  constexpr std::chrono::milliseconds kLook(50);
  const auto deadline =
      std::chrono::steady_clock::now() + std::chrono::nanoseconds(request.timeout_ns);
  while (!turn.try_lock_for(kLook)) {
    if (request.abandoned()) return base::cancelled("the query was cancelled");
    if (std::chrono::steady_clock::now() > deadline)
      return base::deadline_exceeded(
          "request timed out, decrease the duration of the request or add more label "
          "matchers (exact match is preferred) to reduce the amount of data processed");
  }
  return {};
}

Series slice(const Series& from, std::int64_t first_ms, std::int64_t last_ms) {
  const auto before = [](const Sample& sample, std::int64_t ms) {
    return sample.timestamp_ms < ms;
  };
  const auto begin = std::lower_bound(from.samples.begin(), from.samples.end(), first_ms, before);
  const auto end = std::lower_bound(begin, from.samples.end(), last_ms + 1, before);
  return {from.labels, std::vector<Sample>(begin, end)};
}

// The steps first..last of `known`, then those of `fresh`, which lie after them. Both are sorted by
// labels, and so is the result.
std::vector<Series> join(const std::vector<Series>& known, std::int64_t first_ms,
                         std::int64_t last_ms, std::vector<Series>&& fresh) {
  std::vector<Series> out;
  out.reserve(std::max(known.size(), fresh.size()));
  auto next = fresh.begin();
  for (const Series& series : known) {
    Series part = slice(series, first_ms, last_ms);
    while (next != fresh.end() && next->labels < series.labels) out.push_back(std::move(*next++));
    if (next != fresh.end() && next->labels == series.labels) {
      part.samples.insert(part.samples.end(), next->samples.begin(), next->samples.end());
      ++next;
    }
    if (!part.samples.empty()) out.push_back(std::move(part));
  }
  std::move(next, fresh.end(), std::back_inserter(out));
  return out;
}

}  // namespace

struct ResultCache::Impl {
  const base::Clock& clock;
  const std::uint64_t bytes_max;
  mutable std::mutex mutex;
  std::unordered_map<std::string, Kept> kept;
  std::list<std::string> by_age;  // least recently used first
  std::vector<std::weak_ptr<Watch>> running;
  std::unordered_map<std::string, std::weak_ptr<std::timed_mutex>> flights;
  ResultCacheStats stats;

  Impl(const base::Clock& c, std::uint64_t most) : clock(c), bytes_max(most) {}

  struct Known {
    std::shared_ptr<const std::vector<Series>> series;  // null: nothing is known
    std::int64_t to_ns = 0, born_ns = 0;
  };

  // What is known of the request from its start on.
  Known find(const std::string& key, const QueryRequest& request) {
    const auto at = kept.find(key);
    if (at == kept.end()) return {};
    const Kept& entry = at->second;
    if (clock.monotonic_ns() - entry.born_ns > kAgeMaxNs) {
      erase(at);
      return {};
    }
    by_age.splice(by_age.end(), by_age, entry.age);
    const std::int64_t before = entry.watch->known_before_ns.load();
    const std::int64_t step = request.step_ns;
    const std::int64_t last =
        std::min({entry.to_ns, request.end_ns, before <= 0 ? -1 : (before - 1) / step * step});
    if (entry.from_ns > request.start_ns || last < request.start_ns) return {};
    return {entry.series, last, entry.born_ns};
  }

  static std::uint64_t bytes_of(const std::vector<Series>& series) {
    std::uint64_t bytes = 0;
    for (const Series& one : series) bytes += kSeriesBytes + one.samples.size() * sizeof(Sample);
    return bytes;
  }
  std::uint64_t kept_max() const { return bytes_max / 8; }  // of one result

  void erase(std::unordered_map<std::string, Kept>::iterator at) {
    stats.bytes -= at->second.bytes;
    by_age.erase(at->second.age);
    kept.erase(at);
  }

  void keep(const std::string& key, const QueryRequest& request, std::int64_t born_ns,
            std::shared_ptr<Watch> watch, std::shared_ptr<const std::vector<Series>> series) {
    Kept entry{
        request.start_ns, request.end_ns, born_ns, std::move(series), std::move(watch), 0, {}};
    entry.bytes = key.size() + bytes_of(*entry.series);
    if (const auto old = kept.find(key); old != kept.end()) erase(old);
    stats.bytes += entry.bytes;
    entry.age = by_age.insert(by_age.end(), key);
    kept.emplace(key, std::move(entry));
    while (stats.bytes > bytes_max || kept.size() > kEntriesMax) erase(kept.find(by_age.front()));
  }

  std::shared_ptr<std::timed_mutex> flight(const std::string& key) {
    const std::lock_guard lock(mutex);
    std::erase_if(flights, [](const auto& flight) { return flight.second.expired(); });
    auto known = flights[key].lock();
    if (!known) flights[key] = known = std::make_shared<std::timed_mutex>();
    return known;
  }
};

ResultCache::ResultCache(const base::Clock& clock, std::uint64_t bytes_max)
    : impl_(std::make_unique<Impl>(clock, bytes_max)) {}
ResultCache::~ResultCache() = default;

bool ResultCache::can_keep(const logql::Expr& expr) {
  bool past_only = true;
  logql::for_each_range(
      expr, [&](const logql::LogRange& range) { past_only = past_only && range.offset_ns >= 0; });
  return past_only && !expr.is_log();
}

base::Result<QueryResult> ResultCache::run(const QueryRequest& request, const Run& run) {
  const std::string key = key_of(request);
  // One of equal queries computes, the others then find what it kept. When its client leaves, the
  // next one computes.
  const auto flight = impl_->flight(key);
  std::unique_lock turn(*flight, std::defer_lock);
  SKALD_TRY(wait_for_turn(turn, request));
  auto watch = std::make_shared<Watch>();
  watch->tenants = split_tenants(request.tenant);
  Impl::Known known;
  {
    const std::lock_guard lock(impl_->mutex);
    std::erase_if(impl_->running, [](const auto& one) { return one.expired(); });
    impl_->running.push_back(watch);  // from here on it sees what the kept entry's watch sees
    known = impl_->find(key, request);
    ++(!known.series                   ? impl_->stats.missed
       : known.to_ns == request.end_ns ? impl_->stats.whole
                                       : impl_->stats.partial);
  }
  const std::int64_t born_ns = known.series ? known.born_ns : impl_->clock.monotonic_ns();
  QueryResult result;
  std::vector<Series> fresh;
  if (!known.series || known.to_ns < request.end_ns) {
    QueryRequest rest = request;
    if (known.series) rest.start_ns = known.to_ns + request.step_ns;
    SKALD_TRY_ASSIGN(result, run(rest));
    auto* matrix = std::get_if<Matrix>(&result.data);
    if (matrix == nullptr || !result.warnings.empty()) {
      if (!known.series) return result;
      return run(request);
    }
    fresh = std::move(matrix->series);
  }
  std::vector<Series> all = known.series ? join(*known.series, request.start_ns / base::kNsPerMs,
                                                known.to_ns / base::kNsPerMs, std::move(fresh))
                                         : std::move(fresh);
  // What is too large to keep is not copied.
  if (impl_->bytes_of(all) <= impl_->kept_max()) {
    const std::lock_guard lock(impl_->mutex);
    impl_->keep(key, request, born_ns, watch, std::make_shared<const std::vector<Series>>(all));
  }
  result.data = Matrix{std::move(all)};
  return result;
}

void ResultCache::on_append(std::string_view tenant, const model::PushBatch& batch) {
  std::int64_t oldest = INT64_MAX;
  const std::lock_guard lock(impl_->mutex);
  if (impl_->kept.empty() && impl_->running.empty()) return;
  for (const model::PushStream& stream : batch.streams)
    for (const auto& entry : stream.entries) oldest = std::min(oldest, entry.timestamp_ns);
  for (auto& [key, entry] : impl_->kept)
    if (entry.watch->concerns(tenant)) entry.watch->lower_to(oldest);
  for (const auto& one : impl_->running)
    if (const auto watch = one.lock(); watch && watch->concerns(tenant)) watch->lower_to(oldest);
}

void ResultCache::clear() {
  const std::lock_guard lock(impl_->mutex);
  impl_->kept.clear();
  impl_->by_age.clear();
  impl_->stats.bytes = 0;
  for (const auto& one : impl_->running)
    if (const auto watch = one.lock()) watch->lower_to(0);
}

ResultCacheStats ResultCache::stats() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->stats;
}

}  // namespace skald::query::api
