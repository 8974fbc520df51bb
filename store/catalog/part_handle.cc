#include "store/catalog/part_handle.h"

#include <algorithm>

#include "store/catalog/limits.h"

namespace skald::store::catalog {

PartHandle::~PartHandle() {
  // Best effort: if it stays, start-up or retention removes it.
  if (obsolete_) static_cast<void>(fs_.remove(path_).ok());
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
