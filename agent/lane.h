#pragma once
// A lane is all that one client needs: its own look at the files, its own pipelines, batches, and
// sender. Several clients are several lanes, so that a dead server holds up no other; the price,
// one more reading of each file, is paid only by who configures two.
//
// Threads: run() on one thread (or step() by a test), the sender on its own; snapshots and
// stop requests from any.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "agent/batch/batcher.h"
#include "agent/label/label_policy.h"
#include "agent/label/label_set.h"
#include "agent/label/target.h"
#include "agent/parse/config.h"
#include "agent/parse/pipeline.h"
#include "agent/parse/stage_metrics.h"
#include "agent/position/position_store.h"
#include "agent/ship/sender.h"
#include "agent/tail/file_set.h"
#include "proto/base/clock.h"

namespace skald::agent {

struct LaneOptions {
  std::string agent_id;
  std::function<base::Status(ClientPositions)> save;  // durable when it returns OK; may be empty
  // If set, entries go here and nowhere else (-dry-run).
  std::function<void(const EntryOut&)> tap;
  StageInspector* inspector = nullptr;  // -inspect; borrowed
  std::function<void()> on_change;      // something a reader of snapshots may wait for
  std::int64_t rotated_grace_ns = kRotatedGraceNs;
  std::int64_t partial_flush_ns = kPartialFlushNs;
};

// What /metrics and /targets show.
struct FileSnapshot {
  std::string job, path;
  model::Labels labels;
  std::uint64_t offset = 0, size = 0, lines = 0, settled_to = 0;
  bool rotated = false;
};
struct JobSnapshot {
  std::string job;
  std::vector<Target> targets;
  std::vector<DroppedTarget> dropped;
};
struct LaneSnapshot {
  std::string client;
  bool ready = false, is_skald = false;
  std::vector<FileSnapshot> files;
  std::vector<JobSnapshot> jobs;
  SenderCounters sender;
  std::map<std::string, std::uint64_t> lost_bytes;                         // by cause
  std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> dropped;  // reason: entries, bytes
  std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> mutated;
  std::uint64_t entries = 0, lines_cut = 0, read_bytes = 0, spill_bytes = 0;
  std::string stage_metrics;  // rendered
};

class Lane final : public TailOwner, public EntrySink {
 public:
  // `config` outlives the lane. Errors: a pipeline or relabel rule that does not build.
  static base::Result<std::unique_ptr<Lane>> create(const AgentConfig& config,
                                                    const ClientConfig& client, LaneOptions options,
                                                    std::unique_ptr<net::HttpTransport> transport,
                                                    std::unique_ptr<FileWatcher> watcher,
                                                    const base::Clock& clock);
  ~Lane() override;

  // What an earlier run knew, and at the very first start what Promtail knew. Asks the server for
  // its marks; before that nothing is read.
  void begin(ClientPositions positions, std::vector<PromtailPosition> imported);
  void start();  // spawns both threads, after begin()
  // Reads no more, sends what is read for at most `drain_ns`, saves the positions, joins.
  void stop(std::int64_t drain_ns);

  // One round: events, reading, flushing, saving. Returns how long nothing will be due unless the
  // wake descriptor or the watcher says so.
  std::int64_t step();
  Sender& sender() noexcept { return *sender_; }
  const std::string& client_name() const noexcept { return client_.name; }
  LaneSnapshot snapshot();
  bool has_tailed() const;  // a target tails a file

  // Lines that come from elsewhere than a tailed file (receivers, archives, standard input) go
  // through the pipeline of `job` under an account. With a `file_id` the store remembers how many
  // of its lines it has: what is pushed again from `start` on is left out there, exactly once.
  // Without one, lines are lost if the process dies before they are delivered. From any thread.
  std::size_t open_account(std::size_t job, std::string file_id = {}, std::uint64_t start = 0);
  struct PushedLine {
    std::string_view line;
    std::int64_t timestamp_ns = 0;
    std::span<const MetadataPair> metadata;
  };
  // Waits for room in the client's queue at most `wait_ns` (kUnavailable then), and not at all once
  // `cancel` (may be null) is true: kCancelled. kConflict: see rewound_to(). Returns a ticket for
  // delivered_to(): how many lines of the account were pushed, the `start` it began with included.
  base::Result<std::uint64_t> push(std::size_t account, const model::Labels& labels,
                                   const PushedLine& line, std::int64_t wait_ns,
                                   const std::atomic<bool>* cancel = nullptr);
  std::uint64_t delivered_to(std::size_t account);
  // Set once when the store turned out to have less than was pushed: the line to go on from.
  std::optional<std::uint64_t> rewound_to(std::size_t account);
  bool is_rewound(std::size_t account);
  // How often lines of an account without a file id were given up after their tickets were given.
  std::uint64_t losses(std::size_t account);
  void close_account(std::size_t account);  // everything was delivered, or nobody cares any more
  bool is_stopping() const noexcept { return stopping_; }

 private:
  struct FileData final : SourceData {
    std::size_t job = 0;
    LabelSetRef labels;
    std::string filename;
    SourceProgress progress;
    std::uint64_t lines = 0;
  };

