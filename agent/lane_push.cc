// Lines that come from elsewhere than a tailed file.

#include <algorithm>
#include <chrono>
#include <thread>

#include "agent/lane.h"
#include "agent/limits.h"

namespace skald::agent {

std::size_t Lane::open_account(std::size_t job, std::string file_id, std::uint64_t start) {
  const std::lock_guard lock(mutex_);
  // Places of closed accounts are used again once nothing speaks of them any more.
  std::size_t index = 0;
  while (index < accounts_.size() && accounts_[index] != nullptr) ++index;
  if (index == accounts_.size()) accounts_.emplace_back();
  accounts_[index] = std::make_unique<Account>();
  Account& account = *accounts_[index];
  account.data.job = job;
  account.data.progress.source = kPushedSources + index;
  account.data.progress.file_id = std::move(file_id);
  account.data.progress.first_offset = account.data.progress.processed_to = start;
  return index;
}

void Lane::close_account(std::size_t index) {
  const std::lock_guard lock(mutex_);
  Account& account = *accounts_[index];
  batcher_->forget(account.data.progress);
  jobs_[account.data.job].pipeline->flush_source(kPushedSources + index, clock_.wall_ns(), *this);
  batcher_->forget(account.data.progress);
  current_ = nullptr;
  accounts_[index] = nullptr;
}

// False: stopping, cancelled or out of time. The lock is free meanwhile.
bool Lane::wait_for_room(std::unique_lock<std::mutex>& lock, const Account& account,
                         std::int64_t deadline_ns, const std::atomic<bool>* cancel) const {
  const Job& job = jobs_[account.data.job];
  while (!ready_ || stop_reading_ || account.held_back ||
         job.pipeline->blocked_until_ns() > clock_.wall_ns()) {
    if (stopping_ || (cancel != nullptr && *cancel) || clock_.monotonic_ns() >= deadline_ns)
      return false;
    lock.unlock();
    std::this_thread::sleep_for(std::chrono::nanoseconds(kPushWaitNs));
    lock.lock();
  }
  return true;
}

base::Result<std::uint64_t> Lane::push(std::size_t index, const model::Labels& labels,
                                       const PushedLine& line, std::int64_t wait_ns,
                                       const std::atomic<bool>* cancel) {
  std::unique_lock lock(mutex_);
  Account& account = *accounts_[index];
  Job& job = jobs_[account.data.job];
  const std::int64_t now_ns = clock_.monotonic_ns();
  const std::int64_t deadline_ns = wait_ns < kForeverNs - now_ns ? now_ns + wait_ns : kForeverNs;
  if (!wait_for_room(lock, account, deadline_ns, cancel)) {
    if (stopping_ || (cancel != nullptr && *cancel))
      return base::cancelled("the agent is stopping");
    return base::unavailable("the queue of client " + client_.name + " is full");
  }
  if (account.rewound_to) return base::conflict("the store has less");
  SourceProgress& progress = account.data.progress;
  if (!account.begun) {  // the store's marks are known by now
    account.begun = true;
    if (const auto it = stored_.find(progress.file_id); it != stored_.end())
      progress.stored.assign(it->second.begin(), it->second.end());
  }
  line_monotonic_ns_ = clock_.monotonic_ns();
  const LabelSetRef set(sets_.intern(labels));
  LineIn in;
  in.line = line.line;
  in.read_ns = line.timestamp_ns;
  in.labels = set.get();
  in.metadata = line.metadata;
  in.range = {progress.source, progress.processed_to, progress.processed_to + 1};
  current_number_ = progress.source;
  current_ = &account.data;
  line_is_for_full_ = false;
  const bool first = batcher_->next_due_ns() == kForeverNs;
  job.pipeline->process(in, *this);
  account.held_back = std::exchange(line_is_for_full_, false);
  ++account.data.lines;
  ++progress.processed_to;
  seal_check(batcher_->seal_full());
  const std::uint64_t ticket = progress.processed_to;
  lock.unlock();
  if (first) wake();  // there is something to be flushed in time
  return ticket;
}

std::uint64_t Lane::delivered_to(std::size_t index) {
  const std::lock_guard lock(mutex_);
  SourceProgress& progress = accounts_[index]->data.progress;
  refresh(progress);
  return progress.settled_to();
}

std::uint64_t Lane::losses(std::size_t index) {
  const std::lock_guard lock(mutex_);
  return accounts_[index]->losses;
}

bool Lane::is_rewound(std::size_t index) {
  const std::lock_guard lock(mutex_);
  return accounts_[index]->rewound_to.has_value();
}

std::optional<std::uint64_t> Lane::rewound_to(std::size_t index) {
  const std::lock_guard lock(mutex_);
  return std::exchange(accounts_[index]->rewound_to, std::nullopt);
}

// As read_again() for files: who pushed under a file id is told to push again; the other lines
// are gone; their senders, who wait for the answer, are told to send again.
void Lane::rewind_accounts(const std::string& tenant, const std::vector<std::uint64_t>& given_up,
                           const std::map<std::string, std::uint64_t>* stored) {
  std::vector<std::pair<Account*, std::uint64_t>> affected;
  for (const auto& account : accounts_) {
    if (account == nullptr) continue;
    SourceProgress& progress = account->data.progress;
    std::uint64_t from = batcher_->open_from(progress, tenant);
    for (const SourceProgress::Pending& pending : progress.pending)
      if (std::find(given_up.begin(), given_up.end(), pending.batch) != given_up.end())
        from = std::min(from, pending.start);
    affected.emplace_back(account.get(), from);
  }
  batcher_->discard_open(tenant);
  for (const auto& [account, from] : affected) {
    SourceProgress& progress = account->data.progress;
    for (const std::uint64_t number : given_up) batcher_->acknowledged(progress, number);
    std::uint64_t mark = kNoOffset;
    if (stored != nullptr && !progress.file_id.empty())
      if (const auto it = stored->find(progress.file_id); it != stored->end()) mark = it->second;
    if (progress.file_id.empty()) {
      batcher_->rewind(progress, tenant, kNoOffset);
      account->losses += from != kNoOffset;
      continue;
    }
    if (from == kNoOffset) continue;
    jobs_[account->data.job].pipeline->flush_source(progress.source, clock_.wall_ns(), *this);
    batcher_->rewind(progress, tenant, mark);
    const std::uint64_t target = mark == kNoOffset ? from : mark;
    if (target >= progress.processed_to) continue;
    progress.processed_to = target;
    progress.first_offset = std::min(progress.first_offset, target);
    account->rewound_to = target;
  }
}

}  // namespace skald::agent
