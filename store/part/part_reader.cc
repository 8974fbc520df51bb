#include "store/part/part_reader.h"

#include <algorithm>
#include <atomic>
#include <mutex>

#include "proto/base/bytes.h"
#include "proto/base/crc32c.h"
#include "store/part/column_block.h"
#include "store/part/group_spec.h"
#include "store/part/limits.h"
#include "store/part/part_format.h"
#include "store/part/search_summary.h"

namespace skald::store::part {

struct PartReader::Impl {
  std::shared_ptr<const base::MappedFile> file;
  std::string name;
  std::vector<StreamInfo> streams;
  std::vector<RowGroupInfo> groups;
  std::vector<GroupPlace> places;
  PartSummary summary;

  mutable std::mutex mutex;
  // Parsed once, kept: about 500 bytes per column of each shape. Guarded by `mutex`.
  mutable std::vector<std::shared_ptr<const GroupSpec>> parsed;
  mutable std::vector<bool> was_searched, was_read;  // by group. Guarded by `mutex`.
  mutable std::atomic<std::uint64_t> parsed_bytes{0};

  base::Status damaged(std::string_view what) const {
    return base::corrupt("part " + name + ": " + std::string(what));
  }
  base::Status open();
  base::Status read_footer(std::string_view footer);
  base::Status read_streams(base::ByteReader& reader);
  base::Status read_directory(base::ByteReader& reader, std::uint64_t footer_offset);
  base::Status read_search_place(base::ByteReader& reader, std::uint64_t footer_offset);
  void summarize();
  base::Result<std::shared_ptr<const GroupSpec>> group(std::size_t index) const;
  void release_once(std::size_t group, std::vector<bool>& was) const noexcept;
};

// Shared by the Blocks of one opening of a group; keeps the reader.
struct PartReader::OpenGroup {
  std::shared_ptr<const PartReader> reader;
  std::size_t group;

