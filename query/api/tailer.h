#pragma once
// One live tail. Private to the room; TailHub's thread owns all but the inbox.

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_set>
#include <vector>

#include "proto/model/matcher.h"
#include "proto/model/push.h"
#include "proto/net/http_server.h"
#include "query/exec/engine.h"
#include "query/exec/hints.h"
#include "query/exec/stage.h"

namespace skald::query::api {

struct TailEntry {
  LogStream stream;  // only its labels
  LogEntry entry;
  std::size_t key() const {
    return std::hash<std::string_view>()(entry.line) ^
           static_cast<std::size_t>(entry.timestamp_ns) ^
           static_cast<std::size_t>(stream.labels.hash());
  }
};

struct Tailer {
  static constexpr std::size_t kInboxBytesMax = 4U << 20;
  static constexpr std::size_t kDroppedMax = 1000;  // as Loki remembers
  static constexpr std::int64_t kOpenTimeoutNs = 60LL * base::kNsPerSecond;

  struct Arrival {
    std::shared_ptr<const model::Labels> labels;
    std::int64_t timestamp_ns = 0;
    std::int64_t arrived_ns = 0;
    std::string line;
    model::Labels metadata;
  };

  Tailer(Stages stages_in, Hints hints_in)
      : stages(std::move(stages_in)), hints(std::move(hints_in)), row(hints) {}

  bool offer(const model::PushBatch& batch, std::int64_t now_ns);  // any thread
  void collect(std::int64_t now_ns);
  void push(TailEntry entry);
  bool send_frame();

  std::string tenant;
  model::Matchers matchers;
  Stages stages;
  Hints hints;
  Row row;
  bool categorize = false;
  std::int64_t delay_ns = 0;
  std::int64_t created_ns = 0;
  std::atomic<bool> open{false};  // socket and backlog are set
  std::shared_ptr<net::WebSocket> socket;
  std::deque<TailEntry> waiting;                 // to be framed
  std::unordered_set<std::size_t> backlog_keys;  // sent already, if they arrive as well

  std::mutex inbox_mutex;
  std::deque<Arrival> inbox;
  std::size_t inbox_bytes = 0;
  std::vector<std::pair<std::int64_t, model::Labels>> dropped;

 private:
  TailEntry result_of(const Row& from);
  void append_dropped(std::string& out);
  std::vector<LabelView> views;
};

}  // namespace skald::query::api
