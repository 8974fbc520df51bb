#include "agent/lane.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <thread>
#include <unordered_map>

#include "agent/glob_pattern.h"
#include "agent/limits.h"
#include "agent/log.h"
#include "proto/base/fs.h"

namespace skald::agent {

Lane::Lane(const AgentConfig& config, const ClientConfig& client, LaneOptions options,
           std::unique_ptr<net::HttpTransport> transport, std::unique_ptr<FileWatcher> watcher,
           const base::Clock& clock)
    : config_(config),
      client_(client),
      options_(std::move(options)),
      clock_(clock),
      wake_fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      policy_(config.skald.label_policy, [](const std::string& message) { log_warn(message); }) {
  SenderOptions sender = sender_options(client, options_.agent_id);
  sender.random_seed = std::hash<std::string>()(options_.agent_id);
  sender_ = std::make_unique<Sender>(
      std::move(sender), std::move(transport), clock_, [this] { wake(); },
      [](bool is_error, const std::string& message) {
        write_log(is_error ? LogLevel::kError : LogLevel::kInfo, message);
      });
  BatcherOptions batching;
  batching.batch_bytes = client.batchsize;
  batching.batch_wait_ns = client.batchwait_ns;
  batching.streams_max = static_cast<std::size_t>(std::max(0, config.limits_config.max_streams));
  batching.tenant = client.tenant_id;
  batching.external_labels = client.external_labels;
  batching.agent_id = options_.agent_id;
  batcher_ = std::make_unique<Batcher>(
      std::move(batching), [this](SourceProgress& progress) { refresh(progress); },
      [this](SealedBatch batch) {
        sender_->enqueue(std::move(batch));
        update_room();
      });
  batcher_->set_may_seal([this](const std::string& tenant) { return !is_full(tenant); });
  FileSetOptions tailing;
  if (config.skald.line_bytes_max != 0) tailing.line_bytes_max = config.skald.line_bytes_max;
  tailing.rotated_grace_ns = options_.rotated_grace_ns;
  tailing.partial_flush_ns = options_.partial_flush_ns;
  if (!config.skald.spill_dir.empty() && options_.save) {
    tailing.spill_dir = config.skald.spill_dir + "/" + client.name;
    tailing.spill_bytes_max = config.skald.spill_bytes_max;
    const base::Status made = base::FileSystem::posix().make_directories(tailing.spill_dir);
    if (!made.ok()) log_error("skald.spill_dir: " + made.to_string());
  }
  files_ = std::make_unique<FileSet>(tailing, clock_, std::move(watcher), *this);
  poll_period_ns_ = config.file_watch.min_poll_ns;
  rate_tokens_ = config.limits_config.readline_burst;
}

Lane::~Lane() {
  stop(0);
  ::close(wake_fd_);
}

base::Result<std::unique_ptr<Lane>> Lane::create(const AgentConfig& config,
                                                 const ClientConfig& client, LaneOptions options,
                                                 std::unique_ptr<net::HttpTransport> transport,
                                                 std::unique_ptr<FileWatcher> watcher,
                                                 const base::Clock& clock) {
  std::unique_ptr<Lane> lane(new Lane(config, client, std::move(options), std::move(transport),
                                      std::move(watcher), clock));
  SKALD_TRY(lane->build_jobs());
  return lane;
}

base::Status Lane::build_jobs() {
  for (const ScrapeConfig& scrape : config_.scrape_configs) {
    Job job;
    job.config = &scrape;
    Pipeline::Environment environment;
    environment.sets = &sets_;
    environment.metrics = &stage_metrics_;
    environment.policy = &policy_;
    environment.warn = [](const std::string& message) { log_warn(message); };
    SKALD_TRY_ASSIGN(job.pipeline,
                     Pipeline::build(scrape.pipeline_stages, scrape.job_name(), environment));
    if (options_.inspector != nullptr) job.pipeline->set_inspector(options_.inspector);
    SKALD_TRY_ASSIGN(job.discovery,
                     TargetDiscovery::create(scrape.target, TargetDiscovery::Host::local(),
                                             parse_target_groups));
    multi_tenant_ = multi_tenant_ || sets_tenant(scrape.pipeline_stages);
    multi_tenant_ = multi_tenant_ || scrape.push_api.has_value();  // X-Scope-OrgID
    for (const RelabelConfig& rule : scrape.target.relabel_configs)
      multi_tenant_ = multi_tenant_ || rule.target_label == kTenantLabel;
    for (const TargetGroup& group : scrape.target.static_configs)
      multi_tenant_ = multi_tenant_ || group.labels.has(kTenantLabel);
    jobs_.push_back(std::move(job));
  }
  return {};
}

void Lane::begin(ClientPositions positions, std::vector<PromtailPosition> imported) {
  positions_ = std::move(positions);
  imported_ = std::move(imported);
  std::vector<std::string> tenants = positions_.tenants;
  if (std::find(tenants.begin(), tenants.end(), client_.tenant_id) == tenants.end())
    tenants.insert(tenants.begin(), client_.tenant_id);
  std::vector<KnownFile> known;
  for (const FilePosition& file : positions_.files)
    known.push_back({file.id, file.key, file.offset, file.tail, file.path, file.seen_ns, false});
  for (const PromtailPosition& position : imported_) {
    KnownFile entry;
    entry.path = position.path;
    entry.imported = true;
    entry.offset = std::strtoull(position.value.c_str(), nullptr, 10);
    known.push_back(std::move(entry));
  }
  files_->set_known(std::move(known));
  sender_->start(std::move(tenants), multi_tenant_);
}

void Lane::wake() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = ::write(wake_fd_, &one, sizeof one);
}

