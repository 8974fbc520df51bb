#include "agent/journal_reader.h"

#include <algorithm>
#include <chrono>
#include <deque>
#include <thread>

#include "agent/limits.h"
#include "agent/log.h"
#include "proto/gotext/json.h"

namespace skald::agent {
namespace {

constexpr std::int64_t kWaitNs = 500 * base::kNsPerMs;  // and then a look at the stop flag
constexpr std::int64_t kReopenNs = base::kNsPerSecond;

std::string_view priority_keyword(std::string_view priority) {
  static constexpr std::string_view kNames[] = {"emerg",   "alert",  "crit", "error",
                                                "warning", "notice", "info", "debug"};
  if (priority.size() != 1 || priority[0] < '0' || priority[0] > '7') return priority;
  return kNames[priority[0] - '0'];
}

// Follows the journal for one client.
class LaneReader {
 public:
  LaneReader(const ScrapeConfig& config, std::size_t job, Lane& lane, std::string key,
             Cursors& cursors, const ReceivedLabels& labels, ReceiverCounters& counters,
             const OpenJournal& open)
      : config_(config),
        lane_(lane),
        key_(std::move(key)),
        cursors_(cursors),
        labels_(labels),
        counters_(counters),
        open_(open),
        account_(lane.open_account(job)),
        thread_([this] { run(); }) {}
  ~LaneReader() {
    stop();
    save(true);
  }
  void stop() {
    cancelled_ = true;
    if (thread_.joinable()) thread_.join();
  }
  LaneReader(const LaneReader&) = delete;
  LaneReader& operator=(const LaneReader&) = delete;

 private:
  void run() {
    position_ = cursors_.cursor(key_);
    if (position_.empty()) position_ = cursors_.cursor("journal-" + config_.job_name());
    std::uint64_t failures = 0;
    while (!cancelled_) {
      const base::Status status = follow();
      if (cancelled_ || status.ok()) continue;
      ++failures;
      ++counters_.errors;
      if ((failures & (failures - 1)) == 0)
        log_error(config_.job_name() + ": " + status.to_string() + "; opening it again");
      for (std::int64_t waited = 0; waited < kReopenNs && !cancelled_; waited += kPushWaitNs)
        std::this_thread::sleep_for(std::chrono::nanoseconds(kPushWaitNs));
    }
  }

  // From the last cursor on, until something fails or the reader stops.
  base::Status follow() {
    const JournalConfig& config = *config_.journal;
    SKALD_TRY_ASSIGN(const auto journal, open_(config.path));
    for (const std::string& match : config.matches) SKALD_TRY(journal->match(match));
    SKALD_TRY(seek(*journal));
    while (!cancelled_) {
      SKALD_TRY_ASSIGN(const bool has_entry, journal->next());
      save(false);
      if (!has_entry) {
        journal->wait(kWaitNs);
        continue;
      }
      SKALD_TRY(take(*journal));
    }
    return {};
  }

  // Behind the last entry taken, if that is not too old; else max_age back.
  base::Status seek(Journal& journal) {
    const std::int64_t oldest_ns = base::Clock::system().wall_ns() - config_.journal->max_age_ns;
    if (!position_.empty() && journal.seek_cursor(position_).ok()) {
      const auto found = journal.next();
      if (found.ok() && *found) {
        auto time_ns = journal.time_ns();
        auto cursor = journal.cursor();
        if (time_ns.ok() && cursor.ok() && *time_ns >= oldest_ns) {
          // The entry itself was taken; any other is the first one after it, and news.
          return *cursor == position_ ? base::Status() : take(journal);
        }
      } else if (found.ok()) {
        return {};  // the journal ends there
      }
    }
    return journal.seek_time(oldest_ns);
  }

  base::Status take(Journal& journal) {
    std::vector<std::string> fields;
    for (;;) {
      SKALD_TRY_ASSIGN(const std::string_view field, journal.next_field());
      if (field.empty()) break;
      fields.emplace_back(field);
    }
    SKALD_TRY_ASSIGN(const std::int64_t time_ns, journal.time_ns());
    SKALD_TRY_ASSIGN(std::string cursor, journal.cursor());
    model::Labels labels;
    std::string line;
    std::uint64_t ticket = 0;
    if (!journal_entry(*config_.journal, fields, labels, line)) {
      ++counters_.empty;
    } else if (labels_.finish(labels) && !labels.empty()) {
      auto pushed = lane_.push(account_, labels, {line, time_ns, {}}, kForeverNs, &cancelled_);
      if (!pushed.ok()) return std::move(pushed).status();  // stopping; taken again next time
      ticket = *pushed;
      ++counters_.entries;
    }
    position_ = std::move(cursor);
    if (ticket != 0 && (pending_.empty() || ticket - pending_.back().first >= kCursorEntries))
      pending_.emplace_back(ticket, position_);
    if (ticket != 0) last_ticket_ = ticket;
    return {};
  }

