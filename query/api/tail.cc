#include "query/api/tail.h"

#include <pthread.h>

#include <algorithm>
#include <chrono>

#include "query/api/json_out.h"
#include "query/api/result_json.h"
#include "query/api/tailer.h"

namespace skald::query::api {
namespace {

constexpr std::int64_t kDurationMaxNs = 3600LL * base::kNsPerSecond;
constexpr std::size_t kFrameEntriesMax = 100;
constexpr std::size_t kFramesWaitingMax = 64;  // backlog and live, not yet with the socket
constexpr auto kIdleWait = std::chrono::milliseconds(500);
constexpr auto kBusyWait = std::chrono::milliseconds(5);  // frames wait for the socket

void append_labels_sorted(std::string& out, const LogStream& stream, const LogEntry& entry,
                          bool categorize) {
  if (categorize) return append_json_labels(out, stream.labels);
  model::Labels labels = stream.labels;
  for (const auto& [name, value] : entry.metadata) labels.set(name, value);
  for (const auto& [name, value] : entry.parsed) labels.set(name, value);
  append_json_labels(out, labels);
}

}  // namespace

bool Tailer::offer(const model::PushBatch& batch, std::int64_t now_ns) {
  bool any = false;
  for (const model::PushStream& stream : batch.streams) {
    if (!model::matches_all(matchers, stream.labels)) continue;
    std::shared_ptr<const model::Labels> labels;
    std::lock_guard lock(inbox_mutex);
    for (const model::EntryView& entry : stream.entries) {
      if (inbox_bytes > kInboxBytesMax) {
        if (dropped.size() < kDroppedMax) dropped.push_back({entry.timestamp_ns, stream.labels});
        continue;
      }
      if (labels == nullptr) labels = std::make_shared<const model::Labels>(stream.labels);
      inbox_bytes += entry.line.size() + 128;
      inbox.push_back({labels, entry.timestamp_ns, now_ns, std::string(entry.line),
                       entry.metadata != nullptr ? *entry.metadata : model::Labels()});
      any = true;
    }
  }
  return any;
}

// Runs the pipeline over what has arrived (and waited for delay_for), in time order.
void Tailer::collect(std::int64_t now_ns) {
  std::vector<Arrival> taken;
  {
    std::lock_guard lock(inbox_mutex);
    const auto due = [&](const Arrival& a) { return a.arrived_ns + delay_ns <= now_ns; };
    const auto end = std::find_if_not(inbox.begin(), inbox.end(), due);
    taken.assign(std::make_move_iterator(inbox.begin()), std::make_move_iterator(end));
    inbox.erase(inbox.begin(), end);
    for (const Arrival& arrival : taken)
      inbox_bytes -= std::min(inbox_bytes, arrival.line.size() + 128);
  }
  std::stable_sort(taken.begin(), taken.end(), [](const Arrival& a, const Arrival& b) {
    return a.timestamp_ns < b.timestamp_ns;
  });
  for (const Arrival& arrival : taken) {
    row.start(arrival.timestamp_ns, arrival.line, *arrival.labels,
              arrival.metadata.empty() ? nullptr : &arrival.metadata);
    if (!run_stages(stages, row)) continue;
    TailEntry result = result_of(row);
    if (backlog_keys.count(result.key()) == 0) push(std::move(result));
  }
}

TailEntry Tailer::result_of(const Row& from) {
  const auto labels = [this](const std::vector<LabelView>& from_views) {
    std::vector<model::Labels::Pair> pairs;
    for (const LabelView& view : from_views) pairs.emplace_back(view.name, view.value);
    return model::Labels::from_result(std::move(pairs));
  };
  TailEntry out;
  out.entry.timestamp_ns = from.timestamp_ns;
  out.entry.line = from.line;
  from.collect(Category::kStream, views);
  out.stream.labels = labels(views);
  from.collect(Category::kMetadata, views);
  out.entry.metadata = labels(views);
  from.collect(Category::kParsed, views);
  out.entry.parsed = labels(views);
  return out;
}

void Tailer::push(TailEntry entry) {
  if (waiting.size() >= kFramesWaitingMax * kFrameEntriesMax) {
    std::lock_guard lock(inbox_mutex);
    if (dropped.size() < kDroppedMax)
      dropped.push_back({entry.entry.timestamp_ns, std::move(entry.stream.labels)});
    return;
  }
  waiting.push_back(std::move(entry));
}

// False: the socket takes no more for now.
bool Tailer::send_frame() {
  if (waiting.empty()) return true;
  if (socket->queued() >= net::kWebSocketQueueMax) return false;
  std::string out = "{\"streams\":[";
  for (std::size_t i = 0; i < kFrameEntriesMax && !waiting.empty(); ++i) {
    const TailEntry& item = waiting.front();
    out.append(i == 0 ? "{\"stream\":" : ",{\"stream\":");
    append_labels_sorted(out, item.stream, item.entry, categorize);
    out.append(",\"values\":[");
    append_entry_json(out, item.entry, categorize);
    out.append("]}");
    waiting.pop_front();
  }
  out.push_back(']');
  append_dropped(out);
  if (categorize) out.append(",\"encodingFlags\":[\"categorize-labels\"]");
  out.push_back('}');
  return socket->send_text(std::move(out));
}

void Tailer::append_dropped(std::string& out) {
  std::lock_guard lock(inbox_mutex);
  if (dropped.empty()) return;
  out.append(",\"dropped_entries\":[");
  for (std::size_t i = 0; i < dropped.size(); ++i) {
    out.append(i == 0 ? "{\"timestamp\":\"" : ",{\"timestamp\":\"");
    append_integer(out, dropped[i].first);
    out.append("\",\"labels\":");
    append_json_labels(out, dropped[i].second);
    out.push_back('}');
  }
  out.push_back(']');
  dropped.clear();
}

TailHub::TailHub(const base::Clock& clock) : clock_(clock), thread_([this] { run(); }) {
  pthread_setname_np(thread_.native_handle(), "tail");
}

TailHub::~TailHub() { stop(); }

void TailHub::stop() {
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return;
    stopping_ = true;
  }
  work_.notify_all();
  thread_.join();
  std::lock_guard lock(mutex_);
  for (const auto& tailer : tailers_)
    if (tailer->open.load(std::memory_order_acquire))
      tailer->socket->close(1001, "the server is shutting down");
  tailers_.clear();
  count_.store(0);
}

