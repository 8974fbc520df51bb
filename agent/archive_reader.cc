#include "agent/archive_reader.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <map>
#include <set>
#include <thread>

#include "agent/archive_decoder.h"
#include "agent/glob_pattern.h"
#include "agent/limits.h"
#include "agent/log.h"
#include "agent/tail/file_id.h"
#include "agent/tail/paths.h"

namespace skald::agent {
namespace {

// Keys of the first client; further ones have their names in theirs.
constexpr std::string_view kFirstPrefix = "cursor-";
constexpr std::string_view kDone = " done";  // after the count of an archive's lines

struct OpenFile {
  explicit OpenFile(const std::string& path) : fd(open_for_reading(path)) {}
  ~OpenFile() {
    if (fd >= 0) ::close(fd);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  const int fd;
};

// Collects pieces into lines.
class Lines {
 public:
  explicit Lines(std::function<bool(std::string_view)> line) : line_(std::move(line)) {}
  bool add(std::string_view piece) {
    while (!piece.empty()) {
      const std::size_t newline = piece.find('\n');
      const std::string_view part = piece.substr(0, newline);
      // Beyond the longest line the rest of it is cut, as in files.
      pending_ += part.substr(0, kLineBytesMax - std::min(pending_.size(), kLineBytesMax));
      if (newline == std::string_view::npos) return true;
      piece.remove_prefix(newline + 1);
      if (!give()) return false;
    }
    return true;
  }
  bool finish() { return pending_.empty() || give(); }

 private:
  bool give() {
    const bool go_on = line_(pending_);
    pending_.clear();
    return go_on;
  }
  std::function<bool(std::string_view)> line_;
  std::string pending_;
};

struct Shared {
  const ScrapeConfig& config;
  std::size_t job;
  Cursors& cursors;
  std::int64_t sync_period_ns;
  ReceiverCounters counters;
};

class LaneArchives {
 public:
  LaneArchives(Shared& shared, Lane& lane, std::string prefix,
               std::unique_ptr<TargetDiscovery> discovery)
      : shared_(shared),
        lane_(lane),
        prefix_(std::move(prefix)),
        discovery_(std::move(discovery)),
        thread_([this] { run(); }) {}
  ~LaneArchives() {
    stop();
    if (unfinished_) save(*unfinished_, unfinished_account_, false);
  }
  void stop() {
    cancelled_ = true;
    if (thread_.joinable()) thread_.join();
  }
  LaneArchives(const LaneArchives&) = delete;
  LaneArchives& operator=(const LaneArchives&) = delete;

 private:
  struct Archive {
    std::string path, id;
    std::uint64_t size = 0;
    const Target* target = nullptr;
  };
  struct Known {
    std::int64_t first_seen_ns = 0, last_seen_ns = 0;
    std::uint64_t tried_size = 0;  // it ended early at this size
    bool done = false, failed = false;
  };

  void run() {
    is_first_start_ = shared_.cursors.cursor_keys(key_prefix()).empty();
    while (!cancelled_) {
      const std::vector<Archive> found = find();
      for (const Archive& archive : found)
        if (!cancelled_) look_at(archive);
      forget_gone(found);
      sleep(std::min(shared_.sync_period_ns, kArchiveScanNs));
    }
  }

  void sleep(std::int64_t ns) {
    for (std::int64_t waited = 0; waited < ns && !cancelled_; waited += kPushWaitNs * 4)
      std::this_thread::sleep_for(std::chrono::nanoseconds(kPushWaitNs * 4));
  }

