#include "query/alert/state_file.h"

#include <bit>

#include "proto/base/bytes.h"
#include "proto/base/crc32c.h"
#include "query/alert/limits.h"

namespace skald::query::alert {
namespace {

constexpr std::string_view kMagic = "SKALDRUL";
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kHeaderSize = 8 + 4 + 8 + 8 + 4;

template <typename Pairs>
void put_pairs(std::string& out, const Pairs& pairs) {
  base::put_varint(out, pairs.size());
  for (const auto& [name, value] : pairs) {
    base::put_bytes(out, name);
    base::put_bytes(out, value);
  }
}

std::vector<model::Labels::Pair> read_pairs(base::ByteReader& in) {
  std::vector<model::Labels::Pair> out;
  for (std::uint64_t n = in.read_varint(); n > 0 && !in.failed(); --n) {
    std::string name(in.read_bytes());
    out.emplace_back(std::move(name), std::string(in.read_bytes()));
  }
  return out;
}

void put_alert(std::string& out, const Alert& alert) {
  base::put_le(out, static_cast<std::uint8_t>(alert.state));
  put_pairs(out, alert.labels.pairs());
  put_pairs(out, alert.annotations.pairs());
  base::put_le(out, std::bit_cast<std::uint64_t>(alert.value));
  for (const std::int64_t time :
       {alert.active_at_ns, alert.fired_at_ns, alert.resolved_at_ns, alert.last_sent_at_ns,
        alert.valid_until_ns, alert.keep_firing_since_ns})
    base::put_varint(out, base::zigzag(time));
}

bool read_alert(base::ByteReader& in, Alert& alert) {
  const auto state = in.read_le<std::uint8_t>();
  if (state > static_cast<std::uint8_t>(AlertState::kFiring)) return false;
  alert.state = static_cast<AlertState>(state);
  alert.labels = model::Labels::from_pairs(read_pairs(in));
  alert.annotations = model::Labels::from_pairs(read_pairs(in));
  alert.value = std::bit_cast<double>(in.read_le<std::uint64_t>());
  for (std::int64_t* time :
       {&alert.active_at_ns, &alert.fired_at_ns, &alert.resolved_at_ns, &alert.last_sent_at_ns,
        &alert.valid_until_ns, &alert.keep_firing_since_ns})
    *time = base::unzigzag(in.read_varint());
  return !in.failed();
}

bool read_entry(base::ByteReader& in, SavedAlerts& entry) {
  entry.group.tenant = in.read_bytes();
  entry.group.space = in.read_bytes();
  entry.group.name = in.read_bytes();
  entry.rule = in.read_bytes();
  for (auto& [name, value] : read_pairs(in)) entry.rule_labels.emplace(name, value);
  for (std::uint64_t n = in.read_varint(); n > 0 && !in.failed(); --n)
    if (!read_alert(in, entry.alerts.emplace_back())) return false;
  return !in.failed();
}

}  // namespace

std::string encode_state(const SavedState& state) {
  std::string payload;
  base::put_varint(payload, state.alerts.size());
  for (const SavedAlerts& entry : state.alerts) {
    base::put_bytes(payload, entry.group.tenant);
    base::put_bytes(payload, entry.group.space);
    base::put_bytes(payload, entry.group.name);
    base::put_bytes(payload, entry.rule);
    put_pairs(payload, entry.rule_labels);
    base::put_varint(payload, entry.alerts.size());
    for (const Alert& alert : entry.alerts) put_alert(payload, alert);
  }
  std::string out(kMagic);
  base::put_le(out, kVersion);
  base::put_le(out, state.saved_at_ns);
  base::put_le(out, static_cast<std::uint64_t>(payload.size()));
  base::put_le(out, base::crc32c(payload, base::crc32c(out)));
  return out + payload;
}

base::Result<SavedState> decode_state(std::string_view bytes) {
  if (bytes.size() < kHeaderSize || !bytes.starts_with(kMagic))
    return base::corrupt("not a ruler state file");
  base::ByteReader header(bytes.substr(kMagic.size()));
  const auto version = header.read_le<std::uint32_t>();
  if (version != kVersion)
    return base::unsupported("ruler state file of version " + std::to_string(version));
  SavedState state;
  state.saved_at_ns = header.read_le<std::int64_t>();
  const auto size = header.read_le<std::uint64_t>();
  const auto checksum = header.read_le<std::uint32_t>();
  const std::string_view payload = bytes.substr(kHeaderSize);
  if (payload.size() != size) return base::corrupt("ruler state file: wrong length");
  const auto seed = base::crc32c(bytes.substr(0, kHeaderSize - 4));
  if (base::crc32c(payload, seed) != checksum)
    return base::corrupt("ruler state file: checksum does not match");
  base::ByteReader in(payload);
  for (std::uint64_t n = in.read_varint(); n > 0 && !in.failed(); --n)
    if (!read_entry(in, state.alerts.emplace_back()))
      return base::corrupt("ruler state file: malformed entry");
  if (in.failed() || !in.done()) return base::corrupt("ruler state file: malformed payload");
  return state;
}

}  // namespace skald::query::alert
