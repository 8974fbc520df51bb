// Opening: what start-up does with the directory it finds. See catalog/LAYOUT.md, "Recovery".

#include <fcntl.h>
#include <pthread.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <random>
#include <set>

#include "store/catalog/checkpoint.h"
#include "store/catalog/limits.h"
#include "store/catalog/part_builder.h"
#include "store/limits.h"
#include "store/store_impl.h"
#include "store/wal/wal_reader.h"

namespace skald::store {
namespace {

constexpr std::string_view kFormat = "skald store 1\n";

std::uint64_t random_seed() {
  std::random_device device;
  return (static_cast<std::uint64_t>(device()) << 32) ^ device();
}

// An error of a start's reading that is not about the file's contents or its place on the disk: it
// passes, and what would be done without the file would not. Nothing has been changed by then.
base::Status unless_about_the_file(const base::Status& read) {
  if (read.errno_value() == 0 || read.code() == base::Code::kNotFound || base::is_media_error(read))
    return {};
  return base::Status(read).with_context("the start is given up, and can be tried again");
}

}  // namespace

base::Result<std::unique_ptr<Store>> Store::open(StoreOptions options) {
  if (options.data_dir.empty()) return base::invalid_argument("the data directory has no name");
  auto store = std::make_unique<StoreImpl>(std::move(options));
  SKALD_TRY(store->start());
  return std::unique_ptr<Store>(std::move(store));
}

StoreImpl::StoreImpl(StoreOptions options)
    : options_(std::move(options)),
      layout_{options_.data_dir},
      fs_(*options_.fs),
      clock_(*options_.clock),
      cache_(fs_),
      throttle_(options_.compaction_bytes_per_second, compaction_io_, &stopping_),
      unthrottled_(0, compaction_io_, &stopping_) {}

base::Status StoreImpl::start() {
  for (const std::string& directory :
       {layout_.root, layout_.wal_directory(), layout_.tenants_directory()})
    SKALD_TRY(fs_.make_directories(directory));
  SKALD_TRY(lock_directory());
  SKALD_TRY(check_format());
  SKALD_TRY(load_checkpoint());
  open_index();
  SKALD_TRY(load_tenants());
  index_contents_.clear();
  SKALD_TRY(recover_wal());
  for (const std::string& finding : findings_) spdlog::warn("store: {}", finding);
  start_threads();
  return {};
}

// Two processes in one directory would destroy it. Only on the real file system: others are tests.
base::Status StoreImpl::lock_directory() {
  if (&fs_ != &base::FileSystem::posix()) return {};
  lock_fd_ = ::open(layout_.lock_file().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
  if (lock_fd_ < 0) return base::from_errno(errno, "open " + layout_.lock_file());
  if (::flock(lock_fd_, LOCK_EX | LOCK_NB) != 0)
    return base::unavailable("the data directory " + layout_.root +
                             " is in use by another process");
  return {};
}

base::Status StoreImpl::check_format() {
  const auto bytes = fs_.read_file(layout_.format_file(), kSmallFileBytesMax);
  SKALD_TRY(unless_about_the_file(bytes.status()));
  if (bytes.ok() && *bytes == kFormat) return {};
  if (bytes.ok() && bytes->starts_with("skald store ") && bytes->ends_with("\n"))
    return base::unsupported(layout_.format_file() + " says \"" +
                             bytes->substr(0, bytes->size() - 1) +
                             "\": this directory was written by a newer version");
  if (bytes.status().code() != base::Code::kNotFound)
    findings_.push_back("FORMAT is damaged; it was written again");
  return base::write_file_atomically(fs_, layout_.format_file(), kFormat);
}

base::Status StoreImpl::load_checkpoint() {
  hash_seed_ = random_seed();
  const auto bytes = fs_.read_file(layout_.checkpoint_file(), catalog::kCheckpointBytesMax);
  SKALD_TRY(unless_about_the_file(bytes.status()));
  auto checkpoint = bytes.ok() ? catalog::decode_checkpoint(*bytes)
                               : base::Result<catalog::Checkpoint>(bytes.status());
  if (!checkpoint.ok()) {
    // Part names and log say the rest; marks older than the log are those of the index file.
    if (checkpoint.status().code() != base::Code::kNotFound)
      findings_.push_back("CHECKPOINT: " + checkpoint.status().to_string() +
                          "; going on with part names, log and the index's file marks");
    checkpoint_lost_ = true;
    return {};
  }
  sealed_through_ = checkpoint->sealed_through;
  hash_seed_ = checkpoint->hash_seed;
  recovered_recent_ = std::move(checkpoint->recent);
  for (auto& [name, marks] : checkpoint->marks)
    tenants_.find_or_add(name)->marks = std::move(marks);
  return {};
}

base::Status StoreImpl::load_tenants() {
  SKALD_TRY_ASSIGN(const auto entries, fs_.list(layout_.tenants_directory()));
  for (const auto& entry : entries) {
    if (!entry.is_directory) continue;
    const auto name = catalog::unescape_tenant(entry.name);
    if (!name)
      findings_.push_back("tenants/" + entry.name + " is no tenant's directory; passed over");
    else
      SKALD_TRY(load_tenant(*name));
  }
  return {};
}

base::Status StoreImpl::load_deletes(ingest::Tenant& tenant) {
  const auto deletes = fs_.read_file(layout_.deletes_file(tenant.name), catalog::kDeletesBytesMax);
  if (deletes.ok()) {
    auto decoded = retention::decode_deletes(*deletes);
    if (decoded.ok())
      tenant.deletes = std::move(decoded).value();
    else
      findings_.push_back("tenant " + tenant.name + ": " + decoded.status().to_string());
  } else if (deletes.status().errno_value() != 0 &&
             deletes.status().code() != base::Code::kNotFound) {
    // Without them all that was deleted would be answered again.
    return base::Status(deletes.status())
        .with_context("the start is given up, and can be tried again; without " +
                      layout_.deletes_file(tenant.name) +
                      " it would go on, with no delete in force");
  } else if (deletes.status().code() != base::Code::kNotFound) {
    findings_.push_back("tenant " + tenant.name +
                        ": its deletes are not in force: " + deletes.status().to_string());
  }
  return {};
}

base::Status StoreImpl::load_tenant(const std::string& name) {
  const std::string directory = layout_.parts_directory(name);
  const auto tenant = tenants_.find_or_add(name);
  SKALD_TRY(load_deletes(*tenant));
  const auto entries = fs_.list(directory);
  if (entries.status().code() == base::Code::kNotFound)
    return {};  // a crash between the two directories
  if (!entries.ok())
    return base::Status(entries.status())
        .with_context("the start is given up, and can be tried again");
  std::vector<catalog::PartName> names;
  std::map<catalog::PartName, std::uint64_t> sizes;
  for (const auto& entry : *entries) {
    if (entry.name.ends_with(catalog::kTemporarySuffix)) {
      static_cast<void>(fs_.remove(directory + "/" + entry.name).ok());
      continue;
    }
    if (const auto part = catalog::PartName::parse(entry.name)) {
      names.push_back(*part);
      sizes[*part] = entry.size;
    } else {
      findings_.push_back(directory + "/" + entry.name + " is no part; passed over");
    }
  }
  take_streams(*tenant);
  // A name that is seen need not be durable: its directory's sync may have failed before. What
  // counts on it (records of the log that are passed over, inputs that are removed) must not go
  // first.
  bool durable = false;
  const auto make_durable = [&] {
    return std::exchange(durable, true) ? base::Status() : fs_.sync_directory(directory);
  };
  if (std::any_of(names.begin(), names.end(),
                  [&](const auto& part) { return part.last_sequence > sealed_through_; }))
    SKALD_TRY(make_durable());
  // Highest level first: what a good part covers was merged into it and is removed.
  std::sort(names.begin(), names.end(), [](const auto& a, const auto& b) {
    return a.level != b.level ? a.level > b.level : a < b;
  });
  for (const catalog::PartName& part : names) {
    const bool superseded =
        std::any_of(tenant->parts.begin(), tenant->parts.end(), [&](const auto& loaded) {
          return loaded->unread().empty() && loaded->meta().name.covers(part);
        });
    if (superseded) {
      SKALD_TRY(make_durable());
      static_cast<void>(fs_.remove(directory + "/" + part.to_string()).ok());
    } else {
      SKALD_TRY(load_part(*tenant, part, sizes[part]));
    }
  }
  std::sort(tenant->parts.begin(), tenant->parts.end(),
            [](const auto& a, const auto& b) { return a->meta().name < b->meta().name; });
  return {};
}

// Only proven damage sets a part aside. One that the disk does not give is left where it is and
// tried again while the store runs, unless the log has all its rows, too.
base::Status StoreImpl::load_part(ingest::Tenant& tenant, const catalog::PartName& name,
                                  std::uint64_t file_bytes) {
  if (take_part(tenant, name, file_bytes)) return {};
  const std::string path = layout_.parts_directory(tenant.name) + "/" + name.to_string();
  auto meta = read_part(tenant, name);
  if (meta.ok()) {
    tenant.parts.push_back(
        std::make_shared<catalog::PartHandle>(fs_, path, std::move(meta).value()));
    return {};
  }
  const base::Status& why = meta.status();
  const bool log_has_all = name.first_sequence > sealed_through_ && !checkpoint_lost_;
  if (why.errno_value() == 0 || (base::is_media_error(why) && log_has_all)) {
    quarantine(tenant.name, name.to_string(), why);
    return {};
  }
  if (!base::is_media_error(why))
    return base::Status(why).with_context("the start is given up, and can be tried again");
  // Left there it would count as having rows that the log may have, and the next seal drops.
  if (name.last_sequence > sealed_through_)
    return base::Status(why).with_context(
        "the start is given up, as the log may have some of its rows; it can be tried again, or "
        "the part be moved to " +
        layout_.quarantine_directory(tenant.name));
  findings_.push_back("part " + name.to_string() + " of tenant " + tenant.name +
                      " cannot be read; it is left there and tried again, and its rows are "
                      "missing until then: " +
                      why.to_string());
  catalog::PartMeta unread;
  unread.name = name;
  const model::TimeRange day = catalog::range_of_day(name.day);
  unread.min_time_ns = day.start_ns;
  unread.max_time_ns = day.end_ns - 1;
  unread.file_bytes = file_bytes;
  tenant.parts.push_back(std::make_shared<catalog::PartHandle>(fs_, path, std::move(unread), why));
  return {};
}

// What its footer says. The streams that it names become known.
base::Result<catalog::PartMeta> StoreImpl::read_part(ingest::Tenant& tenant,
                                                     const catalog::PartName& name) {
  const std::string path = layout_.parts_directory(tenant.name) + "/" + name.to_string();
  SKALD_TRY(catalog::try_to_read_footer(fs_, path));
  SKALD_TRY_ASSIGN(const auto reader, catalog::open_reader(fs_, path));
  const part::PartSummary& summary = reader->summary();
  catalog::PartMeta meta;
  meta.name = name;
  meta.min_time_ns = summary.min_time_ns;
  meta.max_time_ns = summary.max_time_ns;
  meta.entries = summary.entries;
  meta.line_bytes = summary.line_bytes;
  meta.file_bytes = reader->file_bytes();
  meta.search = summary.search;
  std::vector<std::uint32_t> numbers;
  {
    const std::unique_lock lock(tenant.mutex);
    for (const StreamInfo& stream : reader->streams())
      numbers.push_back(tenant.labels.add_known(stream.id, stream.labels));
  }
  for (const part::StreamTotals& totals : summary.streams) meta.streams.add(numbers[totals.stream]);
  meta.streams.shrink();
  return meta;
}

// Out of the way, but kept for a person to look at.
void StoreImpl::quarantine(const std::string& tenant, const std::string& file,
                           const base::Status& why) {
  ++counters_.quarantined;
  findings_.push_back("part " + file + " of tenant " + tenant + " was moved to " +
                      layout_.quarantine_directory(tenant) + ": " + why.to_string());
  if (!fs_.make_directories(layout_.quarantine_directory(tenant)).ok()) return;  // durably
  static_cast<void>(fs_.rename(layout_.parts_directory(tenant) + "/" + file,
                               layout_.quarantine_directory(tenant) + "/" + file)
                        .ok());
}

base::Status StoreImpl::recover_wal() {
  // (tenant, day) -> the sequences that its parts hold already.
  struct Covered {
    std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;
  };
  std::map<std::string, std::map<std::int64_t, Covered>> covered;
  std::uint64_t next_sequence = sealed_through_ + 1;
  for (const auto& tenant : tenants_.all()) {
    for (const auto& part : tenant->parts) {
      const catalog::PartName& name = part->meta().name;
      next_sequence = std::max(next_sequence, name.last_sequence + 1);
      if (name.last_sequence > sealed_through_)
        covered[tenant->name][name.day].ranges.emplace_back(name.first_sequence,
                                                            name.last_sequence);
    }
  }
  wal_ = std::make_unique<wal::WalWriter>(fs_, layout_.wal_directory());
  ingest::CommitterOptions committer_options;
  committer_options.head_bytes_max = options_.head_bytes_max;
  committer_options.block_when_full = options_.background_threads > 0;
  committer_options.hash_seed = hash_seed_;
  // Without the lock, which the sealer holds while it asks the committer: a wake-up that is missed
  // costs one poll.
  committer_options.on_full = [this] { wake_.notify_all(); };
  committer_ = std::make_unique<ingest::Committer>(committer_options, clock_, tenants_, *wal_);
  committer_->load_recent(recovered_recent_);
  recovered_recent_.clear();

  const auto take = [&](std::uint64_t sequence, std::string_view payload,
                        const std::shared_ptr<const void>& owner) -> base::Status {
    if (sequence <= sealed_through_) return {};
    SKALD_TRY_ASSIGN(const wal::EncodedBatch batch, wal::decode_batch(payload, owner));
    const auto days = covered.find(batch.tenant);
    committer_->recover(batch, sequence, [&](const wal::BatchRow& row) {
      if (days == covered.end()) return true;
      const auto day = days->second.find(catalog::day_of(row.timestamp_ns));
      if (day == days->second.end()) return true;
      return std::none_of(
          day->second.ranges.begin(), day->second.ranges.end(),
          [&](const auto& range) { return sequence >= range.first && sequence <= range.second; });
    });
    return {};
  };
  SKALD_TRY_ASSIGN(wal::ReplayReport report, wal::replay(fs_, layout_.wal_directory(), take));
  for (std::string& finding : report.findings)
    if (findings_.size() < kFindingsMax) findings_.push_back("wal/" + std::move(finding));
  // Not dropped with what is sealed next: a disk that does not read now may do so later.
  for (const std::string& name : report.unreadable) {
    const std::string path = layout_.wal_directory() + "/" + name;
    const base::Status renamed = fs_.rename(path, path + ".unreadable");
    findings_.push_back(
        "wal/" + name +
        (renamed.ok() ? " was renamed to " + name + ".unreadable" : ": " + renamed.to_string()) +
        "; its rows are missing");
  }
  wal_->take_over(std::move(report.segments));
  // What was read need not be durable: its sync may have failed, and its sender been refused. It is
  // answered and counts as a duplicate from now on, so it must stay.
  for (const std::string& segment : wal_->segment_paths()) {
    SKALD_TRY_ASSIGN(const auto file, fs_.open_append(segment));
    SKALD_TRY(file->sync());
  }
  SKALD_TRY(fs_.sync_directory(layout_.wal_directory()));
  committer_->recover_end(std::max(next_sequence, report.next_sequence));
  return {};
}

void StoreImpl::start_threads() {
  if (options_.background_threads == 0) return;
  sealer_ = std::thread([this] { seal_loop(); });
  maintenance_ = std::thread([this] { maintenance_loop(); });
  // By these names bench/e2e_bench.py says where the cycles of ingest go.
  ::pthread_setname_np(sealer_.native_handle(), "store-seal");
  ::pthread_setname_np(maintenance_.native_handle(), "store-upkeep");
}

StoreImpl::~StoreImpl() {
  if (committer_ != nullptr) committer_->close();
  {
    const std::scoped_lock lock(wake_mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (sealer_.joinable()) sealer_.join();
  if (maintenance_.joinable()) maintenance_.join();
  if (lock_fd_ >= 0) ::close(lock_fd_);
}

}  // namespace skald::store
