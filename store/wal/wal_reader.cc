#include "store/wal/wal_reader.h"

#include <algorithm>
#include <utility>

#include "store/wal/limits.h"
#include "store/wal/wal_format.h"

namespace skald::store::wal {
namespace {

struct VoidRange {
  std::uint64_t first, end;
};

class Replayer {
 public:
  Replayer(const TakeRecord& take, ReplayReport& report) : take_(take), report_(report) {}

  void add_void(const SegmentHeader& header) {
    if (header.void_end <= header.void_first) return;
    voids_.push_back({header.void_first, header.void_end});
    report_.next_sequence = std::max(report_.next_sequence, header.void_end);
  }

  void read_segment(WalWriter::Segment& segment, std::string_view bytes,
                    const std::shared_ptr<const void>& owner) {
    std::size_t at = kSegmentHeaderBytes;
    if (!decode_segment_header(bytes).ok()) {
      report_.findings.push_back(segment.name + ": damaged segment header");
      at = 0;  // records say their own sequence: the header is not needed to read them
    }
    while (at < bytes.size()) {
      const auto record = read_record(bytes.substr(at));
      if (record) {
        take(segment, *record, owner);
        at += record->size;
        continue;
      }
      const std::size_t next = find_record(bytes, at + 1);
      if (next == std::string_view::npos) {
        report_.torn_bytes += bytes.size() - at;
        report_.findings.push_back(segment.name + ": " + std::to_string(bytes.size() - at) +
                                   " bytes of an unfinished record at offset " +
                                   std::to_string(at) + " passed over");
        return;
      }
      if (at != 0) {
        report_.damaged_bytes += next - at;
        report_.findings.push_back(segment.name + ": damage at offset " + std::to_string(at) +
                                   ", reading goes on at offset " + std::to_string(next));
      }
      at = next;
    }
  }

 private:
  void take(WalWriter::Segment& segment, const RecordView& record,
            const std::shared_ptr<const void>& owner) {
    report_.next_sequence = std::max(report_.next_sequence, record.sequence + 1);
    segment.last_sequence = std::max(segment.last_sequence, record.sequence);
    for (const VoidRange& range : voids_)
      if (record.sequence >= range.first && record.sequence < range.end) return;
    const base::Status status = take_(record.sequence, record.payload, owner);
    if (status.ok()) {
      ++report_.records;
      return;
    }
    ++report_.damaged_records;
    report_.findings.push_back(segment.name + ": record " + std::to_string(record.sequence) + ": " +
                               status.to_string());
  }

  const TakeRecord& take_;
  ReplayReport& report_;
  std::vector<VoidRange> voids_;
};

// Nothing, or an error that says nothing of the segment: to go on would be to do without its rows.
template <typename T>
base::Status unless_unreadable(const base::Result<T>& read) {
  const bool passes = read.status().errno_value() != 0 && !base::is_media_error(read.status());
  return passes ? read.status() : base::Status();
}

}  // namespace

base::Result<ReplayReport> replay(base::FileSystem& fs, const std::string& directory,
                                  const TakeRecord& take) {
  SKALD_TRY_ASSIGN(const auto entries, fs.list(directory));
  ReplayReport report;
  for (const auto& entry : entries) {
    const auto first = parse_segment_name(entry.name);
    if (!first || entry.is_directory) continue;
    report.segments.push_back({entry.name, *first == 0 ? 0 : *first - 1, entry.size});
    // One without a whole record uses up its name, too: the next must not be written over what its
    // header says, nor be removed in its place.
    report.next_sequence = std::max(report.next_sequence, *first + 1);
  }
  std::sort(report.segments.begin(), report.segments.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });

  Replayer replayer(take, report);
  // What a later segment declares void lies in an earlier one: all headers come first.
  for (const auto& segment : report.segments) {
    auto file = fs.open_read(directory + "/" + segment.name);
    char head[kSegmentHeaderBytes];
    SKALD_TRY(unless_unreadable(file));
    if (!file.ok()) continue;
    const auto count = (*file)->read_at(0, head, sizeof(head));
    SKALD_TRY(unless_unreadable(count));
    if (!count.ok()) continue;
    if (const auto header = decode_segment_header({head, *count}); header.ok())
      replayer.add_void(*header);
  }
  std::vector<WalWriter::Segment> read;
  for (auto& segment : report.segments) {
    auto bytes = fs.read_file(directory + "/" + segment.name, kSegmentFileBytesMax);
    SKALD_TRY(unless_unreadable(bytes));
    if (!bytes.ok()) {
      report.findings.push_back(segment.name + ": " + bytes.status().to_string());
      // As many as it has room for: they are not given again.
      report.next_sequence = std::max(
          report.next_sequence, segment.last_sequence + segment.bytes / kRecordHeaderBytes + 2);
      report.unreadable.push_back(std::move(segment.name));
      continue;
    }
    auto owner = std::make_shared<const std::string>(std::move(bytes).value());
    replayer.read_segment(segment, *owner, owner);
    read.push_back(std::move(segment));
  }
  report.segments = std::move(read);
  return report;
}

}  // namespace skald::store::wal
