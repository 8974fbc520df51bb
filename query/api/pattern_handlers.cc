// GET /loki/api/v1/patterns: what kinds of lines there are, how many of each over time.
//
// Runs on the store's blocks: JSON lines are judged by their message field, which is a column.
// Blocks beyond a budget of lines are sampled and their counts scaled.
#include <algorithm>
#include <map>
#include <mutex>

#include "query/api/api_impl.h"
#include "query/api/json_out.h"
#include "query/api/level_detect.h"
#include "query/api/pattern_miner.h"
#include "query/logql/parser.h"

namespace skald::query::api {
namespace {

using net::ServerResponse;

constexpr std::int64_t kStepMinNs = 10LL * base::kNsPerSecond;
constexpr std::size_t kRowsPerBlockMax = 20'000;  // looked at; the rest is counted by proportion
constexpr std::size_t kPatternsMax = 500;
constexpr std::string_view kMessageFields[] = {"msg",  "message", "log",  "_msg",
                                               "msg_", "content", "event"};

class PatternVisitor final : public store::BlockVisitor {
 public:
  explicit PatternVisitor(std::int64_t step_ns) : step_ns_(step_ns) {}

  // Of the scan that comes next.
  void set_streams(std::span<const store::StreamInfo> streams, const TenantLimits& limits) {
    levels_.clear();
    for (const store::StreamInfo& stream : streams) {
      std::string level;
      for (const std::string& field : limits.log_level_fields)
        if (level.empty()) level = normalize_level(stream.labels.get(field));
      levels_.push_back(std::move(level));
    }
  }

  base::Status visit(store::Block& block, unsigned) override {
    SKALD_TRY_ASSIGN(store::Selection selection, block.select());
    const std::uint32_t rows = selection.count();
    if (rows == 0) return {};
    const std::uint32_t every = rows / static_cast<std::uint32_t>(kRowsPerBlockMax) + 1;
    if (every > 1) thin(selection, every);
    SKALD_TRY_ASSIGN(const auto times, block.timestamps());
    SKALD_TRY_ASSIGN(const auto streams, block.streams());
    store::TextColumn texts;
    const int field = message_field(block.shape());
    SKALD_TRY(field >= 0 ? block.read_text(static_cast<std::size_t>(field), selection, texts)
                         : block.read_lines(selection, texts));
    std::vector<model::Labels> metadata;
    if (block.has_metadata()) SKALD_TRY(block.read_metadata(selection, metadata));
    std::lock_guard lock(mutex_);
    std::size_t i = 0;
    selection.for_each([&](std::uint32_t row) {
      const std::size_t index = i++;
      std::string_view level = levels_[streams[row]];
      if (level.empty() && !metadata.empty()) level = metadata[index].get("detected_level");
      PatternMiner& miner = miners_[std::string(level)];
      const std::int64_t bucket_ms = times[row] / step_ns_ * step_ns_ / base::kNsPerMs;
      miner.count(miner.add(texts.at(index)), bucket_ms, every);
    });
    return {};
  }

  std::map<std::string, PatternMiner>& miners() { return miners_; }

 private:
  static void thin(store::Selection& selection, std::uint32_t every) {
    std::uint32_t seen = 0;
    store::Selection kept(selection.rows());
    selection.for_each([&](std::uint32_t row) {
      if (seen++ % every == 0) kept.set(row);
    });
    selection = std::move(kept);
  }

  static int message_field(const store::Shape& shape) {
    if (shape.kind != store::Shape::Kind::kJson) return -1;
    for (const std::string_view name : kMessageFields)
      for (std::size_t i = 0; i < shape.fields.size(); ++i)
        if (shape.fields[i].path.size() == 1 && shape.fields[i].path[0].key == name &&
            shape.fields[i].syntax == store::Field::Syntax::kString)
          return static_cast<int>(i);
    return -1;
  }

  const std::int64_t step_ns_;
  std::vector<std::string> levels_;  // of each stream; empty: unknown
  std::mutex mutex_;
  std::map<std::string, PatternMiner> miners_;  // by level
};

struct Found {
  std::string pattern, level;
  const PatternMiner::Cluster* cluster;
};

std::string to_json(PatternVisitor& visitor) {
  std::vector<Found> found;
  for (auto& [level, miner] : visitor.miners())
    for (const PatternMiner::Cluster& cluster : miner.clusters())
      if (cluster.lines > 0) found.push_back({cluster.text(), level, &cluster});
  std::sort(found.begin(), found.end(), [](const Found& a, const Found& b) {
    return a.cluster->lines != b.cluster->lines ? a.cluster->lines > b.cluster->lines
                                                : a.pattern < b.pattern;
  });
  if (found.size() > kPatternsMax) found.resize(kPatternsMax);
  std::string out = "{\"status\":\"success\",\"data\":[";
  for (std::size_t i = 0; i < found.size(); ++i) {
    out.append(i == 0 ? "{\"pattern\":" : ",{\"pattern\":");
    append_json_string(out, found[i].pattern);
    out.append(",\"level\":");
    append_json_string(out, found[i].level.empty() ? "unknown" : found[i].level);
    out.append(",\"samples\":[");
    bool first = true;
    for (const auto& [bucket_ms, lines] : found[i].cluster->samples) {
      out.append(first ? "[" : ",[");
      first = false;
      append_integer(out, bucket_ms / 1000);
      out.push_back(',');
      append_unsigned(out, lines);
      out.push_back(']');
    }
    out.append("]}");
  }
  return out.append("]}");
}

}  // namespace

ServerResponse patterns(Call& call) {
  auto range = parse_range(call.params, call.now_ns);
  if (!range.ok()) return error_response(range.status());
  auto step = parse_query_step(call.params, *range);
  if (!step.ok()) return error_response(step.status());
  const std::int64_t step_ns =
      std::max(*step, kStepMinNs) / base::kNsPerSecond * base::kNsPerSecond;
  store::ScanRequest request;
  request.range = *range;
  auto matchers = logql::parse_matchers(call.params.get("query"));
  if (!matchers.ok()) return error_response(matchers.status());
  request.matchers = std::move(*matchers);
  PatternVisitor visitor(step_ns);
  store::ScanOptions options;
  options.cancelled = [left = call.http.cancelled] {
    return left != nullptr && left->load(std::memory_order_relaxed);
  };
  options.deadline_monotonic_ns =
      call.api.deps.clock->monotonic_ns() + call.limits().query_timeout_ns;
  for (const std::string& tenant : call.tenants) {
    request.tenant = tenant;
    auto scan = call.api.deps.store->open_scan(request);
    if (!scan.ok()) return error_response(scan.status());
    visitor.set_streams((*scan)->streams(), call.settings->limits_of(tenant));
    if (const base::Status status = (*scan)->run(visitor, options); !status.ok())
      return error_response(status);
  }
  return ServerResponse::json(to_json(visitor));
}

}  // namespace skald::query::api
