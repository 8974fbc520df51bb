// A store's whole life at random (pushes of any bytes and any age, duplicates, flushes, merges,
// retention, deletes, restarts, power cuts, failing writes, damaged parts), compared after every
// step with a naive model: a set of rows.
//
// SKALD_PROPERTY_SEED and SKALD_PROPERTY_STEPS repeat or lengthen it; a failure names its seed.
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <cerrno>
#include <cstdlib>
#include <set>

#include "tests/fault/fault_fs.h"
#include "tests/store/part/line_makers.h"
#include "tests/store/store_testing.h"

namespace skald::store {
namespace {

using skald::testing::FaultFs;
using testing::BatchBuilder;
using testing::everything;
using testing::matchers;
using testing::read_all;
using testing::Row;

constexpr std::int64_t kHour = 3600 * base::kNsPerSecond;
constexpr std::int64_t kDay = 24 * kHour;
constexpr std::int64_t kPeriod = 30 * kDay;  // of the tenant "aging"; "keep" has none
constexpr unsigned kJobs = 5;

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

std::string job_of(const Row& row) {
  const std::string& labels = std::get<0>(row);
  const std::size_t at = labels.find("job=\"") + 5;
  return labels.substr(at, labels.find('"', at) - at);
}

bool hits(const DeleteRequest& request, const Row& row) {
  return job_of(row) == request.matchers.front().value() &&
         request.range.contains(std::get<1>(row)) &&
         std::get<2>(row).find(request.line_filters.front()) != std::string::npos;
}

struct TenantModel {
  std::set<Row> ever;       // pushed, acknowledged or not
  std::set<Row> rows;       // acknowledged and neither deleted nor dropped
  std::set<Row> uncertain;  // of pushes that failed: a restart may bring them, whole batches or not
  std::set<Row> veiled;   // such, hidden by a delete when the restart came: a cancel may show them
  std::set<Row> expired;  // dropped by retention: a power cut may bring them until it runs again
  std::map<std::string, DeleteRequest> deletes;  // acknowledged, not processed
  // A cancel that failed may have reached the disk, and so may a request that was refused: only
  // what was acknowledged, and never asked to be cancelled, has to stay.
  std::set<std::string> acknowledged, cancelled;
  // A merge that ran while a delete was in force, whether it came to its end or not, may have
  // removed rows for good: a cancel after that does not bring them back.
  std::set<std::string> merged_under;
  std::set<Row> half_deleted;
};

class Life {
 public:
  explicit Life(std::uint64_t seed) : lines_(seed), clock_(20'000 * kDay) { open(fs_, store_); }

  void step(std::uint64_t number) {
    const std::uint64_t dice = below(100);
    step_ = "step " + std::to_string(number) + ", dice " + std::to_string(dice);
    if (dice < 8)
      power_cut();
    else if (dice < 14)
      failing_write();
    else if (dice < 22)
      restart();
    else if (dice < 27)
      damaged_part();
    else
      work(dice);
    compare(false);
  }

 private:
  std::uint64_t below(std::uint64_t n) { return lines_.below(n); }

  StoreOptions options(FaultFs& fs) {
    StoreOptions out;
    out.data_dir = "/data";
    out.fs = &fs;
    out.clock = &clock_;
    out.background_threads = 0;
    out.head_bytes_max = 64U << 10;
    out.compaction_memory_max = 4U << 20;
    out.retention = [](std::string_view tenant) {
      RetentionPolicy policy;
      policy.period_ns = tenant == "aging" ? kPeriod : 0;
      return policy;
    };
    return out;
  }

  void open(FaultFs& fs, std::unique_ptr<Store>& into) {
    into.reset();
    auto store = Store::open(options(fs));
    ASSERT_TRUE(store.ok()) << step_ << ": " << store.status().to_string();
    into = std::move(store).value();
    into->set_delete_filter_factory([](const DeleteRequest& request) {
      std::vector<LineFilter> filters(1);
      filters[0].clauses = {request.line_filters};
      return base::Result<std::vector<LineFilter>>(std::move(filters));
    });
  }

  // What may happen with the store open, and may fail if the file system does.
  void work(std::uint64_t dice) {
    if (dice < 72)
      push();
    else if (dice < 82)
      static_cast<void>(store_->flush().ok());
    else if (dice < 88)
      compact();
    else if (dice < 92)
      age();
    else if (dice < 98)
      add_delete();
    else
      cancel_delete();
  }

  std::int64_t some_time(const std::string& tenant) {
    const std::int64_t now_ns = clock_.wall_ns();
    switch (below(8)) {
      case 0: return now_ns - static_cast<std::int64_t>(below(20)) * kDay;
      case 1:  // beyond retention, where there is one
        return now_ns - (tenant == "aging" ? kPeriod + kHour : 365 * kDay) -
               static_cast<std::int64_t>(below(1000));
      case 2: return now_ns;
      default: return now_ns - static_cast<std::int64_t>(below(3 * kHour));
    }
  }

  void push() {
    const std::string tenant = below(2) == 0 ? "keep" : "aging";
    TenantModel& model = models_[tenant];
    BatchBuilder batch;
    std::set<Row> fresh;
    std::uint64_t too_old = 0;
    // At times so many that a merge leaves the part of them alone.
    const std::size_t count = 1 + below(below(8) == 0 ? 200 : 20);
    for (std::size_t i = 0; i < count; ++i) {
      if (!model.rows.empty() && below(10) == 0) {
        again(model, tenant, batch);
        continue;
      }
      const model::Labels labels{{"job", "job-" + std::to_string(below(kJobs))}, {"t", tenant}};
      const std::int64_t time_ns = some_time(tenant);
      const std::string line = lines_.line(time_ns) + "#" + std::to_string(++serial_);
      const model::Labels metadata =
          below(4) == 0 ? model::Labels{{"trace", std::to_string(serial_)}} : model::Labels{};
      batch.add(labels, time_ns, line, metadata);
      if (expired(tenant, time_ns))
        ++too_old;
      else
        fresh.emplace(labels.to_string(), time_ns, line,
                      metadata.empty() ? "" : metadata.to_string());
    }
    model.ever.insert(fresh.begin(), fresh.end());
    for (int attempt = 0; attempt < 2; ++attempt) {
      const auto result = store_->append(tenant, batch.batch());
      if (result.ok()) {
        EXPECT_EQ(result->too_old, too_old) << step_;
        EXPECT_EQ(result->appended, fresh.size()) << step_;
        EXPECT_EQ(result->too_old_message.empty(), too_old == 0) << step_;
        model.rows.insert(fresh.begin(), fresh.end());
        return;
      }
      model.uncertain.insert(fresh.begin(), fresh.end());
    }
  }

  void again(const TenantModel& model, const std::string& tenant, BatchBuilder& batch) {
    auto row = model.rows.lower_bound(Row{"{job=\"job-" + std::to_string(below(kJobs)), 0, "", ""});
    if (row == model.rows.end()) row = model.rows.begin();
    // Of a time well within retention, so that it counts as a duplicate and not as too old.
    if (!std::get<3>(*row).empty() || expired(tenant, std::get<1>(*row) - kDay)) return;
    batch.add({{"job", job_of(*row)}, {"t", tenant}}, std::get<1>(*row), std::get<2>(*row));
  }

  bool expired(const std::string& tenant, std::int64_t time_ns) const {
    return tenant == "aging" && time_ns < clock_.wall_ns() - kPeriod;
  }

  void merges() {
    for (auto& [tenant, model] : models_)
      for (const auto& [id, request] : model.deletes) model.merged_under.insert(id);
  }

  void compact() {
    merges();
    static_cast<void>(store_->compact().ok());
    // Now, not after the pushes that may follow: what comes later is not meant.
    for (auto& [tenant, model] : models_) take_processed(tenant, model);
  }

  void age() {
    clock_.advance_ns(static_cast<std::int64_t>(below(4)) * kDay);
    merges();
    static_cast<void>(store_->enforce_retention().ok());
  }

  void add_delete() {
    const std::string tenant = below(2) == 0 ? "keep" : "aging";
    DeleteRequest request;
    request.tenant = tenant;
    request.matchers = matchers("job", "job-" + std::to_string(below(kJobs)));
    request.line_filters = {std::to_string(below(10))};
    request.query = "{job=...} |= ...";
    const std::int64_t start_ns = clock_.wall_ns() - static_cast<std::int64_t>(below(3 * kDay));
    request.range = {start_ns, start_ns + static_cast<std::int64_t>(below(kDay))};
    request.created_ns = clock_.wall_ns();
    const auto id = store_->add_delete(request);
    if (!id.ok()) return;
    models_[tenant].deletes[*id] = request;
    models_[tenant].acknowledged.insert(*id);
  }

  void cancel_delete() {
    for (auto& [tenant, model] : models_) {
      if (model.deletes.empty()) continue;
      const std::string id = model.deletes.begin()->first;
      model.cancelled.insert(id);
      if (!store_->cancel_delete(tenant, id).ok()) return;
      if (model.merged_under.contains(id))
        for (const Row& row : model.rows)
          if (hits(model.deletes[id], row)) model.half_deleted.insert(row);
      model.deletes.erase(id);
      return;
    }
  }

  void restart() {
    open(fs_, store_);
    compare(true);
  }

  void power_cut() {
    fs_.crash_at(1 + below(40));
    for (std::uint64_t i = 1 + below(4); i > 0; --i) work(27 + below(73));
    store_.reset();
    fs_.power_cycle(static_cast<unsigned>(below(3)) * 500);
    restart();
  }

  void failing_write() {
    fs_.fail_at(1 + below(12), below(2) == 0 ? ENOSPC : EIO, below(3) == 0);
    for (std::uint64_t i = 1 + below(3); i > 0; --i) {
      work(27 + below(73));
      compare(false);
    }
    fs_.heal();
  }

  // In a copy of the disk one byte of a part is another: what is not in that part is answered, of
  // the rest nothing is made up, and what is missing was reported.
  void damaged_part() {
    // So that the log has no second copy of a part's rows.
    ASSERT_TRUE(store_->flush().ok()) << step_;
    const std::vector<std::string> parts = fs_.paths(".part");
    if (parts.empty()) return;
    const std::string victim = parts[below(parts.size())];
    const std::unique_ptr<FaultFs> intact = fs_.clone(), without = fs_.clone(),
                                   damaged = fs_.clone();
    ASSERT_TRUE(without->remove(victim).ok());
    damaged->flip_byte(victim, lines_.random()());
    std::unique_ptr<Store> upper, lower, store;
    open(*intact, upper);
    open(*without, lower);
    open(*damaged, store);
    for (const auto& [tenant, model] : models_) {
      std::vector<std::string> warnings;
      const auto all = read_all(*upper, tenant);
      const auto least = read_all(*lower, tenant);
      const auto got = read_all(*store, tenant, everything(), {INT64_MIN, INT64_MAX}, &warnings);
      // The inputs of a merged part that is damaged may be there still, and then are read: rows
      // that were deleted since may so come back, but none that nobody pushed.
      EXPECT_TRUE(std::includes(model.ever.begin(), model.ever.end(), got.begin(), got.end()))
          << step_ << ": damage made up a row";
      EXPECT_TRUE(std::includes(got.begin(), got.end(), least.begin(), least.end()))
          << step_ << ": damage of " << victim << " took rows of other parts";
      const bool whole = std::includes(got.begin(), got.end(), all.begin(), all.end());
      EXPECT_TRUE(whole || !warnings.empty() || store->stats().quarantined_parts > 0)
          << step_ << ": rows are missing and nobody says so";
    }
  }

  void take_processed(const std::string& tenant, TenantModel& model) {
    std::map<std::string, DeleteRequest::State> states;
    for (const DeleteRequest& request : store_->deletes(tenant)) {
      states[request.id] = request.state;
      // One whose acknowledgement was lost counts, too.
      if (request.state == DeleteRequest::State::kReceived) model.deletes[request.id] = request;
    }
    for (auto at = model.deletes.begin(); at != model.deletes.end();) {
      if (!states.contains(at->first)) {
        EXPECT_TRUE(model.cancelled.contains(at->first) || !model.acknowledged.contains(at->first))
            << step_ << ": a delete request was forgotten";
        at = model.deletes.erase(at);
        continue;
      }
      if (states[at->first] == DeleteRequest::State::kReceived) {
        ++at;
        continue;
      }
      std::erase_if(model.rows, [&](const Row& row) { return hits(at->second, row); });
      for (auto* rows : {&model.uncertain, &model.veiled, &model.expired})
        std::erase_if(*rows, [&](const Row& row) { return hits(at->second, row); });
      at = model.deletes.erase(at);
    }
  }

  void compare(bool restarted) {
    for (auto& [tenant, model] : models_) {
      take_processed(tenant, model);
      const auto hidden = [&, &with = model](const Row& row) {
        return std::any_of(with.deletes.begin(), with.deletes.end(),
                           [&](const auto& request) { return hits(request.second, row); });
      };
      std::vector<std::string> warnings;
      const auto got = read_all(*store_, tenant, everything(), {INT64_MIN, INT64_MAX}, &warnings);
      EXPECT_TRUE(warnings.empty()) << step_ << ": " << warnings.front();
      EXPECT_EQ(std::adjacent_find(got.begin(), got.end()), got.end()) << step_ << ": a row twice";
      for (const Row& row : got) {
        EXPECT_FALSE(hidden(row)) << step_ << ": a deleted row is back: " << std::get<2>(row);
        if (model.rows.contains(row)) continue;
        EXPECT_TRUE((restarted && (model.uncertain.contains(row) || model.expired.contains(row))) ||
                    model.veiled.contains(row))
            << step_ << ": nobody stored " << std::get<2>(row);
        model.rows.insert(row);
      }
      for (auto row = model.rows.begin(); row != model.rows.end();) {
        const bool there = std::binary_search(got.begin(), got.end(), *row);
        const bool old = expired(tenant, std::get<1>(*row));
        const bool may_be_gone = old || model.half_deleted.contains(*row);
        EXPECT_TRUE(there || may_be_gone || hidden(*row))
            << step_ << ": lost " << std::get<2>(*row);
        if (!there && may_be_gone) (old ? model.expired : model.veiled).insert(*row);
        row = !there && may_be_gone ? model.rows.erase(row) : std::next(row);
      }
      if (!restarted) continue;
      for (const Row& row : model.uncertain)
        if (hidden(row)) model.veiled.insert(row);
      model.uncertain.clear();
    }
  }

  part::LineMaker lines_;
  base::ManualClock clock_;
  FaultFs fs_;
  std::unique_ptr<Store> store_;
  std::map<std::string, TenantModel> models_;
  std::uint64_t serial_ = 0;
  std::string step_;
};

TEST(StoreProperty, ALifeAtRandomEqualsASetOfRows) {
  spdlog::set_level(spdlog::level::off);
  const std::uint64_t first = from_environment("SKALD_PROPERTY_SEED", 1);
  const std::uint64_t steps = from_environment("SKALD_PROPERTY_STEPS", 600);
  constexpr std::uint64_t kStepsPerLife = 150;
  for (std::uint64_t done = 0; done < steps && !HasFailure(); done += kStepsPerLife) {
    const std::uint64_t seed = first + done / kStepsPerLife;
    SCOPED_TRACE("SKALD_PROPERTY_SEED=" + std::to_string(seed));
    std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
    Life life(seed);
    for (std::uint64_t number = 0; number < kStepsPerLife && !HasFailure(); ++number)
      life.step(number);
  }
  spdlog::set_level(spdlog::level::info);
}

}  // namespace
}  // namespace skald::store