  OpenGroup(std::shared_ptr<const PartReader> reader_, std::size_t group_)
      : reader(std::move(reader_)), group(group_) {}
  ~OpenGroup() { reader->impl_->release_once(group, reader->impl_->was_read); }
  OpenGroup(const OpenGroup&) = delete;
  OpenGroup& operator=(const OpenGroup&) = delete;
};

// What is read for the first time may well be for the last: a scan of everything that leaves its
// pages behind would grow by the size of the parts. What is read again stays, since mapping its
// pages anew costs a short query half of its time.
void PartReader::Impl::release_once(std::size_t group, std::vector<bool>& was) const noexcept {
  {
    const std::lock_guard lock(mutex);
    if (was[group]) return;
    was[group] = true;
  }
  const GroupPlace& place = places[group];
  file->release(place.offset, place.pages_bytes + place.meta_stored);
}

base::Status PartReader::Impl::open() {
  const std::string_view bytes = file->bytes();
  if (bytes.size() < kHeaderBytes + kTailBytes) return damaged("shorter than header and tail");
  if (bytes.substr(0, kPartMagic.size()) != kPartMagic) return damaged("not a part: wrong magic");
  const auto version = base::load_le<std::uint32_t>(bytes.data() + 8);
  if (version < kPartVersionMin || version > kPartVersion)
    return base::unsupported("part " + name + ": version " + std::to_string(version) +
                             "; this build reads up to " + std::to_string(kPartVersion));
  if (base::load_le<std::uint32_t>(bytes.data() + 12) != 0) return damaged("reserved header bytes");
  const std::string_view tail = bytes.substr(bytes.size() - kTailBytes);
  if (tail.substr(24) != kTailMagic) return damaged("no tail: truncated or never finished");
  if (base::load_le<std::uint32_t>(tail.data() + 20) != base::crc32c(tail.substr(0, 20)))
    return damaged("checksum of the tail");
  const auto offset = base::load_le<std::uint64_t>(tail.data());
  const auto stored_size = base::load_le<std::uint32_t>(tail.data() + 8);
  const auto size = base::load_le<std::uint32_t>(tail.data() + 12);
  if (offset < kHeaderBytes || offset > bytes.size() - kTailBytes ||
      stored_size != bytes.size() - kTailBytes - offset)
    return damaged("footer outside the file");
  const std::string_view stored = bytes.substr(offset, stored_size);
  if (base::load_le<std::uint32_t>(tail.data() + 16) != base::crc32c(stored))
    return damaged("checksum of the footer");
  std::string footer;
  SKALD_TRY(unpack(stored, size, PageSource({}, "part " + name + ": footer"), footer));
  base::ByteReader reader(footer);
  SKALD_TRY(read_streams(reader));
  SKALD_TRY(read_directory(reader, offset));
  if (version > kPartVersionMin) SKALD_TRY(read_search_place(reader, offset));
  if (!reader.done() || reader.failed()) return damaged("footer");
  summarize();
  parsed.resize(groups.size());
  was_searched.resize(groups.size());
  was_read.resize(groups.size());
  return {};
}

base::Status PartReader::Impl::read_streams(base::ByteReader& reader) {
  const std::uint64_t count = reader.read_varint();
  if (count > kStreamsMax) return damaged("stream count");
  for (std::uint64_t i = 0; i < count; ++i) {
    StreamInfo info;
    info.id.value = reader.read_le<std::uint64_t>();
    std::vector<model::Labels::Pair> pairs;
    const std::uint64_t labels = reader.read_varint();
    for (std::uint64_t l = 0; l < labels && !reader.failed(); ++l) {
      const std::string_view label = reader.read_bytes();
      pairs.emplace_back(label, reader.read_bytes());
    }
    if (reader.failed()) return damaged("stream labels");
    info.labels = model::Labels::from_pairs(std::move(pairs));
    streams.push_back(std::move(info));
  }
  return {};
}

base::Status PartReader::Impl::read_directory(base::ByteReader& reader,
                                              std::uint64_t footer_offset) {
  const std::uint64_t count = reader.read_varint();
  if (count > kRowGroupsMax) return damaged("row group count");
  for (std::uint64_t g = 0; g < count; ++g) {
    GroupPlace place;
    RowGroupInfo info;
    place.offset = reader.read_varint();
    place.pages_bytes = reader.read_varint();
    place.meta_stored = reader.read_varint();
    place.meta_bytes = reader.read_varint();
    place.meta_crc = reader.read_le<std::uint32_t>();
    const std::uint64_t rows = reader.read_varint();
    const std::uint64_t listed = reader.read_varint();
    if (reader.failed() || rows == 0 || rows > kRowGroupRowsMax || listed > streams.size() ||
        place.offset < kHeaderBytes || place.offset > footer_offset ||
        place.pages_bytes > footer_offset - place.offset ||
        place.meta_stored > footer_offset - place.offset - place.pages_bytes)
      return damaged("row group directory");
    info.rows = static_cast<std::uint32_t>(rows);
    info.file_bytes = place.pages_bytes + place.meta_stored;
    for (std::uint64_t s = 0; s < listed && !reader.failed(); ++s) {
      StreamTotals totals;
      const std::uint64_t stream = reader.read_varint();
      if (stream >= streams.size()) return damaged("streams of a row group");
      totals.stream = static_cast<std::uint32_t>(stream);
      totals.entries = reader.read_varint();
      totals.line_bytes = reader.read_varint();
      totals.min_time_ns = reader.read_le<std::int64_t>();
      totals.max_time_ns = static_cast<std::int64_t>(
          static_cast<std::uint64_t>(totals.min_time_ns) + reader.read_varint());
      const bool first = info.streams.empty();
      info.min_time_ns =
          first ? totals.min_time_ns : std::min(info.min_time_ns, totals.min_time_ns);
      info.max_time_ns =
          first ? totals.max_time_ns : std::max(info.max_time_ns, totals.max_time_ns);
      info.line_bytes += totals.line_bytes;
      if (totals.line_bytes > kRowGroupBytesMax || info.line_bytes > kRowGroupBytesMax)
        return damaged("line bytes of a row group");
      info.streams.push_back(totals);
    }
    places.push_back(place);
    groups.push_back(std::move(info));
  }
  return {};
}

base::Status PartReader::Impl::read_search_place(base::ByteReader& reader,
                                                 std::uint64_t footer_offset) {
  const std::uint64_t bytes = reader.read_varint();
  if (bytes == 0) return {};
  summary.search.offset = reader.read_varint();
  summary.search.crc = reader.read_le<std::uint32_t>();
  if (bytes > kFooterBytesMax || summary.search.offset > footer_offset ||
      bytes > footer_offset - summary.search.offset)
    return damaged("place of the search summary");
  summary.search.bytes = static_cast<std::uint32_t>(bytes);
  return {};
}

void PartReader::Impl::summarize() {
  std::vector<StreamTotals> totals(streams.size());
  summary.file_bytes = file->bytes().size();
  for (const RowGroupInfo& info : groups) {
    const bool first = summary.entries == 0;
    summary.entries += info.rows;
    summary.line_bytes += info.line_bytes;
    summary.min_time_ns =
        first ? info.min_time_ns : std::min(summary.min_time_ns, info.min_time_ns);
    summary.max_time_ns =
        first ? info.max_time_ns : std::max(summary.max_time_ns, info.max_time_ns);
    for (const StreamTotals& stream : info.streams) {
      StreamTotals& total = totals[stream.stream];
      const bool fresh = total.entries == 0;
      total.stream = stream.stream;
      total.entries += stream.entries;
      total.line_bytes += stream.line_bytes;
      total.min_time_ns =
          fresh ? stream.min_time_ns : std::min(total.min_time_ns, stream.min_time_ns);
      total.max_time_ns =
          fresh ? stream.max_time_ns : std::max(total.max_time_ns, stream.max_time_ns);
    }
  }
  for (const StreamTotals& total : totals)
    if (total.entries > 0) summary.streams.push_back(total);
}

namespace {

std::uint64_t memory_of(const ColumnSpec& column) {
  std::uint64_t bytes =
      sizeof(ColumnSpec) + column.entries.entries.size() * sizeof(std::string_view);
  for (const ColumnSpec& child : column.children) bytes += memory_of(child);
  return bytes;
}

std::uint64_t memory_of(const GroupSpec& group) {
  constexpr std::uint64_t kFieldBytes = 160;  // of a shape: path, key, statistics
  std::uint64_t bytes = sizeof(GroupSpec) + group.meta.size();
  for (const BlockSpec& block : group.blocks) {
    bytes += sizeof(BlockSpec) + block.columns.size() * kFieldBytes +
             block.streams.size() * sizeof(StreamTotals);
    for (const ColumnSpec& column : block.columns) bytes += memory_of(column);
  }
  return bytes;
}

}  // namespace

base::Result<std::shared_ptr<const GroupSpec>> PartReader::Impl::group(std::size_t index) const {
  {
    const std::lock_guard lock(mutex);
    if (parsed[index] != nullptr) return parsed[index];
  }
  SKALD_TRY_ASSIGN(auto group,
                   parse_group(file->bytes(), places[index], groups[index], streams.size(),
                               "part " + name + ": row group " + std::to_string(index),
                               static_cast<std::uint32_t>(index)));
  const std::lock_guard lock(mutex);
  if (parsed[index] == nullptr) {
    parsed_bytes += memory_of(*group);
    parsed[index] = std::move(group);
  }
  return parsed[index];
}

PartReader::PartReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
PartReader::~PartReader() = default;

base::Result<std::shared_ptr<const PartReader>> PartReader::open(
    std::shared_ptr<const base::MappedFile> file, std::string name) {
  auto impl = std::make_unique<Impl>();
  impl->file = std::move(file);
  impl->name = std::move(name);
  SKALD_TRY(impl->open());
  return std::shared_ptr<const PartReader>(new PartReader(std::move(impl)));
}

const std::string& PartReader::name() const noexcept { return impl_->name; }
std::uint64_t PartReader::file_bytes() const noexcept { return impl_->summary.file_bytes; }
std::span<const StreamInfo> PartReader::streams() const noexcept { return impl_->streams; }
std::span<const RowGroupInfo> PartReader::row_groups() const noexcept { return impl_->groups; }
const PartSummary& PartReader::summary() const noexcept { return impl_->summary; }
std::uint64_t PartReader::memory_bytes() const noexcept { return impl_->parsed_bytes; }

base::Result<std::shared_ptr<const GroupSpec>> PartReader::group_for_tools(
    std::size_t row_group) const {
  return impl_->group(row_group);
}

bool PartReader::may_match(const LineFilter& filter) const {
  for (std::size_t i = 0; i < impl_->groups.size(); ++i) {
    const auto blocks = blocks_that_may_match({&filter, 1}, i);
    if (!blocks || !blocks->empty()) return true;
  }
  return false;
}

std::optional<BlockNumbers> PartReader::blocks_that_may_match(std::span<const LineFilter> filters,
                                                              std::size_t row_group) const {
  const auto group = impl_->group(row_group);
  if (!group.ok()) return std::nullopt;
  BlockNumbers blocks = group.value()->blocks_that_may_match(filters);
  impl_->release_once(row_group, impl_->was_searched);
  return blocks;
}

base::Result<std::vector<std::unique_ptr<Block>>> PartReader::open_row_group(
    std::size_t row_group, std::shared_ptr<const BlockContext> context,
    const BlockNumbers* only) const {
  SKALD_TRY_ASSIGN(const auto group, impl_->group(row_group));
  const auto owner = std::make_shared<const OpenGroup>(shared_from_this(), row_group);
  std::vector<std::unique_ptr<Block>> blocks;
  const auto open = [&](std::size_t i) {
    const BlockSpec& block = group->blocks[i];
    if (!context->range.overlaps(block.min_time_ns, block.max_time_ns)) return;
    if (std::none_of(block.streams.begin(), block.streams.end(), [&](const StreamTotals& stream) {
          return stream.stream < context->streams.size() &&
                 context->streams[stream.stream] != kNotSelected;
        }))
      return;
    blocks.push_back(make_column_block(owner, group, i, context));
  };
  if (only != nullptr)
    for (const std::uint32_t i : *only) open(i);
  else
    for (std::size_t i = 0; i < group->blocks.size(); ++i) open(i);
  return blocks;
}

base::Result<RowGroupRows> PartReader::read_rows(std::size_t row_group) const {
  auto context = std::make_shared<BlockContext>();
  for (std::uint32_t s = 0; s < impl_->streams.size(); ++s) context->streams.push_back(s);
  context->range = {std::numeric_limits<model::TimestampNs>::min(),
                    std::numeric_limits<model::TimestampNs>::max()};
  SKALD_TRY_ASSIGN(const auto group, impl_->group(row_group));
  struct Ranked {
    RowGroupRows::Row row;
    std::uint32_t rank;
  };
  RowGroupRows out;
  out.metadata.emplace_back();
  const auto owner = std::make_shared<const OpenGroup>(shared_from_this(), row_group);
  std::vector<Ranked> ranked;
  ranked.reserve(impl_->groups[row_group].rows);
  for (std::size_t i = 0; i < group->blocks.size(); ++i) {
    const std::shared_ptr<Block> block = make_column_block(owner, group, i, context);
    const Selection all(block->rows(), true);
    TextColumn lines;
    SKALD_TRY(block->read_lines(all, lines));
    SKALD_TRY_ASSIGN(const auto times, block->timestamps());
    SKALD_TRY_ASSIGN(const auto streams, block->streams());
    SKALD_TRY_ASSIGN(const auto ranks, block->ranks());
    std::vector<model::Labels> metadata;
    if (block->has_metadata()) SKALD_TRY(block->read_metadata(all, metadata));
    for (std::uint32_t row = 0; row < block->rows(); ++row) {
      RowGroupRows::Row one{streams[row], 0, times[row], lines.at(row)};
      if (!metadata.empty() && !metadata[row].empty()) {
        one.metadata = static_cast<std::uint32_t>(out.metadata.size());
        out.metadata.push_back(std::move(metadata[row]));
      }
      ranked.push_back({one, ranks.empty() ? 0 : ranks[row]});
    }
    for (auto& bytes : lines.storage) out.storage.push_back(std::move(bytes));
    if (block->shape().kind == Shape::Kind::kText) out.owners.push_back(block);
  }
  std::sort(ranked.begin(), ranked.end(), [](const Ranked& a, const Ranked& b) {
    return a.row.timestamp_ns != b.row.timestamp_ns ? a.row.timestamp_ns < b.row.timestamp_ns
           : a.rank != b.rank                       ? a.rank < b.rank
                                                    : a.row.stream < b.row.stream;
  });
  out.rows.reserve(ranked.size());
  for (const Ranked& one : ranked) out.rows.push_back(one.row);
  return out;
}

base::Status PartReader::verify() const {
  for (std::size_t i = 0; i < impl_->groups.size(); ++i) {
    SKALD_TRY_ASSIGN(const auto group, impl_->group(i));
    SKALD_TRY(group->shared.verify_filters());
    SKALD_TRY(read_rows(i));
  }
  const SummaryPlace& search = impl_->summary.search;
  if (search.bytes == 0) return {};
  const std::string_view stored = impl_->file->bytes().substr(search.offset, search.bytes);
  if (base::crc32c(stored) != search.crc) return impl_->damaged("checksum of the search summary");
  return SearchSummary::parse(std::string(stored)).status();
}

}  // namespace skald::store::part