void TailHub::on_append(std::string_view tenant, const model::PushBatch& batch) {
  if (count_.load(std::memory_order_acquire) == 0) return;
  const std::int64_t now_ns = clock_.monotonic_ns();
  bool any = false;
  std::lock_guard lock(mutex_);
  for (const auto& tailer : tailers_)
    if (tailer->tenant == tenant) any |= tailer->offer(batch, now_ns);
  if (!any) return;
  woken_ = true;
  work_.notify_one();
}

void TailHub::add(const std::shared_ptr<Tailer>& tailer) {
  std::lock_guard lock(mutex_);
  tailers_.push_back(tailer);
  count_.store(tailers_.size(), std::memory_order_release);
}

void TailHub::remove(const std::shared_ptr<Tailer>& tailer) {
  std::lock_guard lock(mutex_);
  std::erase(tailers_, tailer);
  count_.store(tailers_.size(), std::memory_order_release);
}

void TailHub::wake() {
  std::lock_guard lock(mutex_);
  woken_ = true;
  work_.notify_one();
}

std::size_t TailHub::count(std::string_view tenant) const {
  std::lock_guard lock(mutex_);
  return static_cast<std::size_t>(std::count_if(
      tailers_.begin(), tailers_.end(), [&](const auto& t) { return t->tenant == tenant; }));
}

void TailHub::run() {
  bool busy = false;  // some frames wait for their socket, or entries for delay_for
  while (true) {
    std::vector<std::shared_ptr<Tailer>> tailers;
    {
      std::unique_lock lock(mutex_);
      work_.wait_for(lock, busy ? kBusyWait : kIdleWait, [this] { return woken_ || stopping_; });
      if (stopping_) return;
      woken_ = false;
      tailers = tailers_;
    }
    busy = false;
    const std::int64_t now_ns = clock_.monotonic_ns();
    for (const auto& tailer : tailers) {
      if (!tailer->open.load(std::memory_order_acquire)) {
        if (now_ns - tailer->created_ns > Tailer::kOpenTimeoutNs) remove(tailer);
        continue;
      }
      if (tailer->socket->closed()) {
        remove(tailer);
        continue;
      }
      tailer->collect(now_ns);
      while (!tailer->waiting.empty() && tailer->send_frame()) {
      }
      busy |= !tailer->waiting.empty() || tailer->delay_ns > 0;
      if (now_ns - tailer->created_ns > kDurationMaxNs) {
        tailer->socket->close(1011, "reached tail max duration limit");
        remove(tailer);
      }
    }
  }
}

}  // namespace skald::query::api
