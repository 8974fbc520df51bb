#include "store/part/part_writer.h"

#include <algorithm>
#include <optional>

#include "proto/base/check.h"
#include "proto/base/crc32c.h"
#include "store/part/group_encoder.h"
#include "store/part/limits.h"
#include "store/part/part_format.h"
#include "store/part/search_summary.h"

namespace skald::store::part {

struct PartWriter::Impl {
  Impl(WriterOptions options, Sink sink_) : sink(std::move(sink_)), encoder(options.effort) {
    if (options.effort == Effort::kSmall) search.emplace();
  }

  base::Status put(std::string_view bytes) {
    SKALD_TRY(sink(bytes));
    written += bytes.size();
    return {};
  }
  base::Status start();
  base::Status put_search(std::string& footer);
  void put_directory(const EncodedGroup& group, std::uint64_t rows, std::string_view meta);

  Sink sink;
  GroupEncoder encoder;
  // Only where the lines were read anyway and size counts: looking at every byte is too dear for
  // the way of an append.
  std::optional<SummaryBuilder> search;
  std::uint64_t written = 0;
  std::vector<StreamInfo> streams;
  std::string directory;
  std::uint32_t groups = 0;
  PartSummary summary;
  std::vector<StreamTotals> totals;  // by local index
  bool finished = false;
};

namespace {

// A compressed run with what is needed to read it back: stored size, size, crc.
std::string_view pack(Compressor& compressor, std::string_view bytes) {
  const std::string_view packed = compressor.compress(bytes, Content::kText);
  return packed.empty() ? bytes : packed;
}

}  // namespace

base::Status PartWriter::Impl::start() {
  if (written != 0) return {};
  std::string header(kPartMagic);
  base::put_le<std::uint32_t>(header, kPartVersion);
  base::put_le<std::uint32_t>(header, 0);
  return put(header);
}

void PartWriter::Impl::put_directory(const EncodedGroup& group, std::uint64_t rows,
                                     std::string_view meta) {
  base::put_varint(directory, written);
  base::put_varint(directory, group.bytes.size());
  base::put_varint(directory, meta.size());
  base::put_varint(directory, group.meta.size());
  base::put_le<std::uint32_t>(directory, base::crc32c(meta));
  base::put_varint(directory, rows);
  base::put_varint(directory, group.streams.size());
  for (const StreamTotals& stream : group.streams) {
    base::put_varint(directory, stream.stream);
    base::put_varint(directory, stream.entries);
    base::put_varint(directory, stream.line_bytes);
    base::put_le<std::int64_t>(directory, stream.min_time_ns);
    base::put_varint(directory, static_cast<std::uint64_t>(stream.max_time_ns) -
                                    static_cast<std::uint64_t>(stream.min_time_ns));
    StreamTotals& total = totals[stream.stream];
    if (total.entries == 0) {
      total = stream;
      continue;
    }
    total.entries += stream.entries;
    total.line_bytes += stream.line_bytes;
    total.min_time_ns = std::min(total.min_time_ns, stream.min_time_ns);
    total.max_time_ns = std::max(total.max_time_ns, stream.max_time_ns);
  }
}

base::Status PartWriter::Impl::put_search(std::string& footer) {
  if (search && groups > 0) {
    const std::string bytes = search->finish();
    summary.search = {written, static_cast<std::uint32_t>(bytes.size()), base::crc32c(bytes)};
    SKALD_TRY(put(bytes));
  }
  base::put_varint(footer, summary.search.bytes);
  if (summary.search.bytes == 0) return {};
  base::put_varint(footer, summary.search.offset);
  base::put_le(footer, summary.search.crc);
  return {};
}

PartWriter::PartWriter(WriterOptions options, Sink sink)
    : impl_(std::make_unique<Impl>(options, std::move(sink))) {}
PartWriter::~PartWriter() = default;

std::uint32_t PartWriter::add_stream(StreamInfo info) {
  impl_->streams.push_back(std::move(info));
  impl_->totals.emplace_back();
  return static_cast<std::uint32_t>(impl_->streams.size() - 1);
}

base::Status PartWriter::add_row_group(std::span<const InputRow> rows) {
  Impl& impl = *impl_;
  CHECK(!impl.finished);
  if (rows.empty() || rows.size() > kRowGroupRowsMax)
    return base::invalid_argument("a row group holds 1 to " + std::to_string(kRowGroupRowsMax) +
                                  " rows, not " + std::to_string(rows.size()));
  if (impl.groups == kRowGroupsMax || impl.streams.size() > kStreamsMax)
    return base::resource_exhausted("the part has as many row groups or streams as it can hold");
  std::uint64_t bytes = 0;
  for (const InputRow& row : rows) {
    CHECK_LT(row.stream, impl.streams.size());
    if (row.line.size() > kLineBytesMax)
      return base::invalid_argument("a line of " + std::to_string(row.line.size()) +
                                    " bytes is longer than a part can hold");
    bytes += row.line.size();
  }
  if (bytes > kRowGroupBytesMax)
    return base::invalid_argument("a row group of " + std::to_string(bytes) +
                                  " line bytes is larger than a part can hold");
  SKALD_TRY(impl.start());
  EncodedGroup group;
  const LineIdentifiers none;
  const LineIdentifiers& more = impl.search ? impl.search->add_rows(rows) : none;
  impl.encoder.encode(rows, static_cast<std::uint32_t>(impl.streams.size()), more, group);
  if (impl.search) impl.search->add_group(impl.written, group.uuid_filter, group.hex_filter);
  const std::string_view meta = pack(impl.encoder.compressor(), group.meta);
  impl.put_directory(group, rows.size(), meta);
  SKALD_TRY(impl.put(group.bytes));
  SKALD_TRY(impl.put(meta));
  PartSummary& summary = impl.summary;
  const bool first = impl.groups++ == 0;
  summary.entries += rows.size();
  summary.line_bytes += group.line_bytes;
  summary.min_time_ns =
      first ? group.min_time_ns : std::min(summary.min_time_ns, group.min_time_ns);
  summary.max_time_ns =
      first ? group.max_time_ns : std::max(summary.max_time_ns, group.max_time_ns);
  return {};
}

base::Result<PartSummary> PartWriter::finish() {
  Impl& impl = *impl_;
  CHECK(!impl.finished);
  impl.finished = true;
  SKALD_TRY(impl.start());
  std::string footer;
  base::put_varint(footer, impl.streams.size());
  for (const StreamInfo& stream : impl.streams) {
    base::put_le<std::uint64_t>(footer, stream.id.value);
    base::put_varint(footer, stream.labels.size());
    for (const auto& [name, value] : stream.labels) {
      base::put_bytes(footer, name);
      base::put_bytes(footer, value);
    }
  }
  base::put_varint(footer, impl.groups);
  footer.append(impl.directory);
  SKALD_TRY(impl.put_search(footer));
  if (footer.size() > kFooterBytesMax)
    return base::resource_exhausted("the part's footer is larger than a part can hold");
  const std::string_view stored = pack(impl.encoder.compressor(), footer);
  std::string tail;
  base::put_le<std::uint64_t>(tail, impl.written);
  base::put_le(tail, static_cast<std::uint32_t>(stored.size()));
  base::put_le(tail, static_cast<std::uint32_t>(footer.size()));
  base::put_le(tail, base::crc32c(stored));
  base::put_le(tail, base::crc32c(tail));
  tail.append(kTailMagic);
  SKALD_TRY(impl.put(stored));
  SKALD_TRY(impl.put(tail));
  impl.summary.file_bytes = impl.written;
  for (const StreamTotals& total : impl.totals)
    if (total.entries > 0) impl.summary.streams.push_back(total);
  return impl.summary;
}

}  // namespace skald::store::part