template <typename Fn>
void Lane::for_each_progress(Fn&& fn) {
  files_->for_each([&](Source& source) { fn(static_cast<FileData&>(*source.data).progress); });
  for (const auto& account : accounts_)
    if (account != nullptr) fn(account->data.progress);
}

// --- what the sender says ------------------------------------------------------------------

void Lane::take_sender_events() {
  for (const SenderEvent& event : sender_->take_events()) {
    switch (event.kind) {
      case SenderEvent::Kind::kReady: on_ready(event); break;
      case SenderEvent::Kind::kConflict: on_conflict(event); break;
      case SenderEvent::Kind::kAcknowledged:
      case SenderEvent::Kind::kDropped:
        for_each_progress(
            [&](SourceProgress& progress) { batcher_->acknowledged(progress, event.numbers[0]); });
        positions_dirty_ = true;
        break;
    }
  }
  update_room();
}

void Lane::update_room() {
  stop_reading_ = !sender_->has_room();
  std::vector<std::string> full = sender_->full_tenants();
  if (full == full_tenants_) return;
  const bool any_freed =
      std::any_of(full_tenants_.begin(), full_tenants_.end(), [&](const std::string& tenant) {
        return std::find(full.begin(), full.end(), tenant) == full.end();
      });
  full_tenants_ = std::move(full);
  if (!any_freed) return;
  files_->resume_all();  // what is still for a full one is held back again after a line
  for (const auto& account : accounts_)
    if (account != nullptr) account->held_back = false;
}

void Lane::on_ready(const SenderEvent& event) {
  if (ready_) {  // the Skald became a Loki: make its batches anew
    is_skald_ = false;
    for (const std::string& tenant : batcher_->tenants())
      read_again(tenant, event.numbers, nullptr);
    batcher_->set_protocol(false);
    return;
  }
  ready_ = true;
  is_skald_ = event.is_skald;
  batcher_->set_protocol(is_skald_);
  for (const auto& [tenant, marks] : event.marks)
    for (const StoredMark& mark : marks) stored_[mark.file_id][tenant] = mark.end;
  if (!is_skald_) return;
  std::unordered_map<std::string, const FilePosition*> by_id;
  for (const FilePosition& file : positions_.files) by_id.emplace(file.id.to_string(), &file);
  std::vector<KnownFile> known;
  for (const auto& [text, tenants] : stored_) {
    const auto id = FileId::parse(text);
    if (!id) continue;
    KnownFile entry;
    entry.id = *id;
    entry.key = id->key;
    if (const auto it = by_id.find(text); it != by_id.end()) {
      const FilePosition& position = *it->second;
      entry.key = position.key;
      entry.path = position.path;
      entry.offset = position.offset;
      entry.seen_ns = position.seen_ns;
    }
    // With several tenants the positions alone say where all of them have everything; what one of
    // them has beyond that is left out line by line.
    if (!multi_tenant_) {
      entry.offset = kNoOffset;
      for (const auto& [tenant, end] : tenants) entry.offset = std::min(entry.offset, end);
    }
    known.push_back(std::move(entry));
  }
  files_->learn(std::move(known));
}

// The store has other offsets than we sent: the tenant's batches were given up; its files are read
// again from where the store has them.
void Lane::on_conflict(const SenderEvent& event) {
  std::map<std::string, std::uint64_t> stored;
  for (const StoredMark& mark : event.marks.at(event.tenant)) stored[mark.file_id] = mark.end;
  read_again(event.tenant, event.numbers, &stored);
}

