// `skaldctl check`: every checksum of a store that is not running.

#include <algorithm>

#include "store/catalog/checkpoint.h"
#include "store/catalog/layout.h"
#include "store/catalog/limits.h"
#include "store/catalog/part_handle.h"
#include "store/limits.h"
#include "store/retention/delete_log.h"
#include "store/store.h"
#include "store/wal/batch_codec.h"
#include "store/wal/wal_reader.h"

namespace skald::store {
namespace {

class Checker {
 public:
  Checker(base::FileSystem& fs, const std::string& data_dir, bool deep)
      : fs_(fs), layout_{data_dir}, deep_(deep) {}

  base::Result<CheckReport> run() {
    SKALD_TRY_ASSIGN(const auto tenants, fs_.list(layout_.tenants_directory()));
    if (const auto bytes = fs_.read_file(layout_.checkpoint_file(), catalog::kCheckpointBytesMax);
        bytes.ok())
      note(layout_.checkpoint_file(), base::to_status(catalog::decode_checkpoint(*bytes)));
    for (const auto& entry : tenants) {
      const auto name = catalog::unescape_tenant(entry.name);
      if (entry.is_directory && name) check_tenant(*name);
    }
    SKALD_TRY(check_wal());
    return std::move(report_);
  }

 private:
  void note(const std::string& where, const base::Status& status) {
    if (!status.ok() && report_.findings.size() < kFindingsMax)
      report_.findings.push_back(where + ": " + status.to_string());
  }

  void check_tenant(const std::string& name) {
    if (const auto bytes = fs_.read_file(layout_.deletes_file(name), catalog::kDeletesBytesMax);
        bytes.ok())
      note(layout_.deletes_file(name), base::to_status(retention::decode_deletes(*bytes)));
    const auto quarantined = fs_.list(layout_.quarantine_directory(name));
    if (quarantined.ok() && !quarantined->empty())
      report_.findings.push_back(layout_.quarantine_directory(name) + ": holds " +
                                 std::to_string(quarantined->size()) + " parts");
    const auto entries = fs_.list(layout_.parts_directory(name));
    if (!entries.ok()) return;
    for (const auto& entry : *entries) {
      if (!catalog::PartName::parse(entry.name)) continue;
      const std::string path = layout_.parts_directory(name) + "/" + entry.name;
      ++report_.parts;
      report_.bytes += entry.size;
      const auto reader = catalog::open_reader(fs_, path);
      base::Status status = reader.ok() ? base::Status() : reader.status();
      if (status.ok() && deep_) status = (*reader)->verify();
      if (!status.ok()) ++report_.damaged_parts;
      note(path, status);
    }
  }

  base::Status check_wal() {
    const auto take = [](std::uint64_t, std::string_view payload,
                         const std::shared_ptr<const void>& owner) {
      return base::to_status(wal::decode_batch(payload, owner));
    };
    SKALD_TRY_ASSIGN(const wal::ReplayReport wal, wal::replay(fs_, layout_.wal_directory(), take));
    for (const auto& segment : wal.segments) report_.bytes += segment.bytes;
    for (const auto& finding : wal.findings)
      if (report_.findings.size() < kFindingsMax) report_.findings.push_back("wal/" + finding);
    return {};
  }

  base::FileSystem& fs_;
  const catalog::Layout layout_;
  const bool deep_;
  CheckReport report_;
};

}  // namespace

base::Result<CheckReport> check(base::FileSystem& fs, const std::string& data_dir, bool deep,
                                bool rebuild_index) {
  Checker checker(fs, data_dir, deep);
  SKALD_TRY_ASSIGN(CheckReport report, checker.run());
  if (rebuild_index) {
    // The index is a cache: without it the next start reads the parts again.
    const std::string directory = catalog::Layout{data_dir}.index_directory();
    const auto entries = fs.list(directory);
    if (entries.ok())
      for (const auto& entry : *entries) SKALD_TRY(fs.remove(directory + "/" + entry.name));
  }
  return report;
}

}  // namespace skald::store
