#include "store/retention/delete_log.h"

#include <utility>

#include "proto/base/bytes.h"
#include "proto/base/crc32c.h"

namespace skald::store::retention {
namespace {

constexpr std::string_view kMagic = "SKALDDEL";
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kHeaderBytes = 16;

base::Result<DeleteRecord> read_record(base::ByteReader& reader) {
  DeleteRecord record;
  record.id = reader.read_bytes();
  record.number = reader.read_varint();
  record.query = reader.read_bytes();
  const std::uint64_t matchers = reader.read_varint();
  for (std::uint64_t i = 0; i < matchers && !reader.failed(); ++i) {
    std::string name(reader.read_bytes());
    const auto op = reader.read_le<std::uint8_t>();
    std::string value(reader.read_bytes());
    if (op > 3) return base::corrupt("deletes: unknown matcher");
    SKALD_TRY_ASSIGN(auto matcher,
                     model::Matcher::create(std::move(name), static_cast<model::Matcher::Op>(op),
                                            std::move(value)));
    record.matchers.push_back(std::move(matcher));
  }
  const std::uint64_t filters = reader.read_varint();
  for (std::uint64_t i = 0; i < filters && !reader.failed(); ++i)
    record.line_filters.emplace_back(reader.read_bytes());
  record.range.start_ns = reader.read_le<std::int64_t>();
  record.range.end_ns = reader.read_le<std::int64_t>();
  record.created_ns = reader.read_le<std::int64_t>();
  record.processed = reader.read_le<std::uint8_t>() != 0;
  if (reader.failed()) return base::corrupt("deletes: cut off");
  return record;
}

}  // namespace

std::string encode_deletes(const DeleteList& deletes) {
  std::string body;
  base::put_varint(body, deletes.size());
  for (const auto& record : deletes) {
    base::put_bytes(body, record->id);
    base::put_varint(body, record->number);
    base::put_bytes(body, record->query);
    base::put_varint(body, record->matchers.size());
    for (const auto& matcher : record->matchers) {
      base::put_bytes(body, matcher.name());
      base::put_le(body, static_cast<std::uint8_t>(matcher.op()));
      base::put_bytes(body, matcher.value());
    }
    base::put_varint(body, record->line_filters.size());
    for (const auto& filter : record->line_filters) base::put_bytes(body, filter);
    base::put_le(body, record->range.start_ns);
    base::put_le(body, record->range.end_ns);
    base::put_le(body, record->created_ns);
    base::put_le(body, static_cast<std::uint8_t>(record->processed ? 1 : 0));
  }
  std::string out(kMagic);
  base::put_le(out, kVersion);
  base::put_le(out, base::crc32c(body));
  return out + body;
}

base::Result<DeleteList> decode_deletes(std::string_view bytes) {
  if (bytes.size() < kHeaderBytes || bytes.substr(0, 8) != kMagic)
    return base::corrupt("not a file of deletes: its magic is missing");
  const auto version = base::load_le<std::uint32_t>(bytes.data() + 8);
  if (version != kVersion)
    return base::unsupported("deletes of version " + std::to_string(version) +
                             "; this build reads version " + std::to_string(kVersion));
  const std::string_view body = bytes.substr(kHeaderBytes);
  if (base::load_le<std::uint32_t>(bytes.data() + 12) != base::crc32c(body))
    return base::corrupt("deletes: checksum does not match");
  base::ByteReader reader(body);
  DeleteList out;
  const std::uint64_t count = reader.read_varint();
  for (std::uint64_t i = 0; i < count && !reader.failed(); ++i) {
    SKALD_TRY_ASSIGN(DeleteRecord record, read_record(reader));
    out.push_back(std::make_shared<const DeleteRecord>(std::move(record)));
  }
  if (reader.failed() || !reader.done())
    return base::corrupt("deletes: contents do not end where they should");
  return out;
}

}  // namespace skald::store::retention