  struct Job {
    const ScrapeConfig* config = nullptr;
    std::unique_ptr<TargetDiscovery> discovery;
    std::vector<DroppedTarget> dropped;  // of the last sync
    std::unique_ptr<Pipeline> pipeline;
  };
  // Offsets of an account count lines.
  struct Account final {
    FileData data;
    bool begun = false;
    bool held_back = false;  // its last line was for a tenant that takes no more
    std::uint64_t losses = 0;
    std::optional<std::uint64_t> rewound_to;
  };
  struct LaneTarget {
    std::size_t job = 0;
    Target target;
  };
  Lane(const AgentConfig& config, const ClientConfig& client, LaneOptions options,
       std::unique_ptr<net::HttpTransport> transport, std::unique_ptr<FileWatcher> watcher,
       const base::Clock& clock);
  base::Status build_jobs();

  // TailOwner
  bool on_line(Source& source, std::string_view line, std::uint64_t start,
               std::uint64_t end) override;
  void on_skipped(Source& source, std::uint64_t start, std::uint64_t end) override;
  void on_source_start(Source& source, const KnownFile* known) override;
  void on_source_moved(Source& source) override;
  void on_source_quiet(Source& source) override;
  void on_source_end(Source& source) override;
  bool is_settled(const Source& source) const override;
  void on_lost(const Source& source, std::uint64_t bytes, std::string_view why) override;
  void on_warning(const std::string& message) override;
  // EntrySink
  void on_entry(const EntryOut& entry) override;
  void on_dropped(const SourceRange& range) override;

  void take_sender_events();
  void update_room();
  void on_ready(const SenderEvent& event);
  void on_conflict(const SenderEvent& event);
  bool wait_for_room(std::unique_lock<std::mutex>& lock, const Account& account,
                     std::int64_t deadline_ns, const std::atomic<bool>* cancel) const;
  void rewind_accounts(const std::string& tenant, const std::vector<std::uint64_t>& given_up,
                       const std::map<std::string, std::uint64_t>* stored);
  void read_again(const std::string& tenant, const std::vector<std::uint64_t>& given_up,
                  const std::map<std::string, std::uint64_t>* stored);
  void find_files();
  bool sync_targets();
  void read_files(std::int64_t until_ns);
  void flush_pipelines(bool all);
  void refresh(SourceProgress& progress);
  template <typename Fn>
  void for_each_progress(Fn&& fn);
  bool limit_line(std::string_view& line, const EntryOut& entry);
  bool take_rate_token();
  const std::string& tenant_of(const LabelSet& labels) const {
    return labels.tenant().empty() ? client_.tenant_id : labels.tenant();
  }
  bool is_full(const std::string& tenant) const {
    return std::find(full_tenants_.begin(), full_tenants_.end(), tenant) != full_tenants_.end();
  }
  void seal_check(const base::Status& status);
  ClientPositions positions();
  void save_positions();
  FileData* data_of(std::uint64_t source);
  std::int64_t next_due_ns(std::int64_t now) const;
  void run();
  void wait(std::int64_t wait_ns);
  void wake();

  const AgentConfig& config_;
  const ClientConfig& client_;
  LaneOptions options_;
  ClientPositions positions_;  // of the earlier run
  std::vector<PromtailPosition> imported_;
  const base::Clock& clock_;
  int wake_fd_ = -1;

  mutable std::mutex mutex_;  // guards everything below against snapshots
  LabelSetTable sets_;
  StageMetrics stage_metrics_;
  LabelPolicy policy_;
  std::vector<Job> jobs_;
  std::vector<std::unique_ptr<Account>> accounts_;
  std::vector<LaneTarget> targets_;
  std::unique_ptr<Batcher> batcher_;
  std::unique_ptr<Sender> sender_;
  std::unique_ptr<FileSet> files_;
  std::map<std::string, std::map<std::string, std::uint64_t>> stored_;  // file id, tenant: end
  // The source whose line is in the pipeline, and the last one looked up.
  FileData* current_ = nullptr;
  std::uint64_t current_number_ = 0;
  std::int64_t line_time_ns_ = 0, line_monotonic_ns_ = 0;
  // Tenants that take no more for now, and whether the line in the pipeline was one of theirs.
  std::vector<std::string> full_tenants_;
  bool line_is_for_full_ = false;
  std::string decoded_;  // the line, if its file is not UTF-8
  bool ready_ = false, is_skald_ = false, multi_tenant_ = false, found_ = false;
  bool stop_reading_ = false, discarding_ = false, positions_dirty_ = false;
  std::int64_t next_full_scan_ns_ = 0, next_scan_ns_ = 0, next_sync_ns_ = 0, next_poll_ns_ = 0,
               next_save_ns_ = 0;
  std::int64_t next_collect_ns_ = 0, poll_period_ns_ = 0, blocked_until_ns_ = 0;
  double rate_tokens_ = 0;
  std::int64_t rate_filled_ns_ = 0;
  std::map<std::string, std::uint64_t> lost_bytes_;
  std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> dropped_, mutated_;

  std::thread thread_, sender_thread_;
  std::atomic<bool> stopping_{false};
};

SenderOptions sender_options(const ClientConfig& client, const std::string& agent_id);
net::HttpClientOptions http_options(const ClientConfig& client);

}  // namespace skald::agent