  // What of the cursors is delivered goes to the positions, now and then.
  void save(bool now) {
    const std::int64_t time_ns = base::Clock::system().monotonic_ns();
    if (!now && time_ns < next_save_ns_) return;
    next_save_ns_ = time_ns + kCursorPeriodNs;
    const std::uint64_t delivered = lane_.delivered_to(account_);
    std::string cursor;
    for (; !pending_.empty() && pending_.front().first <= delivered; pending_.pop_front())
      cursor = std::move(pending_.front().second);
    if (delivered >= last_ticket_) cursor = position_;
    if (cursor.empty() || cursor == saved_) return;
    cursors_.set_cursors({{key_, cursor}});
    saved_ = std::move(cursor);
  }

  const ScrapeConfig& config_;
  Lane& lane_;
  const std::string key_;
  Cursors& cursors_;
  const ReceivedLabels& labels_;
  ReceiverCounters& counters_;
  const OpenJournal& open_;
  const std::size_t account_;
  std::string position_, saved_;  // cursors of the last entry taken, and saved
  std::deque<std::pair<std::uint64_t, std::string>> pending_;
  std::uint64_t last_ticket_ = 0;
  std::int64_t next_save_ns_ = 0;
  std::atomic<bool> cancelled_{false};
  std::thread thread_;  // last: it uses all of the above
};

class JournalReader final : public Receiver {
 public:
  JournalReader(const ScrapeConfig& config, std::size_t job,
                const std::vector<std::unique_ptr<Lane>>& lanes, Cursors& cursors,
                ReceivedLabels labels, OpenJournal open)
      : config_(config), labels_(std::move(labels)), open_(std::move(open)) {
    for (const auto& lane : lanes)
      readers_.push_back(std::make_unique<LaneReader>(
          config, job, *lane,
          // Promtail's key; further clients have their own, which it leaves alone.
          "cursor-" + config.job_name() + (readers_.empty() ? "" : "@" + lane->client_name()),
          cursors, labels_, counters_, open_));
  }

  void stop() override {
    for (const auto& reader : readers_) reader->stop();
  }
  ReceiverSnapshot snapshot() const override {
    return {"journal",
            config_.job_name(),
            config_.journal->path.empty() ? "the system's" : config_.journal->path,
            counters_.entries,
            counters_.errors,
            counters_.empty,
            0};
  }

 private:
  const ScrapeConfig& config_;
  const ReceivedLabels labels_;
  const OpenJournal open_;
  ReceiverCounters counters_;
  std::vector<std::unique_ptr<LaneReader>> readers_;
};

}  // namespace

bool journal_entry(const JournalConfig& config, const std::vector<std::string>& fields,
                   model::Labels& labels, std::string& line) {
  std::vector<model::Labels::Pair> pairs;
  std::vector<std::pair<std::string, gotext::Value>> values;
  bool has_message = false;
  for (const std::string& field : fields) {
    const std::size_t equals = field.find('=');
    if (equals == std::string::npos) continue;
    std::string name = field.substr(0, equals);
    const std::string_view value = std::string_view(field).substr(equals + 1);
    if (name == "MESSAGE") {
      has_message = true;
      if (!config.json) line = value;
    }
    if (config.json) values.emplace_back(name, gotext::Value(std::string(value)));
    std::transform(name.begin(), name.end(), name.begin(), [](char c) {
      return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
    });
    if (name == "priority")
      pairs.emplace_back("__journal_priority_keyword", priority_keyword(value));
    pairs.emplace_back("__journal_" + name, value);
  }
  for (const auto& pair : config.labels) pairs.push_back(pair);
  labels = model::Labels::from_pairs(std::move(pairs));
  if (config.json) line = gotext::to_json(gotext::Value::map(std::move(values)));
  return config.json || has_message;
}

base::Result<std::unique_ptr<Receiver>> start_journal_reader(
    const ScrapeConfig& config, std::size_t job, const std::vector<std::unique_ptr<Lane>>& lanes,
    Cursors& cursors, OpenJournal open) {
  SKALD_TRY_ASSIGN(ReceivedLabels labels, ReceivedLabels::create(config));
  return std::unique_ptr<Receiver>(std::make_unique<JournalReader>(
      config, job, lanes, cursors, std::move(labels), std::move(open)));
}

}  // namespace skald::agent
