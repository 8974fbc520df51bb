#include "store/wal/wal_writer.h"

#include <algorithm>
#include <utility>

#include "proto/base/check.h"
#include "store/wal/limits.h"

namespace skald::store::wal {

WalWriter::WalWriter(base::FileSystem& fs, std::string directory)
    : fs_(fs), directory_(std::move(directory)) {}

void WalWriter::take_over(std::vector<Segment> segments) {
  const std::scoped_lock lock(mutex_);
  segments_ = std::move(segments);
}

base::Status WalWriter::open_segment(std::uint64_t first_sequence) {
  const std::string name = segment_name(first_sequence);
  const std::string path = directory_ + "/" + name;
  SKALD_TRY_ASSIGN(auto file, fs_.create(path));
  const std::string header = encode_segment_header({first_sequence, void_first_, void_end_});
  base::Status status = file->append(header);
  if (status.ok()) status = fs_.sync_directory(directory_);
  if (!status.ok()) {
    file.reset();
    // Nothing in it was acknowledged; a leftover is overwritten or read as an empty segment.
    static_cast<void>(fs_.remove(path).ok());
    return status;
  }
  file_ = std::move(file);
  file_bytes_ = header.size();
  const std::scoped_lock lock(mutex_);
  // Else drop_through() would take the open one for the older one of its name.
  CHECK(std::none_of(segments_.begin(), segments_.end(),
                     [&](const Segment& segment) { return segment.name == name; }));
  segments_.push_back({name, first_sequence, file_bytes_});
  open_ = true;
  return {};
}

base::Status WalWriter::write(std::span<const std::string_view> records,
                              std::uint64_t first_sequence) {
  if (file_ == nullptr) SKALD_TRY(open_segment(first_sequence));
  joined_.clear();
  std::uint64_t written = 0;
  for (const std::string_view record : records) {
    written += record.size();
    if (records.size() > 1 && joined_.size() + record.size() <= kJoinBytesMax) {
      joined_.append(record);
      continue;
    }
    if (!joined_.empty()) SKALD_TRY(file_->append(joined_));
    joined_.clear();
    SKALD_TRY(file_->append(record));
  }
  if (!joined_.empty()) SKALD_TRY(file_->append(joined_));
  const std::int64_t start_ns = base::Clock::system().monotonic_ns();
  SKALD_TRY(file_->sync());
  ++syncs_;
  sync_ns_ += static_cast<std::uint64_t>(base::Clock::system().monotonic_ns() - start_ns);
  file_bytes_ += written;
  return {};
}

base::Status WalWriter::append(std::span<const std::string_view> records,
                               std::uint64_t first_sequence, std::uint64_t last_sequence) {
  base::Status status = write(records, first_sequence);
  if (!status.ok()) {
    if (void_end_ == 0) void_first_ = first_sequence;
    void_end_ = last_sequence + 1;
    if (file_ != nullptr) {
      // Best effort: gives the space back and spares recovery the void records.
      static_cast<void>(file_->truncate(file_bytes_).ok());
      end_segment();
    }
    return status;
  }
  void_first_ = void_end_ = 0;
  {
    const std::scoped_lock lock(mutex_);
    segments_.back().last_sequence = last_sequence;
    segments_.back().bytes = file_bytes_;
  }
  if (file_bytes_ >= kSegmentBytesMax) end_segment();
  return {};
}

void WalWriter::end_segment() {
  file_.reset();
  const std::scoped_lock lock(mutex_);
  open_ = false;
}

base::Status WalWriter::drop_through(std::uint64_t sequence) {
  std::vector<std::string> names;
  {
    const std::scoped_lock lock(mutex_);
    std::vector<Segment> kept;
    for (std::size_t i = 0; i < segments_.size(); ++i) {
      const bool is_open = open_ && i + 1 == segments_.size();
      if (!is_open && segments_[i].last_sequence <= sequence)
        names.push_back(segments_[i].name);
      else
        kept.push_back(std::move(segments_[i]));
    }
    segments_ = std::move(kept);
  }
  base::Status result;
  for (const std::string& name : names) {
    base::Status status = fs_.remove(directory_ + "/" + name);
    if (!status.ok() && status.code() != base::Code::kNotFound) result = std::move(status);
  }
  return result;
}

std::uint64_t WalWriter::bytes() const {
  const std::scoped_lock lock(mutex_);
  std::uint64_t bytes = 0;
  for (const Segment& segment : segments_) bytes += segment.bytes;
  return bytes;
}

std::vector<std::string> WalWriter::segment_paths() const {
  const std::scoped_lock lock(mutex_);
  std::vector<std::string> paths;
  for (const Segment& segment : segments_) paths.push_back(directory_ + "/" + segment.name);
  return paths;
}

}  // namespace skald::store::wal