// `stored`: the store's marks by file id; null: it keeps none.
void Lane::read_again(const std::string& tenant, const std::vector<std::uint64_t>& given_up,
                      const std::map<std::string, std::uint64_t>* stored) {
  discarding_ = true;
  std::vector<std::pair<Source*, std::uint64_t>> affected;
  files_->for_each([&](Source& source) {
    SourceProgress& progress = static_cast<FileData&>(*source.data).progress;
    std::uint64_t from = batcher_->open_from(progress, tenant);
    for (const SourceProgress::Pending& pending : progress.pending)
      if (std::find(given_up.begin(), given_up.end(), pending.batch) != given_up.end())
        from = std::min(from, pending.start);
    if (from != kNoOffset) affected.emplace_back(&source, from);
  });
  rewind_accounts(tenant, given_up, stored);
  for (auto& [source, from] : affected) {
    FileData& data = static_cast<FileData&>(*source->data);
    for (const std::uint64_t number : given_up) batcher_->acknowledged(data.progress, number);
    // Held lines are read again too.
    jobs_[data.job].pipeline->flush_source(source->number, clock_.wall_ns(), *this);
    std::uint64_t mark = kNoOffset;
    if (stored != nullptr)
      if (const auto it = stored->find(data.progress.file_id); it != stored->end())
        mark = it->second;
    batcher_->rewind(data.progress, tenant, mark);
    const std::uint64_t target = mark == kNoOffset ? from : mark;
    if (target >= data.progress.processed_to) continue;
    data.progress.processed_to = target;
    data.progress.first_offset = std::min(data.progress.first_offset, target);
    files_->rewind(*source, target);
  }
  discarding_ = false;
}

// --- what the files say --------------------------------------------------------------------

Lane::FileData* Lane::data_of(std::uint64_t number) {
  if (number == current_number_ && current_ != nullptr) return current_;
  if (number >= kPushedSources) {
    const auto& account = accounts_[number - kPushedSources];
    return account == nullptr ? nullptr : &account->data;
  }
  Source* const source = files_->find(number);
  if (source == nullptr || source->data == nullptr) return nullptr;
  current_number_ = number;
  current_ = static_cast<FileData*>(source->data.get());
  return current_;
}

void Lane::on_source_start(Source& source, const KnownFile* known) {
  auto data = std::make_unique<FileData>();
  const LaneTarget& target = targets_[source.target];
  data->job = target.job;
  data->labels = LabelSetRef(sets_.intern(file_labels(target.target, source.path)));
  data->progress.source = source.number;
  source.encoding = jobs_[data->job].config->encoding;
  log_info("tailing " + source.at +
           (known == nullptr ? "" : " from byte " + std::to_string(source.offset)));
  source.data = std::move(data);
  on_source_moved(source);
  current_ = nullptr;
  positions_dirty_ = true;
  next_save_ns_ = 0;
  if (options_.on_change) options_.on_change();
}

void Lane::on_source_moved(Source& source) {
  SourceProgress& progress = static_cast<FileData&>(*source.data).progress;
  progress.first_offset = progress.processed_to = source.offset;
  progress.stored.clear();
  if (source.id.head_size == 0) return;
  if (const auto it = stored_.find(source.id.to_string()); it != stored_.end())
    progress.stored.assign(it->second.begin(), it->second.end());
}

bool Lane::on_line(Source& source, std::string_view line, std::uint64_t start, std::uint64_t end) {
  FileData& data = static_cast<FileData&>(*source.data);
  if (data.progress.file_id.empty()) [[unlikely]] {
    data.progress.file_id = source.id.to_string();
    // From here on its bytes name it, wherever it is copied to: that must be known after a crash.
    positions_dirty_ = true;
    next_save_ns_ = 0;
  }
  current_ = &data;
  current_number_ = source.number;
  if (source.encoding != TextEncoding::kUtf8) [[unlikely]] {
    decoded_.clear();
    append_decoded(source.encoding, line, decoded_);
    line = decoded_;
  }
  if (config_.skald.strip_cr && line.ends_with('\r')) line.remove_suffix(1);
  ++data.lines;
  if (!(config_.skald.skip_empty_lines && line.empty())) {
    LineIn in;
    in.line = line;
    // Each line its own nanosecond: equal lines must stay two entries, and in order.
    in.read_ns = ++line_time_ns_;
    in.labels = data.labels.get();
    in.range = {source.number, start, end};
    line_is_for_full_ = false;
    jobs_[data.job].pipeline->process(in, *this);
  }
  data.progress.processed_to = end;
  seal_check(batcher_->seal_full());
  if (std::exchange(line_is_for_full_, false)) [[unlikely]] {
    source.held_back = true;
    return false;
  }
  if (const std::int64_t blocked = jobs_[data.job].pipeline->blocked_until_ns(); blocked != 0)
      [[unlikely]] {
    if (blocked > line_time_ns_) {
      blocked_until_ns_ = line_monotonic_ns_ + (blocked - line_time_ns_);
      return false;
    }
  }
  return !stop_reading_ && blocked_until_ns_ == 0;
}

