#include "store/retention_policy.h"

#include <spdlog/fmt/fmt.h>

#include <ctime>
#include <limits>

namespace skald::store {
namespace {

constexpr model::TimestampNs kNoLimit = std::numeric_limits<model::TimestampNs>::min();

model::TimestampNs oldest(std::int64_t period_ns, std::int64_t now_ns) {
  if (period_ns <= 0) return kNoLimit;
  return period_ns > now_ns ? 0 : now_ns - period_ns;
}

std::string format_time(model::TimestampNs time_ns) {
  const std::time_t seconds = time_ns / base::kNsPerSecond - (time_ns % base::kNsPerSecond < 0);
  std::tm utc{};
  if (::gmtime_r(&seconds, &utc) == nullptr) return std::to_string(time_ns);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", utc.tm_year + 1900, utc.tm_mon + 1,
                     utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec);
}

}  // namespace

std::size_t rule_of(const RetentionPolicy& policy, const model::Labels& labels) {
  const auto& rules = policy.rules;
  std::size_t best = rules.size();
  for (std::size_t i = 0; i < rules.size(); ++i)
    if (model::matches_all(rules[i].selector, labels) &&
        (best == rules.size() || rules[i].priority > rules[best].priority))
      best = i;
  return best;
}

std::int64_t period_of(const RetentionPolicy& policy, const model::Labels& labels) {
  const std::size_t rule = rule_of(policy, labels);
  return rule < policy.rules.size() ? policy.rules[rule].period_ns : policy.period_ns;
}

AgeLimits::AgeLimits(const RetentionPolicy& policy, const model::PushBatch& batch,
                     std::int64_t now_ns)
    : now_ns_(now_ns), all_(oldest(policy.period_ns, now_ns)) {
  if (policy.rules.empty()) return;
  by_stream_.reserve(batch.streams.size());
  for (const auto& stream : batch.streams)
    by_stream_.push_back(oldest(period_of(policy, stream.labels), now_ns));
}

std::string AgeLimits::describe(const model::Labels& labels, std::size_t stream,
                                const model::EntryView& entry) const {
  const std::int64_t hours = (now_ns_ - oldest_ns(stream)) / base::kNsPerSecond / 3600;
  return fmt::format(
      "entry for stream '{}' has timestamp too old: {}, oldest acceptable timestamp is: {} "
      "(retention period {}h)",
      labels.to_string(), format_time(entry.timestamp_ns), format_time(oldest_ns(stream)), hours);
}

}  // namespace skald::store
