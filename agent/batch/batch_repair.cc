// What is done to a sealed batch that the server did not take: rare, so it works on whole bodies.

#include "agent/batch/batch.h"
#include "proto/base/bytes.h"
#include "proto/wire/decompress.h"
#include "proto/wire/line_block.h"
#include "proto/wire/push_encoder.h"
#include "proto/wire/push_fields.h"

namespace skald::agent {
namespace {

constexpr std::size_t kBodyBytesMax = 64U << 20;

base::Status open_body(const SealedBatch& batch, wire::Buffer& out) {
  wire::Decompressor decompressor;
  return batch.encoding == Encoding::kZstd ? decompressor.zstd(batch.body, kBodyBytesMax, out)
                                           : decompressor.snappy(batch.body, kBodyBytesMax, out);
}

base::Status close_body(std::string_view body, SealedBatch& batch) {
  if (batch.encoding == Encoding::kZstd) return wire::ZstdCompressor(3).compress(body, batch.body);
  wire::compress_snappy(body, batch.body);
  return {};
}

struct Field {
  unsigned number = 0;
  std::string_view payload;  // of a length-delimited field
  std::string_view whole;    // with tag and length
};

// Our own bodies: length-delimited fields only.
bool next_field(std::string_view& rest, Field& field) {
  base::ByteReader reader(rest);
  const std::uint64_t tag = reader.read_varint();
  field.payload = reader.read_bytes();
  if (reader.failed() || (tag & 7) != wire::kLengthDelimited) return false;
  field.number = static_cast<unsigned>(tag >> 3);
  const std::size_t size = rest.size() - reader.remaining();
  field.whole = rest.substr(0, size);
  rest.remove_prefix(size);
  return true;
}

struct Entries {
  std::string_view labels;
  std::vector<std::string> whole;  // encoded `entries` fields
};

// The lines of a block as entries of their own. Writes to the block.
bool read_lines(std::string_view block, std::vector<std::string>& entries) {
  Field text, notes;
  if (!next_field(block, text) || !next_field(block, notes)) return false;
  wire::LineBlockReader lines(const_cast<char*>(text.payload.data()), text.payload.size(),
                              notes.payload);
  model::EntryView entry;
  while (lines.next(entry.line, entry.timestamp_ns))
    wire::append_entry(entries.emplace_back(), entry);
  return !lines.failed();
}

base::Result<std::vector<Entries>> read_streams(std::string_view body) {
  std::vector<Entries> streams;
  Field field;
  while (!body.empty()) {
    if (!next_field(body, field)) return base::internal("own batch does not decode");
    if (field.number != wire::kRequestStreams) continue;
    Entries& stream = streams.emplace_back();
    Field inner;
    for (std::string_view rest = field.payload; !rest.empty();) {
      if (!next_field(rest, inner)) return base::internal("own stream does not decode");
      if (inner.number == wire::kStreamLabels)
        stream.labels = inner.payload;
      else if (inner.number != wire::kStreamLines)
        stream.whole.emplace_back(inner.whole);
      else if (!read_lines(inner.payload, stream.whole))
        return base::internal("own lines do not decode");
    }
  }
  return streams;
}

}  // namespace

base::Result<std::pair<SealedBatch, SealedBatch>> split_batch(const SealedBatch& batch) {
  if (batch.entries < 2) return base::invalid_argument("one entry cannot be split");
  wire::Buffer body;
  SKALD_TRY(open_body(batch, body));
  SKALD_TRY_ASSIGN(const std::vector<Entries> streams, read_streams(body.view()));
  const std::uint64_t first_count = batch.entries / 2;
  std::string halves[2];
  std::uint64_t seen = 0;
  for (const Entries& stream : streams) {
    std::string parts[2];
    for (const std::string& entry : stream.whole) parts[seen++ < first_count ? 0 : 1] += entry;
    for (int i = 0; i < 2; ++i)
      if (!parts[i].empty()) wire::append_stream(halves[i], stream.labels, parts[i]);
  }
  halves[1] += batch.marks;
  std::pair<SealedBatch, SealedBatch> pair;
  pair.first.entries = first_count;
  pair.first.line_bytes = batch.line_bytes * first_count / batch.entries;
  pair.second.entries = batch.entries - first_count;
  pair.second.line_bytes = batch.line_bytes - pair.first.line_bytes;
  pair.second.marks = batch.marks;
  pair.second.spans = batch.spans;
  for (SealedBatch* half : {&pair.first, &pair.second}) {
    half->number = batch.number;
    half->tenant = batch.tenant;
    half->encoding = batch.encoding;
    SKALD_TRY(close_body(halves[half == &pair.first ? 0 : 1], *half));
  }
  return pair;
}

base::Result<SealedBatch> without_entries(const SealedBatch& batch) {
  SealedBatch bare;
  bare.number = batch.number;
  bare.tenant = batch.tenant;
  bare.encoding = batch.encoding;
  bare.marks = batch.marks;
  bare.spans = batch.spans;
  SKALD_TRY(close_body(bare.marks, bare));
  return bare;
}

}  // namespace skald::agent
