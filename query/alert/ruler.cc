#include "query/alert/ruler.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>

#include "query/alert/encode.h"
#include "query/alert/limits.h"
#include "query/alert/ruler_impl.h"

namespace skald::query::alert {
namespace {

std::string path_of(const std::string& url) {
  const auto scheme = url.find("://");
  if (scheme == std::string::npos) return {};
  const auto slash = url.find('/', scheme + 3);
  return slash == std::string::npos ? "" : url.substr(slash);
}

bool same(const RuleGroup& a, const RuleGroup& b) { return group_to_yaml(a) == group_to_yaml(b); }

std::vector<RuleGroup> known_groups(const std::map<std::string, TenantFiles>& known,
                                    const std::string& tenant, const std::string& space) {
  const auto files = known.find(tenant);
  if (files == known.end()) return {};
  const auto file = files->second.find(space);
  return file == files->second.end() ? std::vector<RuleGroup>() : file->second.file.groups;
}

std::string state_path(const RulerOptions& options) { return options.data_dir + "/ruler.state"; }

}  // namespace

Ruler::Impl::Impl(RulerOptions o, RulerDeps d)
    : options(std::move(o)),
      deps(std::move(d)),
      store(*deps.fs, options.rules_dir,
            options.data_dir.empty() ? std::string() : options.data_dir + "/rules"),
      memo(deps.query, deps.queries),
      path_prefix(path_of(options.external_url)) {
  const auto make = [&](const Target& target) {
    net::HttpClientOptions http;
    http.tls = target.tls;
    return deps.transport(http);
  };
  for (const Target& target : options.alertmanagers) {
    DeliveryOptions delivery;
    delivery.target = target;
    delivery.path = "/api/v2/alerts";
    delivery.headers = {{"Content-Type", "application/json"}};
    delivery.queue_max = options.notification_queue_capacity;
    delivery.batch_max = kNotifyBatchMax;
    delivery.give_up_ns = options.resend_delay_ns;  // the alert is told again by then
    delivery.encode = encode_alerts;
    notifiers.push_back(std::make_unique<Delivery>(std::move(delivery), make(target)));
  }
  for (const Target& target : options.remote_write) {
    DeliveryOptions delivery;
    delivery.target = target;
    delivery.headers = {{"Content-Type", "application/x-protobuf"},
                        {"Content-Encoding", "snappy"},
                        {"X-Prometheus-Remote-Write-Version", "0.1.0"},
                        {"User-Agent", "skald"}};
    delivery.tenant_header = options.add_org_id_header;
    delivery.queue_max = kWriteQueueMax;
    delivery.batch_max = kWriteBatchMax;
    delivery.encode = encode_write_request;
    writers.push_back(std::make_unique<Delivery>(std::move(delivery), make(target)));
  }
  if (options.store_recorded && deps.store != nullptr)
    recorder = std::make_unique<Recorder>(*deps.store);
}

// ---- rules -----------------------------------------------------------------------------------

GroupSettings Ruler::Impl::settings_of(const RuleGroup& group) const {
  GroupSettings settings;
  settings.interval_ns = std::max(
      group.interval_ns > 0 ? group.interval_ns : options.evaluation_interval_ns, base::kNsPerMs);
  settings.query_offset_ns = group.query_offset_ns.value_or(options.query_offset_ns);
  settings.resend_delay_ns = options.resend_delay_ns;
  settings.external_url = options.external_url;
  settings.path_prefix = path_prefix;
  settings.external_labels = options.external_labels;
  return settings;
}

base::Status Ruler::Impl::load(bool first) {
  const std::lock_guard serial(load_mutex);
  std::map<std::string, TenantFiles> known;
  {
    const std::lock_guard lock(mutex);
    known = files;
  }
  auto loaded = store.load_all(known);
  std::string message;
  {
    const std::lock_guard lock(mutex);
    for (auto& [tenant, reload] : reloads) {
      reload.errors.clear();
      reload.successful = true;
    }
    for (auto& [tenant, tenant_files] : loaded) {
      TenantReload& reload = reloads[tenant];
      for (auto& [space, file] : tenant_files) {
        for (const RuleError& error : file.file.errors) {
          reload.errors.push_back(file.path + ": " + error.to_string());
          message += (message.empty() ? "" : "; ") + reload.errors.back();
        }
        if (file.file.ok()) continue;
        reload.successful = false;
        // The last good version goes on running; without one nothing of the file does.
        file.file.groups = known_groups(known, tenant, space);
      }
      if (reload.successful)
        reload.last_success_seconds = static_cast<double>(deps.clock->wall_ns()) / 1e9;
    }
  }
  if (message != last_findings && !message.empty()) spdlog::error("rules: {}", message);
  last_findings = message;
  apply(std::move(loaded));
  if (first) read_state();
  return message.empty() ? base::Status() : base::invalid_argument(std::move(message));
}

void Ruler::Impl::apply(std::map<std::string, TenantFiles> loaded) {
  const std::int64_t now = deps.clock->wall_ns();
  std::vector<std::shared_ptr<Group>> removed;
  {
    const std::lock_guard lock(mutex);
    std::map<GroupKey, Entry> next;
    for (auto& [tenant, tenant_files] : loaded) {
      bool changed = false;
      for (auto& [space, file] : tenant_files) {
        for (const RuleGroup& definition : file.file.groups) {
          GroupKey key{tenant, space, definition.name};
          const auto known = groups.find(key);
          if (known != groups.end() && same(known->second.group->definition(), definition)) {
            next.emplace(std::move(key), known->second);
            groups.erase(known);
            continue;
          }
          changed = true;
          auto group = std::make_shared<Group>(key, definition, settings_of(definition));
          if (known != groups.end()) {
            group->inherit(*known->second.group);
            groups.erase(known);
          }
          next.emplace(std::move(key), Entry{group, group->next_slot(now), false});
        }
      }
      if (changed) ++reloads[tenant].updates;
    }
    for (auto& [key, entry] : groups) removed.push_back(entry.group);
    groups = std::move(next);
    files = std::move(loaded);
  }
  for (const auto& group : removed) retire(*group);
  wake.notify_all();
}

void Ruler::Impl::retire(Group& group) {
  GroupOutput out;
  out.samples = group.end_series(deps.clock->wall_ns());
  deliver(group, std::move(out));
}

std::map<std::string, std::vector<RuleGroup>> Ruler::Impl::groups_of(
    const std::string& tenant) const {
  const std::lock_guard lock(mutex);
  std::map<std::string, std::vector<RuleGroup>> out;
  const auto at = files.find(tenant);
  if (at == files.end()) return out;
  for (const auto& [space, file] : at->second)
    if (!file.file.groups.empty()) out[space] = file.file.groups;
  return out;
}

// ---- state -----------------------------------------------------------------------------------

void Ruler::Impl::read_state() {
  if (options.data_dir.empty()) return;
  auto bytes = deps.fs->read_file(state_path(options), kStateFileMax);
  if (!bytes.ok()) {
    if (bytes.status().code() != base::Code::kNotFound)
      spdlog::error("ruler state: {}", bytes.status().message());
    return;
  }
  auto state = decode_state(*bytes);
  if (!state.ok()) {
    ++state_failures;
    spdlog::error("{}; set aside as ruler.state.damaged, pending alerts start over",
                  state.status().message());
    const base::Status moved =
        deps.fs->rename(state_path(options), state_path(options) + ".damaged");
    if (!moved.ok()) spdlog::error("ruler state: {}", moved.message());
    return;
  }
  const std::int64_t now = deps.clock->wall_ns();
  if (now - state->saved_at_ns > options.for_outage_tolerance_ns) {
    spdlog::warn("ruler state is older than for_outage_tolerance: alerts start over");
    return;
  }
  const std::lock_guard lock(mutex);
  for (auto& [key, entry] : groups)
    entry.group->restore(state->alerts, state->saved_at_ns, now, options.for_grace_period_ns);
}

base::Status Ruler::Impl::write_state() {
  if (options.data_dir.empty()) return {};
  SavedState state;
  state.saved_at_ns = deps.clock->wall_ns();
  std::vector<std::shared_ptr<Group>> all;
  {
    const std::lock_guard lock(mutex);
    for (const auto& [key, entry] : groups) all.push_back(entry.group);
  }
  for (const auto& group : all) group->save(state.alerts);
  base::Status status =
      base::write_file_atomically(*deps.fs, state_path(options), encode_state(state));
  if (!status.ok()) {
    ++state_failures;
    spdlog::error("ruler state: {}", status.message());
  }
  return status;
}

// ---- evaluation ------------------------------------------------------------------------------

std::shared_ptr<Group> Ruler::Impl::take_due(std::int64_t now_ns, std::int64_t& slot_ns,
                                             std::int64_t& next) {
  next = now_ns + base::kNsPerSecond;
  Entry* earliest = nullptr;
  for (auto& [key, entry] : groups)
    if (!entry.running && (earliest == nullptr || entry.slot_ns < earliest->slot_ns))
      earliest = &entry;
  if (earliest == nullptr) return nullptr;
  if (earliest->slot_ns > now_ns) {
    next = earliest->slot_ns;
    return nullptr;
  }
  // Slots that have passed whole were missed; the newest one is evaluated.
  const std::int64_t interval = earliest->group->settings().interval_ns;
  const std::int64_t missed = (now_ns - earliest->slot_ns) / interval;
  if (missed > 0) earliest->group->count_missed(static_cast<std::uint64_t>(missed));
  slot_ns = earliest->slot_ns + missed * interval;
  earliest->running = true;
  return earliest->group;
}

void Ruler::Impl::prepare(const Group& group, std::int64_t slot_ns) {
  const std::string& tenant = group.key().tenant;
  const std::int64_t at = group.asks_at(slot_ns);
  std::vector<std::string> exprs;
  const auto add = [&exprs](const Group& from) {
    for (const Rule& rule : from.definition().rules)
      if (exprs.size() < kPreparedMax) exprs.push_back(rule.expr);
  };
  add(group);
  if (exprs.empty() || memo.knows(tenant, exprs.front(), at)) return;
  {
    const std::lock_guard lock(mutex);
    for (const auto& [key, entry] : groups)
      if (entry.slot_ns == slot_ns && entry.group.get() != &group &&
          entry.group->looks_where(group) && entry.group->asks_at(slot_ns) == at)
        add(*entry.group);
  }
  memo.prepare(tenant, exprs, at);
}

void Ruler::Impl::run(const std::shared_ptr<Group>& group, std::int64_t slot_ns) {
  const std::int64_t late_ns = std::max<std::int64_t>(deps.clock->wall_ns() - slot_ns, 0);
  late_sum_ns += static_cast<std::uint64_t>(late_ns);
  ++starts;
  for (std::int64_t most = late_max_ns; late_ns > most;)
    if (late_max_ns.compare_exchange_weak(most, late_ns)) break;
  const std::int64_t began_ns = deps.clock->monotonic_ns();
  prepare(*group, slot_ns);
  deliver(*group, group->evaluate(slot_ns, memo, deps.query, *deps.clock, began_ns));
}

void Ruler::Impl::finish(const std::shared_ptr<Group>& group, std::int64_t slot_ns) {
  const std::lock_guard lock(mutex);
  const auto at = groups.find(group->key());
  if (at == groups.end() || at->second.group != group) return;  // replaced meanwhile
  at->second.running = false;
  at->second.slot_ns = slot_ns + group->settings().interval_ns;
}

void Ruler::Impl::deliver(const Group& group, GroupOutput out) {
  for (const auto& notice : out.notices) {
    const std::string url = explore_url(options.external_url, options.datasource_uid, notice.expr);
    std::vector<DeliveryItem> items;
    for (const Alert& alert : notice.alerts)
      items.push_back({group.key().tenant, encode_alert(alert, options.external_labels, url)});
    for (const auto& notifier : notifiers) notifier->push(items);
  }
  if (out.samples.empty()) return;
  std::vector<DeliveryItem> items;
  if (!writers.empty())
    for (const RecordedSample& sample : out.samples)
      items.push_back({group.key().tenant, encode_series(sample)});
  for (const auto& writer : writers) writer->push(items);
  if (recorder) recorder->push(group.key().tenant, out.samples);
}

void Ruler::Impl::evaluator_loop() {
  std::unique_lock lock(mutex);
  while (!stopping) {
    std::int64_t slot = 0, next = 0;
    const std::int64_t now = deps.clock->wall_ns();
    if (const auto group = take_due(now, slot, next)) {
      lock.unlock();
      run(group, slot);
      finish(group, slot);
      lock.lock();
      continue;
    }
    const std::int64_t wait =
        std::clamp<std::int64_t>(next - now, base::kNsPerMs, base::kNsPerSecond);
    wake.wait_for(lock, std::chrono::nanoseconds(wait));
  }
}

void Ruler::Impl::upkeep_loop() {
  std::unique_lock lock(mutex);
  std::int64_t poll = deps.clock->monotonic_ns() + options.poll_interval_ns;
  std::int64_t save = deps.clock->monotonic_ns() + options.state_save_interval_ns;
  while (!stopping) {
    const std::int64_t now = deps.clock->monotonic_ns();
    const bool poll_due = now >= poll, save_due = now >= save;
    if (poll_due) poll = now + options.poll_interval_ns;
    if (save_due) save = now + options.state_save_interval_ns;
    if (poll_due || save_due) {
      lock.unlock();
      if (poll_due) static_cast<void>(load(false));    // reported in log, metrics and API
      if (save_due) static_cast<void>(write_state());  // the same
      lock.lock();
      continue;
    }
    const std::int64_t wait =
        std::clamp<std::int64_t>(std::min(poll, save) - now, base::kNsPerMs, base::kNsPerSecond);
    wake.wait_for(lock, std::chrono::nanoseconds(wait));
  }
}

// ---- Ruler -----------------------------------------------------------------------------------

Ruler::Ruler() = default;
Ruler::~Ruler() {
  if (impl_) stop();
}

base::Result<std::unique_ptr<Ruler>> Ruler::create(RulerOptions options, RulerDeps deps) {
  if (!options.data_dir.empty()) SKALD_TRY(deps.fs->make_directories(options.data_dir));
  std::unique_ptr<Ruler> ruler(new Ruler());
  ruler->impl_ = std::make_unique<Impl>(std::move(options), std::move(deps));
  static_cast<void>(ruler->impl_->load(true));  // what does not load is reported, the rest runs
  return ruler;
}

void Ruler::start() {
  const std::lock_guard lock(impl_->mutex);
  if (impl_->started || impl_->stopping) return;
  impl_->started = true;
  impl_->start_deliveries();
  Impl* impl = impl_.get();
  for (unsigned i = 0; i < std::max(1U, impl->options.threads); ++i)
    impl->threads.emplace_back([impl] { impl->evaluator_loop(); });
  impl->threads.emplace_back([impl] { impl->upkeep_loop(); });
}

void Ruler::stop() {
  {
    const std::lock_guard lock(impl_->mutex);
    if (impl_->stopped) return;
    impl_->stopping = impl_->stopped = true;
  }
  impl_->wake.notify_all();
  for (auto& thread : impl_->threads) thread.join();
  impl_->threads.clear();
  static_cast<void>(impl_->write_state());  // logged
  impl_->stop_deliveries();
}

// All of them go on sending meanwhile, so that one deadline is enough for all.
void Ruler::Impl::stop_deliveries() {
  const std::int64_t deadline = base::Clock::system().monotonic_ns() + options.drain_timeout_ns;
  for (auto* deliveries : {&notifiers, &writers})
    for (const auto& delivery : *deliveries)
      delivery->stop(std::max<std::int64_t>(deadline - base::Clock::system().monotonic_ns(), 0));
  if (recorder) recorder->stop();
}

void Ruler::Impl::start_deliveries() {
  for (auto* deliveries : {&notifiers, &writers})
    for (const auto& delivery : *deliveries) delivery->start();
  if (recorder) recorder->start();
}

base::Status Ruler::reload() { return impl_->load(false); }

model::TimestampNs Ruler::run_due() {
  impl_->start_deliveries();
  const std::int64_t now = impl_->deps.clock->wall_ns();
  while (true) {
    std::int64_t slot = 0, next = 0;
    std::shared_ptr<Group> group;
    {
      const std::lock_guard lock(impl_->mutex);
      group = impl_->take_due(now, slot, next);
    }
    if (!group) return next;
    impl_->run(group, slot);
    impl_->finish(group, slot);
  }
}

bool Ruler::flush(std::int64_t timeout_ns) {
  bool empty = true;
  for (const auto& notifier : impl_->notifiers) empty = notifier->flush(timeout_ns) && empty;
  for (const auto& writer : impl_->writers) empty = writer->flush(timeout_ns) && empty;
  if (impl_->recorder) empty = impl_->recorder->flush(timeout_ns) && empty;
  return empty;
}

}  // namespace skald::query::alert
