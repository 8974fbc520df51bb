#include "store/catalog/part_handle.h"

#include <algorithm>

#include "proto/base/bytes.h"
#include "proto/base/crc32c.h"
#include "store/catalog/limits.h"
#include "store/part/part_format.h"
#include "store/part/search_summary.h"

namespace skald::store::catalog {
namespace {

constexpr std::size_t kProbeBytes = 64U << 10;

}  // namespace

PartHandle::~PartHandle() {
  if (!obsolete_) return;
  // Best effort: if it stays, the name of its successor covers it at a start, or it is dropped
  // again. What an unread one was merged from may be in use in its place.
  const bool others_stay = successor_ != nullptr || !unread_.empty();
  static_cast<void>((others_stay ? fs_.remove(path_) : remove_last(fs_, path_, meta_.name)).ok());
}

base::Status remove_last(base::FileSystem& fs, const std::string& path, const PartName& name) {
  const auto gone = [](const base::Status& removed) {
    return removed.ok() || removed.code() == base::Code::kNotFound;
  };
  if (name.level > 0) {
    const std::string directory = path.substr(0, path.rfind('/'));
    SKALD_TRY_ASSIGN(const auto entries, fs.list(directory));
    for (const auto& entry : entries) {
      const auto other = PartName::parse(entry.name);
      if (!other || !name.covers(*other)) continue;
      base::Status removed = fs.remove(directory + "/" + entry.name);
      if (!gone(removed)) return removed;
    }
    SKALD_TRY(fs.sync_directory(directory));
  }
  base::Status removed = fs.remove(path);
  return gone(removed) ? base::Status() : removed;
}

// Reads, and does not map: what it looks at is a small part of every file.
std::optional<std::vector<bool>> PartHandle::groups_that_may_match(
    std::span<const LineFilter> filters) const {
  const part::SummaryPlace& place = meta_.search;
  if (place.bytes == 0 || place.bytes > kSummaryBytesMax || filters.empty()) return std::nullopt;
  const auto file = fs_.open_read(path_);
  if (!file.ok()) return std::nullopt;
  std::string bytes(place.bytes, '\0');
  const auto got = (*file)->read_at(place.offset, bytes.data(), bytes.size());
  if (!got.ok() || *got != bytes.size() || base::crc32c(bytes) != place.crc) return std::nullopt;
  const auto summary = part::SearchSummary::parse(std::move(bytes));
  if (!summary.ok()) return std::nullopt;
  std::vector<bool> out;
  for (const LineFilter& filter : filters) {
    const auto one = summary->may_match(filter, **file);
    out.resize(one.size(), true);
    for (std::size_t i = 0; i < one.size(); ++i) out[i] = out[i] && one[i];
  }
  return out;
}

base::Status try_to_read_footer(base::FileSystem& fs, const std::string& path) {
  SKALD_TRY_ASSIGN(const auto file, fs.open_read(path));
  SKALD_TRY_ASSIGN(const std::uint64_t size, file->size());
  if (size < part::kHeaderBytes + part::kTailBytes) return {};  // open_reader() says what it is
  std::string bytes(kProbeBytes, '\0');
  SKALD_TRY(file->read_at(0, bytes.data(), part::kHeaderBytes));
  SKALD_TRY(file->read_at(size - part::kTailBytes, bytes.data(), part::kTailBytes));
  for (auto at = base::load_le<std::uint64_t>(bytes.data()); at < size; at += bytes.size())
    SKALD_TRY(file->read_at(at, bytes.data(), bytes.size()));
  return {};
}

base::Result<std::shared_ptr<const part::PartReader>> open_reader(base::FileSystem& fs,
                                                                  const std::string& path) {
  SKALD_TRY_ASSIGN(std::shared_ptr<const base::MappedFile> file, fs.map(path));
  return part::PartReader::open(std::move(file), path.substr(path.rfind('/') + 1));
}

base::Result<std::shared_ptr<const OpenPart>> PartCache::get(PartHandle& part,
                                                             const NumberStreams& number_streams) {
  std::shared_ptr<const OpenPart> open;
  {
    const std::scoped_lock lock(part.mutex_);
    open = part.open_.lock();
    if (open == nullptr) {
      SKALD_TRY_ASSIGN(auto reader, open_reader(fs_, part.path_));
      auto fresh = std::make_shared<OpenPart>();
      fresh->numbers = number_streams(reader->streams());
      fresh->reader = std::move(reader);
      open = std::move(fresh);
      part.open_ = open;
    }
  }
  remember(open);
  return open;
}

void PartCache::remember(std::shared_ptr<const OpenPart> open) {
  std::list<std::shared_ptr<const OpenPart>> dropped;  // freed outside the lock
  const std::scoped_lock lock(mutex_);
  const auto found = std::find(recent_.begin(), recent_.end(), open);
  if (found != recent_.end()) {
    recent_.splice(recent_.begin(), recent_, found);
  } else {
    streams_ += open->numbers.size();
    recent_.push_front(std::move(open));
  }
  std::uint64_t bytes = 0;
  for (const auto& each : recent_) bytes += each->reader->memory_bytes();
  while (recent_.size() > 1 && (streams_ > kOpenPartStreamsMax || recent_.size() > kOpenPartsMax ||
                                bytes > kOpenPartBytesMax)) {
    streams_ -= recent_.back()->numbers.size();
    bytes -= std::min(bytes, recent_.back()->reader->memory_bytes());
    dropped.splice(dropped.begin(), recent_, std::prev(recent_.end()));
  }
}

}  // namespace skald::store::catalog
