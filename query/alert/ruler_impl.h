#pragma once
// What Ruler owns. Private to the room.

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "query/alert/delivery.h"
#include "query/alert/group.h"
#include "query/alert/query_memo.h"
#include "query/alert/recorder.h"
#include "query/alert/rule_store.h"
#include "query/alert/ruler.h"
#include "query/alert/state_file.h"

namespace skald::query::alert {

struct TenantReload {
  bool successful = true;
  double last_success_seconds = 0;
  std::uint64_t updates = 0;
  std::vector<std::string> errors;  // "file: 3:5: message"
};

struct Ruler::Impl {
  struct Entry {
    std::shared_ptr<Group> group;
    std::int64_t slot_ns = 0;  // next due
    bool running = false;
  };

  Impl(RulerOptions o, RulerDeps d);

  // ---- rules
  base::Status load(bool first);
  void apply(std::map<std::string, TenantFiles> loaded);
  void retire(Group& group);
  GroupSettings settings_of(const RuleGroup& group) const;
  std::map<std::string, std::vector<RuleGroup>> groups_of(const std::string& tenant) const;

  // ---- state
  void read_state();
  base::Status write_state();

  // ---- evaluation
  std::shared_ptr<Group> take_due(std::int64_t now_ns, std::int64_t& slot_ns, std::int64_t& next);
  // Asks ahead, together, what the group and those due with it over the same streams will ask.
  void prepare(const Group& group, std::int64_t slot_ns);
  void run(const std::shared_ptr<Group>& group, std::int64_t slot_ns);
  void finish(const std::shared_ptr<Group>& group, std::int64_t slot_ns);
  void deliver(const Group& group, GroupOutput out);
  void evaluator_loop();
  void start_deliveries();
  void stop_deliveries();
  void upkeep_loop();

  RulerOptions options;
  RulerDeps deps;
  RuleStore store;
  QueryMemo memo;
  std::string path_prefix;
  std::vector<std::unique_ptr<Delivery>> notifiers, writers;
  std::unique_ptr<Recorder> recorder;  // null: recorded series are not stored

  mutable std::mutex mutex;  // guards what follows
  std::condition_variable wake;
  std::map<std::string, TenantFiles> files;  // the last good text of each file that has groups
  std::map<std::string, TenantReload> reloads;
  std::map<GroupKey, Entry> groups;
  SavedState restored;
  bool stopping = false, started = false, stopped = false;
  std::vector<std::thread> threads;
  std::int64_t next_poll_ns = 0, next_save_ns = 0;
  std::atomic<std::uint64_t> state_failures{0};
  // How long after the instant they were due groups began.
  std::atomic<std::uint64_t> starts{0}, late_sum_ns{0};
  std::atomic<std::int64_t> late_max_ns{0};
  std::mutex load_mutex;  // one reload at a time; guards last_findings
  std::string last_findings;

  // ---- API
  net::ServerResponse list_rules(const std::string& tenant, const std::string& space,
                                 const std::string& labels) const;
  net::ServerResponse get_group(const std::string& tenant, const std::string& space,
                                const std::string& group) const;
  net::ServerResponse state_rules(const std::string& tenant, std::string_view query) const;
  net::ServerResponse state_alerts(const std::string& tenant) const;
  net::ServerResponse changed(base::Status status);
  net::ServerResponse set_group(const std::string& tenant, const std::string& space,
                                const std::string& body);
};

}  // namespace skald::query::alert
