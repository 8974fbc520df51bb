// /metrics: Promtail's names and labels where dashboards and alerts use them, ours beside them.

#include <set>

#include "agent/http_surface.h"
#include "proto/base/metrics_text.h"

namespace skald::agent {
namespace {

using base::MetricsText;

void render_files(const LaneSnapshot& lane, MetricsText& out) {
  std::set<std::string> seen;
  const auto per_path = [&](std::string_view name, std::string_view type, std::string_view help,
                            auto value) {
    out.family(name, type, help);
    seen.clear();
    for (const FileSnapshot& file : lane.files)
      if (!file.rotated && seen.insert(file.path).second)
        out.sample({{"path", file.path}}, static_cast<std::uint64_t>(value(file)));
  };
  per_path("promtail_read_bytes_total", "gauge", "Number of bytes read.",
           [](const FileSnapshot& file) { return file.offset; });
  per_path("promtail_file_bytes_total", "gauge", "Number of bytes total.",
           [](const FileSnapshot& file) { return file.size; });
  per_path("promtail_read_lines_total", "counter", "Number of lines read.",
           [](const FileSnapshot& file) { return file.lines; });
  per_path("skald_agent_unacknowledged_bytes", "gauge",
           "Bytes read that no server has acknowledged yet.",
           [](const FileSnapshot& file) { return file.offset - file.settled_to; });
  std::uint64_t active = 0, rotated = 0;
  for (const FileSnapshot& file : lane.files) ++(file.rotated ? rotated : active);
  out.family("promtail_files_active_total", "gauge", "Number of active files.");
  out.sample({}, active);
  out.family("skald_agent_rotated_files", "gauge", "Rotated generations still held.");
  out.sample({}, rotated);
  std::uint64_t targets = 0, no_path = 0;
  for (const JobSnapshot& job : lane.jobs) {
    targets += job.targets.size();
    for (const DroppedTarget& target : job.dropped) no_path += target.reason == "no_path";
  }
  out.family("promtail_targets_active_total", "gauge", "Number of active total.");
  out.sample({}, targets);
  out.family("promtail_targets_failed_total", "counter", "Number of failed targets.");
  out.sample({{"reason", "no_path"}}, no_path);
}

void render_pairs(const std::vector<LaneSnapshot>& lanes, MetricsText& out, bool mutated) {
  constexpr std::string_view kReasons[] = {"ingester_error", "rate_limited", "stream_limited",
                                           "line_too_long"};
  for (const bool bytes : {false, true}) {
    out.family(std::string(mutated ? "promtail_mutated_" : "promtail_dropped_") +
                   (bytes ? "bytes_total" : "entries_total"),
               "counter",
               mutated ? "Log entries changed on their way." : "Log entries given up for good.");
    for (const LaneSnapshot& lane : lanes) {
      std::map<std::pair<std::string, std::string>, std::uint64_t> values;
      for (const std::string_view reason : kReasons) values[{"", std::string(reason)}] = 0;
      if (!mutated)
        for (const auto& [key, dropped] : lane.sender.dropped)
          values[key] += bytes ? dropped.bytes : dropped.entries;
      for (const auto& [reason, pair] : mutated ? lane.mutated : lane.dropped)
        values[{"", reason}] += bytes ? pair.second : pair.first;
      for (const auto& [key, value] : values)
        out.sample({{"host", lane.sender.host}, {"tenant", key.first}, {"reason", key.second}},
                   value);
    }
  }
}

void render_senders(const std::vector<LaneSnapshot>& lanes, MetricsText& out) {
  const auto per_host = [&](std::string_view name, std::string_view type, std::string_view help,
                            auto value) {
    out.family(name, type, help);
    for (const LaneSnapshot& lane : lanes)
      out.sample({{"host", lane.sender.host}}, static_cast<std::uint64_t>(value(lane)));
  };
  per_host("promtail_encoded_bytes_total", "counter", "Number of bytes encoded and ready to send.",
           [](const LaneSnapshot& lane) { return lane.sender.encoded_bytes; });
  per_host("promtail_sent_bytes_total", "counter", "Number of bytes sent.",
           [](const LaneSnapshot& lane) { return lane.sender.sent_bytes; });
  per_host("promtail_sent_entries_total", "counter", "Number of log entries sent.",
           [](const LaneSnapshot& lane) { return lane.sender.sent_entries; });
  per_host("skald_agent_queue_batches", "gauge", "Batches that wait for an answer.",
           [](const LaneSnapshot& lane) { return lane.sender.queue_batches; });
  per_host("skald_agent_queue_bytes", "gauge", "Their compressed size.",
           [](const LaneSnapshot& lane) { return lane.sender.queue_bytes; });
  out.family("promtail_batch_retries_total", "counter", "Number of times batches were retried.");
  for (const LaneSnapshot& lane : lanes) {
    if (lane.sender.retries.empty())
      out.sample({{"host", lane.sender.host}, {"tenant", ""}}, std::uint64_t{0});
    for (const auto& [tenant, retries] : lane.sender.retries)
      out.sample({{"host", lane.sender.host}, {"tenant", tenant}}, retries);
  }
  out.family("promtail_request_duration_seconds", "histogram", "Duration of send requests.");
  for (const LaneSnapshot& lane : lanes)
    for (const auto& [status, durations] : lane.sender.durations) {
      const MetricsText::Labels labels = {{"status_code", status}, {"host", lane.sender.host}};
      for (std::size_t i = 0; i < SenderCounters::kBounds.size(); ++i) {
        MetricsText::Labels with_bound = labels;
        const std::string bound = base::metric_number(SenderCounters::kBounds[i]);
        with_bound.emplace_back("le", bound);
        out.sample(with_bound, durations.buckets[i], "_bucket");
      }
      MetricsText::Labels infinite = labels;
      infinite.emplace_back("le", "+Inf");
      out.sample(infinite, durations.count, "_bucket");
      out.sample(labels, durations.sum_seconds, "_sum");
      out.sample(labels, durations.count, "_count");
    }
}

}  // namespace

std::string render_metrics(const std::vector<LaneSnapshot>& lanes, std::uint64_t reloads_ok,
                           std::uint64_t reloads_failed) {
  MetricsText out;
  out.family("promtail_build_info", "gauge", "Version of the agent.");
  out.sample({{"version", kAgentVersion}, {"revision", ""}, {"branch", ""}}, std::uint64_t{1});
  out.family("promtail_config_reload_success_total", "counter", "Successful reloads.");
  out.sample({}, reloads_ok);
  out.family("promtail_config_reload_fail_total", "counter", "Refused reloads.");
  out.sample({}, reloads_failed);
  if (!lanes.empty()) render_files(lanes[0], out);
  render_senders(lanes, out);
  render_pairs(lanes, out, false);
  render_pairs(lanes, out, true);
  out.family("skald_agent_lost_bytes_total", "counter", "Bytes that could not be read any more.");
  for (const LaneSnapshot& lane : lanes)
    for (const auto& [cause, bytes] : lane.lost_bytes)
      out.sample({{"client", lane.client}, {"cause", cause}}, bytes);
  out.family("skald_agent_spill_bytes", "gauge",
             "Files that rotated away, kept in skald.spill_dir until they are acknowledged.");
  for (const LaneSnapshot& lane : lanes) out.sample({{"client", lane.client}}, lane.spill_bytes);
  out.family("skald_agent_exactly_once", "gauge", "1: the server keeps our file offsets.");
  for (const LaneSnapshot& lane : lanes)
    out.sample({{"client", lane.client}}, std::uint64_t{lane.is_skald ? 1U : 0U});
  if (!lanes.empty()) out.text() += lanes[0].stage_metrics;
  return std::move(out.text());
}

}  // namespace skald::agent
