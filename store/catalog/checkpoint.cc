#include "store/catalog/checkpoint.h"

#include "proto/base/bytes.h"
#include "proto/base/crc32c.h"

namespace skald::store::catalog {
namespace {

constexpr std::string_view kMagic = "SKALDCKP";
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kHeaderBytes = 16;

}  // namespace

std::string encode_checkpoint(const Checkpoint& checkpoint) {
  std::string body;
  base::put_varint(body, checkpoint.sealed_through);
  base::put_le(body, checkpoint.hash_seed);
  base::put_varint(body, checkpoint.marks.size());
  for (const auto& [tenant, table] : checkpoint.marks) {
    base::put_bytes(body, tenant);
    base::put_varint(body, table.size());
    table.for_each([&](const std::string& agent, const std::string& file, const StoredMark& mark) {
      base::put_bytes(body, agent);
      base::put_bytes(body, file);
      base::put_varint(body, mark.end_offset);
      base::put_varint(body, base::zigzag(mark.touched_ns));
    });
  }
  base::put_bytes(body, checkpoint.recent);
  std::string out(kMagic);
  base::put_le(out, kVersion);
  base::put_le(out, base::crc32c(body));
  return out + body;
}

base::Result<Checkpoint> decode_checkpoint(std::string_view bytes) {
  if (bytes.size() < kHeaderBytes || bytes.substr(0, 8) != kMagic)
    return base::corrupt("not a checkpoint: its magic is missing");
  const auto version = base::load_le<std::uint32_t>(bytes.data() + 8);
  if (version != kVersion)
    return base::unsupported("checkpoint of version " + std::to_string(version) +
                             "; this build reads version " + std::to_string(kVersion));
  const std::string_view body = bytes.substr(kHeaderBytes);
  if (base::load_le<std::uint32_t>(bytes.data() + 12) != base::crc32c(body))
    return base::corrupt("checkpoint: checksum does not match");
  base::ByteReader reader(body);
  Checkpoint out;
  out.sealed_through = reader.read_varint();
  out.hash_seed = reader.read_le<std::uint64_t>();
  const std::uint64_t tenants = reader.read_varint();
  for (std::uint64_t t = 0; t < tenants && !reader.failed(); ++t) {
    MarkTable& table = out.marks[std::string(reader.read_bytes())];
    const std::uint64_t marks = reader.read_varint();
    for (std::uint64_t i = 0; i < marks && !reader.failed(); ++i) {
      const std::string_view agent = reader.read_bytes();
      const std::string_view file = reader.read_bytes();
      StoredMark mark;
      mark.end_offset = reader.read_varint();
      mark.touched_ns = base::unzigzag(reader.read_varint());
      if (!reader.failed()) table.raise(agent, file, mark);
    }
  }
  out.recent = reader.read_bytes();
  if (reader.failed() || !reader.done() || out.recent.size() % 8 != 0)
    return base::corrupt("checkpoint: contents do not end where they should");
  return out;
}

}  // namespace skald::store::catalog