  std::vector<Archive> find() {
    std::vector<Archive> found;
    for (const Target& target : discovery_->poll().targets) {
      auto pattern = GlobPattern::create(target.path, target.path_exclude);
      if (!pattern.ok()) continue;
      (*pattern)->expand([&](const std::string& path) {
        const OpenFile file(path);
        struct stat st {};
        if (file.fd < 0 || ::fstat(file.fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size == 0)
          return;
        char head[kHeadBytes];
        const ssize_t n = ::pread(file.fd, head, sizeof head, 0);
        if (n < static_cast<ssize_t>(std::min<off_t>(st.st_size, sizeof head))) return;
        // Few bytes may be the first of more to come: as id they serve once there are enough.
        found.push_back(
            {path,
             "archive-" + std::to_string(st.st_dev) + "-" + std::to_string(st.st_ino) + "-" +
                 std::to_string(
                     print_hash({head, std::min<std::size_t>(kArchiveHeadBytes, std::size_t(n))})),
             static_cast<std::uint64_t>(st.st_size), &target});
      });
    }
    std::sort(found.begin(), found.end(),
              [](const Archive& a, const Archive& b) { return a.path < b.path; });
    return found;
  }

  std::string key_prefix() const { return prefix_ + shared_.config.job_name() + "/"; }
  std::string key(const Archive& archive) const { return key_prefix() + archive.id; }

  // What is known of archives that have been gone for long is forgotten.
  void forget_gone(const std::vector<Archive>& found) {
    const std::int64_t now_ns = base::Clock::system().monotonic_ns();
    Cursors::Pairs gone;
    for (const std::string& key_text : shared_.cursors.cursor_keys(key_prefix())) {
      const std::string id = key_text.substr(key_prefix().size());
      Known& known = known_[id];
      const bool is_here = std::any_of(found.begin(), found.end(),
                                       [&](const Archive& archive) { return archive.id == id; });
      if (is_here || known.last_seen_ns == 0) known.last_seen_ns = now_ns;
      if (now_ns - known.last_seen_ns < kForgetArchivesNs) continue;
      gone.emplace_back(key_text, "");
      known_.erase(id);
    }
    for (const std::string& path : shared_.cursors.cursor_keys("/"))
      if (::access(path.c_str(), F_OK) != 0) gone.emplace_back(path, "");
    if (!gone.empty()) shared_.cursors.set_cursors(gone);
  }

  void look_at(const Archive& archive) {
    const std::int64_t now_ns = base::Clock::system().monotonic_ns();
    Known& known = known_[archive.id];
    if (known.first_seen_ns == 0) known.first_seen_ns = now_ns;
    if (known.done && prefix_ == kFirstPrefix)
      show_done(archive, shared_.cursors.cursor(key(archive)));
    if (known.done || known.failed || known.tried_size == archive.size ||
        now_ns - known.first_seen_ns < shared_.config.decompression.initial_delay_ns)
      return;
    std::uint64_t from = 0;
    const std::string saved = shared_.cursors.cursor(key(archive));
    if (saved.ends_with(kDone)) {
      known.done = true;
      return;
    }
    // Promtail knew archives by their paths: that counts at our first start only.
    const std::string text =
        saved.empty() && is_first_start_ ? shared_.cursors.cursor(archive.path) : saved;
    std::from_chars(text.data(), text.data() + text.size(), from);
    deliver(archive, known, from);
  }

  // Promtail's own entry follows the archive through its names.
  void show_done(const Archive& archive, std::string lines) {
    if (lines.ends_with(kDone)) lines.resize(lines.size() - kDone.size());
    if (!lines.empty() && shared_.cursors.cursor(archive.path) != lines)
      shared_.cursors.set_cursors({{archive.path, lines}});
  }

  // All of it, again and again while the store turns out to have less.
  void deliver(const Archive& archive, Known& known, std::uint64_t from) {
    const std::size_t account = lane_.open_account(shared_.job, archive.id, from);
    log_info("reading archive " + archive.path +
             (from == 0 ? "" : " from line " + std::to_string(from)));
    last_ticket_ = from;
    for (bool again = true; again && !cancelled_;) {
      again = false;
      base::Status status = read(archive, account, from);
      // Whatever ended it: an account that closes takes its marks out of the open batch.
      if (const base::Status waited = wait(account); status.ok()) status = waited;
      if (const auto rewound = lane_.rewound_to(account)) {
        from = *rewound;
        again = true;
      } else if (status.code() == base::Code::kUnavailable) {
        known.tried_size = archive.size;  // still being written
      } else if (!status.ok() && status.code() != base::Code::kCancelled) {
        known.failed = true;
        ++shared_.counters.errors;
        log_error(archive.path + ": " + status.to_string() + "; what came before was sent");
      } else {
        known.done = status.ok();
      }
    }
    if (cancelled_ && !known.done) {  // the lane goes on delivering: saved once it has
      unfinished_ = archive;
      unfinished_account_ = account;
      return;
    }
    save(archive, account, known.done);
    lane_.close_account(account);
  }

  base::Status read(const Archive& archive, std::size_t account, std::uint64_t from) {
    const OpenFile file(archive.path);
    if (file.fd < 0) return base::unavailable(archive.path + " went away");
    SKALD_TRY_ASSIGN(const auto decoder,
                     ArchiveDecoder::create(shared_.config.decompression.format));
    const model::Labels labels = file_labels(*archive.target, archive.path);
    std::uint64_t number = 0;
    base::Status pushed;
    Lines lines([&](std::string_view line) {
      if (number++ < from) return true;
      pushed = push(archive, account, labels, line);
      return pushed.ok();
    });
    std::string bytes(kArchivePieceBytes, '\0');
    for (;;) {
      const ssize_t n = ::read(file.fd, bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return base::from_errno(errno, archive.path);
      if (n == 0) break;
      const base::Status status =
          decoder->feed({bytes.data(), static_cast<std::size_t>(n)},
                        [&](std::string_view piece) { return lines.add(piece); });
      if (!pushed.ok()) return pushed;
      SKALD_TRY(status);
    }
    if (!decoder->at_end()) return base::unavailable("the archive is not complete");
    lines.finish();
    return pushed;
  }

  base::Status push(const Archive& archive, std::size_t account, const model::Labels& labels,
                    std::string_view line) {
    auto ticket = lane_.push(account, labels, {line, base::Clock::system().wall_ns(), {}},
                             kForeverNs, &cancelled_);
    if (!ticket.ok()) return std::move(ticket).status();
    ++shared_.counters.entries;
    const std::int64_t now_ns = base::Clock::system().monotonic_ns();
    if (now_ns >= next_save_ns_) {
      next_save_ns_ = now_ns + kCursorPeriodNs;
      save(archive, account, false);
    }
    last_ticket_ = *ticket;
    return {};
  }

  // Until all of it is delivered.
  base::Status wait(std::size_t account) {
    while (lane_.delivered_to(account) < last_ticket_) {
      if (cancelled_ || lane_.is_stopping()) return base::cancelled("stopping");
      if (lane_.is_rewound(account)) return base::conflict("the store has less");
      std::this_thread::sleep_for(std::chrono::nanoseconds(kPushWaitNs));
    }
    return {};
  }

  void save(const Archive& archive, std::size_t account, bool done) {
    const std::string lines = std::to_string(lane_.delivered_to(account));
    Cursors::Pairs pairs = {{key(archive), lines + std::string(done ? kDone : "")}};
    if (prefix_ == kFirstPrefix) pairs.emplace_back(archive.path, lines);  // as Promtail has it
    shared_.cursors.set_cursors(pairs);
  }

  Shared& shared_;
  Lane& lane_;
  const std::string prefix_;
  const std::unique_ptr<TargetDiscovery> discovery_;
  std::map<std::string, Known> known_;
  bool is_first_start_ = false;
  std::uint64_t last_ticket_ = 0;
  std::optional<Archive> unfinished_;
  std::size_t unfinished_account_ = 0;
  std::int64_t next_save_ns_ = 0;
  std::atomic<bool> cancelled_{false};
  std::thread thread_;  // last: it uses all of the above
};

class ArchiveReader final : public Receiver {
 public:
  ArchiveReader(const ScrapeConfig& config, std::size_t job, Cursors& cursors,
                std::int64_t sync_period_ns)
      : shared_{config, job, cursors, sync_period_ns, {}} {}

  base::Status start(const std::vector<std::unique_ptr<Lane>>& lanes) {
    SKALD_TRY(ArchiveDecoder::create(shared_.config.decompression.format));
    for (const auto& lane : lanes) {
      SKALD_TRY_ASSIGN(auto discovery, TargetDiscovery::create(shared_.config.target,
                                                               TargetDiscovery::Host::local(),
                                                               parse_target_groups));
      readers_.push_back(std::make_unique<LaneArchives>(
          shared_, *lane,
          readers_.empty() ? std::string(kFirstPrefix) : "cursor-" + lane->client_name() + "@",
          std::move(discovery)));
    }
    return {};
  }

  void stop() override {
    for (const auto& reader : readers_) reader->stop();
  }
  ReceiverSnapshot snapshot() const override {
    return {"decompression",
            shared_.config.job_name(),
            "archives",
            shared_.counters.entries,
            shared_.counters.errors,
            0,
            0};
  }

 private:
  Shared shared_;
  std::vector<std::unique_ptr<LaneArchives>> readers_;
};

}  // namespace

base::Result<std::unique_ptr<Receiver>> start_archive_reader(
    const ScrapeConfig& config, std::size_t job, const std::vector<std::unique_ptr<Lane>>& lanes,
    Cursors& cursors, std::int64_t sync_period_ns) {
  auto reader = std::make_unique<ArchiveReader>(config, job, cursors, sync_period_ns);
  SKALD_TRY(reader->start(lanes));
  return std::unique_ptr<Receiver>(std::move(reader));
}

}  // namespace skald::agent
