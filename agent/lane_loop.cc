// The lane's rounds: when to look at files, read, flush and save.

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <limits>

#include "agent/glob_pattern.h"
#include "agent/lane.h"
#include "agent/limits.h"
#include "agent/log.h"

namespace skald::agent {
namespace {
constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();
}

// True: the targets are others now.
bool Lane::sync_targets() {
  bool changed = targets_.empty();
  std::vector<LaneTarget> targets;
  std::vector<std::shared_ptr<const PathPattern>> patterns;
  for (std::size_t i = 0; i < jobs_.size(); ++i) {
    const TargetList& list = jobs_[i].discovery->poll();
    changed = changed || jobs_[i].discovery->changed();
    jobs_[i].dropped = list.dropped;
    for (const std::string& warning : list.warnings) log_warn(warning);
    if (!jobs_[i].config->tails_files()) continue;
    for (const Target& target : list.targets) {
      auto pattern = GlobPattern::create(target.path, target.path_exclude);
      if (!pattern.ok()) {
        log_error(target.job_name + ": " + pattern.status().to_string());
        continue;
      }
      patterns.push_back(std::move(pattern).value());
      targets.push_back({i, target});
    }
  }
  if (!changed) return false;
  targets_ = std::move(targets);
  files_->set_targets(std::move(patterns));
  return true;
}

void Lane::find_files() {
  const std::int64_t now = clock_.monotonic_ns();
  if (now >= next_sync_ns_) {
    const bool changed = sync_targets();
    if (changed || !files_->is_quiet() || now >= next_full_scan_ns_) {
      files_->scan();
      next_full_scan_ns_ = now + kQuietScanNs;
    }
    next_sync_ns_ = now + std::max(config_.target_config.sync_period_ns, kSyncPeriodMinNs);
    next_scan_ns_ = now + kWantedScanNs;
  } else if (files_->wants_scan() && now >= next_scan_ns_) {
    files_->scan();
    next_scan_ns_ = now + kWantedScanNs;
  }
  files_->take_events();
  if (files_->needs_polling() && now >= next_poll_ns_) {
    files_->poll_unwatched();
    next_poll_ns_ = now + std::max(poll_period_ns_, kPollPeriodMinNs);
  }
}

void Lane::read_files(std::int64_t until_ns) {
  if (blocked_until_ns_ != 0) {
    if (clock_.monotonic_ns() < blocked_until_ns_) return;
    blocked_until_ns_ = 0;
  }
  while (files_->has_work() && !stop_reading_) {
    line_time_ns_ = std::max(clock_.wall_ns(), line_time_ns_);
    line_monotonic_ns_ = clock_.monotonic_ns();
    if (line_monotonic_ns_ >= until_ns) return;
    if (!files_->read_turn()) return;
  }
}

void Lane::flush_pipelines(bool all) {
  const std::int64_t now = clock_.wall_ns();
  for (Job& job : jobs_) {
    if (all)
      job.pipeline->flush_all(now, *this);
    else if (job.pipeline->next_flush_ns() <= now)
      job.pipeline->flush(now, *this);
  }
  seal_check(batcher_->seal_full());
}

ClientPositions Lane::positions() {
  ClientPositions out;
  out.client = client_.name;
  out.tenants = batcher_->tenants();
  for (const std::string& tenant : positions_.tenants)
    if (std::find(out.tenants.begin(), out.tenants.end(), tenant) == out.tenants.end())
      out.tenants.push_back(tenant);
  const std::int64_t now = clock_.wall_ns();
  files_->for_each([&](Source& source) {
    FileData& data = static_cast<FileData&>(*source.data);
    refresh(data.progress);
    FilePosition file;
    // As long as its earlier lives were not looked for, it is as it was at first sight.
    if (!source.bare) file.id = source.id;
    file.key = source.key;
    file.offset = data.progress.settled_to();
    file.seen_ns = source.bare ? source.successor_ns : now;
    file.path = source.path;
    if (file.offset == source.offset) {
      file.tail = source.tail_print();
    } else if (source.fd >= 0 && file.offset > 0) {
      char bytes[kTailBytes];
      const auto size = std::min<std::uint64_t>(file.offset, kTailBytes);
      if (::pread(source.fd, bytes, size, static_cast<off_t>(file.offset - size)) ==
          static_cast<ssize_t>(size))
        file.tail = {file.offset, static_cast<std::uint32_t>(size), print_hash({bytes, size})};
    }
    out.files.push_back(std::move(file));
  });
  std::vector<KnownFile> gone = files_->unclaimed();
  std::erase_if(gone, [now](const KnownFile& known) {
    return known.imported || known.path.empty() || now - known.seen_ns > kForgetFilesNs;
  });
  if (gone.size() > kGoneFilesMax) {
    std::nth_element(gone.begin(), gone.begin() + kGoneFilesMax, gone.end(),
                     [](const KnownFile& a, const KnownFile& b) { return a.seen_ns > b.seen_ns; });
    gone.resize(kGoneFilesMax);
  }
  for (const KnownFile& known : gone) {
    out.files.push_back({known.id, known.key, known.offset, known.tail, known.seen_ns, known.path});
  }
  std::sort(out.files.begin(), out.files.end(), [](const FilePosition& a, const FilePosition& b) {
    return a.path != b.path ? a.path < b.path : a.id.birth < b.id.birth;
  });
  return out;
}

void Lane::save_positions() {
  if (!options_.save || !found_) return;
  const base::Status saved = options_.save(positions());
  positions_dirty_ = !saved.ok();
  if (!saved.ok()) log_error("positions: " + saved.to_string());
  next_save_ns_ =
      clock_.monotonic_ns() + std::max(config_.positions.sync_period_ns, kSyncPeriodMinNs);
}

std::int64_t Lane::next_due_ns(std::int64_t now) const {
  std::int64_t due = next_sync_ns_;
  if (files_->wants_scan()) due = std::min(due, next_scan_ns_);
  if (files_->needs_polling()) due = std::min(due, next_poll_ns_);
  if (blocked_until_ns_ != 0) due = std::min(due, blocked_until_ns_);
  due = std::min(due, batcher_->next_due_ns());
  if (positions_dirty_) due = std::min(due, next_save_ns_);
  const std::int64_t wall = clock_.wall_ns();
  for (const Job& job : jobs_) {
    const std::int64_t flush = job.pipeline->next_flush_ns();
    if (flush != kNever) due = std::min(due, now + std::max<std::int64_t>(0, flush - wall));
  }
  return due;
}

std::int64_t Lane::step() {
  const std::lock_guard lock(mutex_);
  take_sender_events();
  // Files are found and held open even while the server is away: they may rotate meanwhile. They
  // are read once it has said what it has of them.
  find_files();
  found_ = true;
  // Which files there are is saved at once: one that rotates while we are dead is looked for only
  // if we are known to have met it.
  std::int64_t now = clock_.monotonic_ns();
  if (positions_dirty_ && now >= next_save_ns_) save_positions();
  if (!ready_) return std::max<std::int64_t>(0, next_due_ns(now) - now);
  read_files(clock_.monotonic_ns() + kReadRoundNs);
  flush_pipelines(false);
  now = clock_.monotonic_ns();
  // While the client's queue is full, open batches wait too: they are bounded.
  if (!stop_reading_) seal_check(batcher_->seal_due(now));
  if (positions_dirty_ && now >= next_save_ns_) save_positions();
  if (now >= next_collect_ns_) {
    if (sets_.collect() > 0) batcher_->forget_label_sets();
    next_collect_ns_ = now + kCollectPeriodNs;
  }
  now = clock_.monotonic_ns();
  if (files_->has_work() && !stop_reading_ && blocked_until_ns_ == 0) return 0;
  return std::max<std::int64_t>(0, next_due_ns(now) - now);
}

void Lane::wait(std::int64_t wait_ns) {
  if (wait_ns == 0) return;
  const std::int64_t wait_ms =
      std::min<std::int64_t>(wait_ns / base::kNsPerMs + (wait_ns % base::kNsPerMs != 0), 60'000);
  pollfd fds[2] = {{wake_fd_, POLLIN, 0}, {files_->descriptor(), POLLIN, 0}};
  // While reading is paused the files' events can wait: they are hints, and the queue overflows
  // into a scan at worst.
  const int n = ::poll(fds, 2, static_cast<int>(wait_ms));
  if (n <= 0) return;
  if (fds[0].revents != 0) {
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t size = ::read(wake_fd_, &count, sizeof count);
  }
  // A busy writer makes an event per line; a short nap collects them into one round.
  if (fds[1].revents != 0 && !stopping_)
    ::usleep(static_cast<useconds_t>(kEventNapNs / base::kNsPerUs));
}

void Lane::run() {
  while (!stopping_) wait(step());
}

void Lane::start() {
  sender_thread_ = std::thread([this] { sender_->run(); });
  thread_ = std::thread([this] { run(); });
}

void Lane::stop(std::int64_t drain_ns) {
  stopping_ = true;
  wake();
  if (thread_.joinable()) thread_.join();
  if (sender_thread_.joinable()) {
    const std::int64_t deadline_ns = clock_.monotonic_ns() + drain_ns;
    {
      const std::lock_guard lock(mutex_);
      if (ready_ && drain_ns > 0) {
        // What was written until now goes along, if the server takes it.
        take_sender_events();
        files_->take_events();
        files_->flush_partials(kShutdownPartialNs);
        read_files(deadline_ns - drain_ns / 2);
        flush_pipelines(true);
        seal_check(batcher_->seal_all());
      }
    }
    while (!sender_->idle() && clock_.monotonic_ns() < deadline_ns)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    sender_->stop();
    sender_thread_.join();
    const std::lock_guard lock(mutex_);
    take_sender_events();
    save_positions();
  }
}

bool Lane::has_tailed() const {
  const std::lock_guard lock(mutex_);
  return files_->size() > 0;
}

LaneSnapshot Lane::snapshot() {
  const std::lock_guard lock(mutex_);
  LaneSnapshot out;
  out.client = client_.name;
  out.ready = ready_;
  out.is_skald = is_skald_;
  files_->for_each([&](Source& source) {
    FileData& data = static_cast<FileData&>(*source.data);
    refresh(data.progress);
    out.files.push_back({jobs_[data.job].config->job_name(), source.path, data.labels->labels(),
                         source.offset, source.size, data.lines, data.progress.settled_to(),
                         source.rotated});
  });
  for (Job& job : jobs_) {
    JobSnapshot snapshot;
    snapshot.job = job.config->job_name();
    for (const LaneTarget& target : targets_)
      if (&jobs_[target.job] == &job) snapshot.targets.push_back(target.target);
    snapshot.dropped = job.dropped;
    out.jobs.push_back(std::move(snapshot));
  }
  out.sender = sender_->counters();
  out.lost_bytes = lost_bytes_;
  out.dropped = dropped_;
  out.mutated = mutated_;
  out.entries = batcher_->entries_total();
  out.lines_cut = files_->reader().lines_cut_total();
  out.read_bytes = files_->reader().bytes_total();
  out.spill_bytes = files_->spilled().bytes();
  stage_metrics_.render(out.stage_metrics, clock_.wall_ns());
  policy_.render_metrics(out.stage_metrics);
  return out;
}

}  // namespace skald::agent