void Lane::on_skipped(Source& source, std::uint64_t start, std::uint64_t end) {
  static_cast<FileData&>(*source.data).progress.processed_to = end;
  auto& cut = mutated_["line_too_long"];
  cut.second += end - start;
}

void Lane::on_source_quiet(Source& source) {
  const FileData& data = static_cast<FileData&>(*source.data);
  Pipeline& pipeline = *jobs_[data.job].pipeline;
  if (pipeline.held_bytes() == 0) return;
  pipeline.flush_source(source.number, clock_.wall_ns(), *this);
  seal_check(batcher_->seal_full());
}

void Lane::on_source_end(Source& source) {
  batcher_->forget(static_cast<FileData&>(*source.data).progress);
  current_ = nullptr;
  positions_dirty_ = true;
}

bool Lane::is_settled(const Source& source) const {
  const FileData& data = static_cast<const FileData&>(*source.data);
  return !jobs_[data.job].pipeline->held_from(source.number).has_value() &&
         data.progress.is_settled();
}

void Lane::on_lost(const Source& source, std::uint64_t bytes, std::string_view why) {
  lost_bytes_[std::string(why)] += bytes;
  log_error(source.path + ": " + std::to_string(bytes) + " bytes " + std::string(why));
}

void Lane::on_warning(const std::string& message) { log_warn(message); }

// --- what the pipelines say ----------------------------------------------------------------

// False: the line is dropped.
bool Lane::limit_line(std::string_view& line, const EntryOut& entry) {
  const LimitsConfig& limits = config_.limits_config;
  if (limits.max_line_size == 0 || line.size() <= limits.max_line_size) return true;
  auto& counter = (limits.max_line_size_truncate ? mutated_ : dropped_)["line_too_long"];
  ++counter.first;
  counter.second += limits.max_line_size_truncate ? line.size() - limits.max_line_size
                                                  : OpenBatch::counted_bytes(line, entry.metadata);
  if (!limits.max_line_size_truncate) return false;
  line = line.substr(0, utf8_boundary(line, limits.max_line_size));
  return true;
}

// Promtail's process-wide token bucket, after the pipeline. False: drop the line.
bool Lane::take_rate_token() {
  const LimitsConfig& limits = config_.limits_config;
  if (!limits.readline_rate_enabled) return true;
  const std::int64_t now = clock_.monotonic_ns();
  if (rate_filled_ns_ == 0) rate_filled_ns_ = now;
  rate_tokens_ = std::min<double>(
      limits.readline_burst,
      rate_tokens_ + limits.readline_rate * static_cast<double>(now - rate_filled_ns_) / 1e9);
  rate_filled_ns_ = now;
  rate_tokens_ -= 1;
  if (rate_tokens_ >= 0) return true;
  if (limits.readline_rate_drop) {
    rate_tokens_ = std::max(rate_tokens_, 0.0);
    auto& counter = dropped_["global_rate_limiter_drop"];
    ++counter.first;
    return false;
  }
  // This line passes on credit; reading pauses until it is paid.
  const double wait_s = -rate_tokens_ / std::max(limits.readline_rate, 1e-9);
  blocked_until_ns_ = now + static_cast<std::int64_t>(wait_s * 1e9);
  return true;
}

void Lane::on_entry(const EntryOut& entry) {
  if (discarding_) return;
  FileData* const data = data_of(entry.range.source);
  if (data == nullptr) return;
  std::string_view line = entry.line;
  if (!take_rate_token() || !limit_line(line, entry)) return;
  if (options_.tap) return options_.tap(entry);
  if (!full_tenants_.empty()) [[unlikely]]
    line_is_for_full_ = line_is_for_full_ || (entry.range.source == current_number_ &&
                                              is_full(tenant_of(*entry.labels)));
  batcher_->add(*entry.labels, entry.timestamp_ns, line, entry.metadata, data->progress,
                entry.range.end, line_monotonic_ns_);
}

void Lane::on_dropped(const SourceRange&) {}

void Lane::refresh(SourceProgress& progress) {
  const FileData* const data = data_of(progress.source);
  progress.held_from = kNoOffset;
  if (data == nullptr) return;
  if (const auto held = jobs_[data->job].pipeline->held_from(progress.source))
    progress.held_from = *held;
}

void Lane::seal_check(const base::Status& status) {
  if (!status.ok()) log_error("batch lost: " + status.to_string());
}

}  // namespace skald::agent
