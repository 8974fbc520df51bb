#include "store/part/column_encoder.h"

#include <algorithm>
#include <array>

#include "proto/base/check.h"
#include "store/part/bloom.h"
#include "store/part/column_format.h"
#include "store/part/intpack.h"
#include "store/part/search.h"
#include "store/part/short_bytes.h"

namespace skald::store::part {
namespace {

using base::put_varint;
using Values = std::span<const std::string_view>;

constexpr std::size_t kSampleRows = 256;

EncodedColumn start(Encoding encoding) {
  EncodedColumn column;
  column.spec.push_back(static_cast<char>(encoding));
  return column;
}

std::vector<std::string_view> sample_of(Values values) {
  std::vector<std::string_view> sample;
  const std::size_t step = std::max<std::size_t>(1, values.size() / kSampleRows);
  for (std::size_t i = 0; i < values.size() && sample.size() < kSampleRows; i += step)
    sample.push_back(values[i]);
  return sample;
}

// How many values differ, as far as their hashes tell: it only chooses what to try.
std::size_t distinct_of(Values sample) {
  std::array<std::uint64_t, 2 * kSampleRows> slots{};
  std::size_t distinct = 0;
  for (const std::string_view value : sample) {
    const std::uint64_t hash = hash_bytes(value, kTableSeed) | 1;
    std::size_t slot = (hash >> 32) % slots.size();
    while (slots[slot] != 0 && slots[slot] != hash) slot = (slot + 1) % slots.size();
    distinct += slots[slot] == 0;
    slots[slot] = hash;
  }
  return distinct;
}

struct DecimalColumn {
  std::vector<Decimal> parsed;
  std::vector<bool> bad;
  unsigned scale = 0;
  DecimalRule rule = DecimalRule::kFixed;
};

// The scale that covers nearly all rows, and the rule that the fewest contradict.
void choose_decimal_form(DecimalColumn& column, std::size_t rows) {
  std::size_t by_decimals[kDecimalScaleMax + 1] = {};
  std::size_t zero_tail = 0;  // a trailing zero beyond "x.0": not shortest
  std::size_t bare_zero = 0;  // "x.0": not bare
  for (std::size_t i = 0; i < rows; ++i) {
    if (column.bad[i]) continue;
    const Decimal& value = column.parsed[i];
    ++by_decimals[value.decimals];
    if (value.decimals == 0 || value.mantissa % 10 != 0) continue;
    if (value.decimals > 1)
      ++zero_tail;
    else
      ++bare_zero;
  }
  std::size_t above = 0;
  unsigned scale = kDecimalScaleMax;
  for (; scale > 0; --scale) {
    above += by_decimals[scale];
    if (above > rows / 128) break;
  }
  column.scale = scale;
  const std::size_t not_fixed = rows - by_decimals[scale];
  const std::size_t not_shortest = zero_tail + by_decimals[0];
  const std::size_t not_bare = zero_tail + bare_zero;
  if (not_fixed <= not_shortest && not_fixed <= not_bare)
    column.rule = DecimalRule::kFixed;
  else
    column.rule = not_shortest <= not_bare ? DecimalRule::kShortest : DecimalRule::kBare;
}

// True if writing the value in the column's form gives its text back; then its mantissa is scaled.
bool conforms(const DecimalColumn& column, Decimal& value) {
  if (value.decimals > column.scale) return false;
  const bool zero_tail = value.decimals > 0 && value.mantissa % 10 == 0;
  switch (column.rule) {
    case DecimalRule::kFixed:
      if (value.decimals != column.scale) return false;
      break;
    case DecimalRule::kShortest:
      if (value.decimals == 0 || (zero_tail && value.decimals > 1)) return false;
      break;
    case DecimalRule::kBare:
      if (zero_tail) return false;
      break;
  }
  const std::int64_t factor = kPowersOfTen[column.scale - value.decimals];
  if (value.mantissa > kDecimalMantissaMax / factor ||
      value.mantissa < -kDecimalMantissaMax / factor)
    return false;
  value.mantissa *= factor;
  return true;
}

void put_exceptions(Values values, const std::vector<bool>& bad, PageWriter& pages,
                    std::string& spec) {
  std::string list;
  std::vector<std::string_view> listed;
  std::size_t last = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!bad[i]) continue;
    listed.push_back(values[i]);
    put_varint(list, i - last);
    base::put_bytes(list, values[i]);
    last = i;
  }
  put_varint(spec, listed.size());
  if (listed.empty()) return;
  put_stamp(listed, spec);
  pages.put(list, Content::kText, spec);
}

std::optional<EncodedColumn> encode_decimal(EncodeContext& context, const ColumnInput& input) {
  const std::size_t rows = input.values.size();
  DecimalColumn column;
  column.parsed.resize(rows);
  column.bad.resize(rows);
  std::size_t bad = 0;
  const std::size_t bad_max = rows / 16;
  for (std::size_t i = 0; i < rows; ++i)
    if (!parse_decimal(input.values[i], column.parsed[i])) {
      column.bad[i] = true;
      if (++bad > bad_max) return std::nullopt;
    }
  choose_decimal_form(column, rows);
  std::int64_t min = kDecimalMantissaMax, max = -kDecimalMantissaMax;
  for (std::size_t i = 0; i < rows; ++i) {
    if (column.bad[i]) continue;
    if (!conforms(column, column.parsed[i])) {
      column.bad[i] = true;
      if (++bad > bad_max) return std::nullopt;
      continue;
    }
    min = std::min(min, column.parsed[i].mantissa);
    max = std::max(max, column.parsed[i].mantissa);
  }
  if (bad == rows) return std::nullopt;
  EncodedColumn encoded = start(Encoding::kDecimal);
  encoded.spec.push_back(static_cast<char>(column.scale));
  encoded.spec.push_back(static_cast<char>(column.rule));
  put_varint(encoded.spec, base::zigzag(min));
  put_varint(encoded.spec, base::zigzag(max));
  std::vector<std::uint64_t> numbers(rows);
  for (std::size_t i = 0; i < rows; ++i)
    if (!column.bad[i]) numbers[i] = static_cast<std::uint64_t>(column.parsed[i].mantissa - min);
  encode_ints(numbers, IntsHint::kOrdered, context.pages, encoded.spec);
  put_exceptions(input.values, column.bad, context.pages, encoded.spec);
  return encoded;
}

std::optional<EncodedColumn> encode_timestamps(EncodeContext& context, const ColumnInput& input) {
  const std::size_t prefix = timestamp_prefix(input.values[0]);
  if (prefix == 0 || input.values[0].size() - prefix > kTimestampSuffixMax) return std::nullopt;
  const TimestampFormat format = timestamp_format_of(input.values[0], prefix);
  const std::int64_t unit = kPowersOfTen[9 - format.fraction];
  std::vector<std::uint64_t> differences(input.values.size());
  for (std::size_t i = 0; i < input.values.size(); ++i) {
    std::int64_t ns = 0;
    if (!parse_timestamp(input.values[i], format, ns)) return std::nullopt;
    std::int64_t own = input.times[i] / unit;
    own -= input.times[i] % unit < 0;
    differences[i] = base::zigzag(ns / unit - (ns % unit < 0) - own);
  }
  EncodedColumn encoded = start(Encoding::kTimestamp);
  encoded.spec.push_back(format.separator);
  encoded.spec.push_back(format.point);
  encoded.spec.push_back(static_cast<char>(format.fraction));
  base::put_bytes(encoded.spec, format.suffix);
  encode_ints(differences, IntsHint::kOrdered, context.pages, encoded.spec);
  return encoded;
}

std::optional<EncodedColumn> encode_uuids(EncodeContext& context, const ColumnInput& input) {
  std::vector<Uuid> uuids(input.values.size());
  for (std::size_t i = 0; i < uuids.size(); ++i)
    if (input.values[i].size() != kUuidTextBytes || !parse_uuid(input.values[i].data(), uuids[i]))
      return std::nullopt;
  EncodedColumn encoded = start(Encoding::kUuid);
  encoded.is_uuid = true;
  encoded.uuid_ids.resize(uuids.size());
  for (std::size_t i = 0; i < uuids.size(); ++i)
    encoded.uuid_ids[i] = context.uuids.insert(uuids[i], input.times[i]);
  return encoded;
}

std::optional<EncodedColumn> encode_hex(EncodeContext& context, const ColumnInput& input) {
  const std::size_t size = input.values[0].size();
  if (size < 8 || size % 2 != 0 || size / 2 > kHexBytesMax) return std::nullopt;
  std::string bytes(input.values.size() * (size / 2), '\0');
  for (std::size_t i = 0; i < input.values.size(); ++i)
    if (input.values[i].size() != size ||
        !hex_decode(input.values[i], bytes.data() + i * (size / 2)))
      return std::nullopt;
  EncodedColumn encoded = start(Encoding::kHex);
  put_varint(encoded.spec, size / 2);
  if (size / 2 >= kFilteredHexBytesMin)
    for (std::size_t at = 0; at < bytes.size(); at += size / 2)
      context.identifiers.push_back(bloom_hash(std::string_view(bytes).substr(at, size / 2)));
  context.pages.put(bytes, Content::kRandom, encoded.spec);
  return encoded;
}

std::optional<EncodedColumn> encode_ipv4(EncodeContext& context, const ColumnInput& input) {
  std::vector<std::uint64_t> addresses(input.values.size());
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    std::uint32_t address = 0;
    if (!parse_ipv4(input.values[i], address)) return std::nullopt;
    addresses[i] = address;
  }
  EncodedColumn encoded = start(Encoding::kIpv4);
  encode_ints(addresses, IntsHint::kPlain, context.pages, encoded.spec);
  return encoded;
}

std::optional<EncodedColumn> encode_digits(EncodeContext& context, const ColumnInput& input) {
  const std::size_t width = input.values[0].size();
  if (width == 0 || width > 18) return std::nullopt;
  std::vector<std::uint64_t> numbers(input.values.size());
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    if (input.values[i].size() != width) return std::nullopt;
    std::uint64_t number = 0;
    for (const char c : input.values[i]) {
      if (c < '0' || c > '9') return std::nullopt;
      number = number * 10 + static_cast<unsigned>(c - '0');
    }
    numbers[i] = number;
  }
  EncodedColumn encoded = start(Encoding::kDigits);
  put_varint(encoded.spec, width);
  encode_ints(numbers, IntsHint::kOrdered, context.pages, encoded.spec);
  return encoded;
}

// Worth it only when the map is clearly shorter than the column.
std::optional<EncodedColumn> encode_derived(EncodeContext& context, const ColumnInput& input) {
  const Determinant& key = *input.determinant;
  const std::size_t rows = input.values.size();
  if (std::size_t{key.distinct} * 4 > rows * 3) return std::nullopt;
  std::vector<std::string_view> map(key.distinct);
  std::vector<model::TimestampNs> times(key.distinct);
  std::uint32_t seen = 0;
  for (std::size_t i = 0; i < rows; ++i) {
    const std::uint32_t id = key.ids[i];
    if (id == seen) {
      map[seen] = input.values[i];
      times[seen++] = input.times[i];
    } else if (!equal_bytes(map[id], input.values[i])) {
      return std::nullopt;
    }
  }
  EncodedColumn encoded = start(Encoding::kDerived);
  put_varint(encoded.spec, key.column);
  put_varint(encoded.spec, key.distinct);
  encoded.children.push_back(encode_column(
      context, {.values = map, .times = times, .tokens = input.tokens, .depth = input.depth + 1}));
  return encoded;
}

std::optional<EncodedColumn> encode_special(EncodeContext& context, const ColumnInput& input,
                                            Values sample) {
  const auto all = [&](auto&& test) { return std::all_of(sample.begin(), sample.end(), test); };
  Uuid uuid;
  std::uint32_t address;
  if (all([&](std::string_view v) {
        return v.size() == kUuidTextBytes && parse_uuid(v.data(), uuid);
      }))
    if (auto column = encode_uuids(context, input)) return column;
  if (all([](std::string_view v) { return timestamp_prefix(v) != 0; }))
    if (auto column = encode_timestamps(context, input)) return column;
  if (all([&](std::string_view v) { return parse_ipv4(v, address); }))
    if (auto column = encode_ipv4(context, input)) return column;
  const std::size_t size = sample[0].size();
  if (all([&](std::string_view v) { return v.size() == size; })) {
    if (auto column = encode_digits(context, input)) return column;
    if (auto column = encode_hex(context, input)) return column;
  }
  Decimal decimal;
  if (all([&](std::string_view v) { return parse_decimal(v, decimal); }))
    if (auto column = encode_decimal(context, input)) return column;
  return std::nullopt;
}

bool holds_uuid(std::string_view text) {
  Uuid uuid;
  for (std::size_t dash = text.find('-'); dash < text.size(); dash = text.find('-', dash + 1))
    if (dash >= 8 && text.size() - dash >= kUuidTextBytes - 8 &&
        parse_uuid(text.data() + dash - 8, uuid))
      return true;
  return false;
}

EncodedColumn encode_strings(EncodeContext& context, const ColumnInput& input) {
  const auto rows = static_cast<std::uint32_t>(input.values.size());
  const std::vector<std::string_view> sample = sample_of(input.values);
  const std::size_t distinct = distinct_of(sample);
  // Strings around UUIDs go to the shared table: shorter, and an absent one is proved absent.
  const bool identifiers =
      distinct > 16 && std::any_of(sample.begin(), sample.begin() + 16, holds_uuid);
  if (distinct * 4 <= sample.size() && !identifiers)
    if (auto column = encode_dictionary(context, input, rows / 4 + 2)) return std::move(*column);
  if (auto column = encode_special(context, input, sample)) return std::move(*column);
  if (distinct * 3 <= sample.size() * 2 && !identifiers)
    if (auto column = encode_dictionary(context, input, rows / 8 + 2)) return std::move(*column);
  if (input.depth < 3)
    if (auto column = encode_template(context, input)) return std::move(*column);
  if (auto column = encode_words(context, input)) return std::move(*column);
  if (auto column = encode_dictionary(context, input, rows / 2 + 2)) return std::move(*column);
  return encode_text(context, input);
}

}  // namespace

// The slot that holds the value, or the free one where it belongs.
std::size_t StringTable::slot_of(std::string_view value, std::uint64_t hash) const {
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot = hash & mask;
  for (; slots_[slot] != 0; slot = (slot + 1) & mask) {
    const std::uint32_t id = slots_[slot] - 1;
    if (hashes_[id] == hash && equal_bytes(entries_[id], value)) break;
  }
  return slot;
}

std::uint32_t StringTable::find(std::string_view value) const {
  return slots_[slot_of(value, hash_bytes(value, kTableSeed))] - 1;  // a free slot is 0: kFull
}

std::uint32_t StringTable::insert(std::string_view value) {
  const std::uint64_t hash = hash_bytes(value, kTableSeed);
  const std::size_t slot = slot_of(value, hash);
  if (slots_[slot] != 0) return slots_[slot] - 1;
  if (entries_.size() >= limit_) return kFull;
  entries_.push_back(value);
  hashes_.push_back(hash);
  slots_[slot] = static_cast<std::uint32_t>(entries_.size());
  if (entries_.size() * 2 > slots_.size()) grow();
  return static_cast<std::uint32_t>(entries_.size() - 1);
}

void StringTable::grow() {
  slots_.assign(slots_.size() * 4, 0);
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t id = 0; id < entries_.size(); ++id) {
    std::size_t slot = hashes_[id] & mask;
    while (slots_[slot] != 0) slot = (slot + 1) & mask;
    slots_[slot] = static_cast<std::uint32_t>(id + 1);
  }
}

void put_stamp(std::span<const std::string_view> values, std::string& spec) {
  bool seen[256] = {};
  std::size_t longest = 0;
  for (const std::string_view value : values) {
    longest = std::max(longest, value.size());
    for (const char c : value) seen[static_cast<unsigned char>(c)] = true;
  }
  ByteSet bytes;
  for (unsigned i = 0; i < 256; ++i)
    if (seen[i]) bytes.add(static_cast<unsigned char>(i));
  for (const std::uint64_t word : bytes.words()) base::put_le(spec, word);
  put_varint(spec, longest);
}

void put_entries(std::span<const std::string_view> entries, PageWriter& pages, std::string& spec) {
  std::string list;
  for (const std::string_view entry : entries) put_varint(list, entry.size());
  for (const std::string_view entry : entries) list.append(entry);
  put_varint(spec, entries.size());
  const bool inlined = list.size() <= kDictionaryInlineMax;
  spec.push_back(inlined ? 1 : 0);
  if (inlined) {
    base::put_bytes(spec, list);
    return;
  }
  put_stamp(entries, spec);
  pages.put(list, Content::kText, spec);
}

std::optional<EncodedColumn> encode_dictionary(EncodeContext& context, const ColumnInput& input,
                                               std::uint32_t distinct_max) {
  StringTable table(std::min(distinct_max, kDictionaryMax));
  std::vector<std::uint64_t> ids(input.values.size());
  std::uint32_t last = StringTable::kFull;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const std::string_view value = input.values[i];
    if (last == StringTable::kFull || !equal_bytes(table.entries()[last], value))
      last = table.insert(value);
    if (last == StringTable::kFull) return std::nullopt;
    ids[i] = last;
  }
  EncodedColumn encoded = start(Encoding::kDictionary);
  put_entries(table.entries(), context.pages, encoded.spec);
  encode_ints(ids, table.entries().size() > 256 ? IntsHint::kOrdered : IntsHint::kPlain,
              context.pages, encoded.spec);
  return encoded;
}

EncodedColumn encode_text(EncodeContext& context, const ColumnInput& input) {
  EncodedColumn encoded = start(Encoding::kText);
  std::vector<std::uint64_t> sizes;
  sizes.reserve(input.values.size());
  std::string text;
  for (const std::string_view value : input.values) {
    sizes.push_back(value.size());
    text.append(value);
  }
  put_stamp(input.values, encoded.spec);
  encode_ints(sizes, IntsHint::kPlain, context.pages, encoded.spec);
  context.pages.put(text, Content::kText, encoded.spec);
  return encoded;
}

EncodedColumn encode_constant(std::string_view value) {
  EncodedColumn encoded = start(Encoding::kConstant);
  base::put_bytes(encoded.spec, value);
  return encoded;
}

EncodedColumn encode_column(EncodeContext& context, const ColumnInput& input) {
  CHECK_EQ(input.values.size(), input.times.size());
  CHECK_LT(input.depth, kColumnDepthMax);
  const bool constant =
      std::all_of(input.values.begin(), input.values.end(),
                  [&](std::string_view value) { return value == input.values.front(); });
  if (constant)
    return encode_constant(input.values.empty() ? std::string_view() : input.values.front());
  if (input.determinant != nullptr)
    if (auto column = encode_derived(context, input)) return std::move(*column);
  if (!input.tokens) return encode_strings(context, input);
  const auto rows = static_cast<std::uint32_t>(input.values.size());
  const std::vector<std::string_view> sample = sample_of(input.values);
  if (distinct_of(sample) * 8 <= sample.size())
    if (auto column = encode_dictionary(context, input, std::min(rows / 4 + 2, 1024U)))
      return std::move(*column);
  if (auto column = encode_decimal(context, input)) return std::move(*column);
  if (auto column = encode_dictionary(context, input, rows / 2 + 2)) return std::move(*column);
  return encode_text(context, input);
}

std::optional<Determinant> make_determinant(std::uint32_t column, const EncodedColumn& encoded) {
  if (!encoded.is_uuid) return std::nullopt;
  Determinant determinant;
  determinant.column = column;
  determinant.ids.resize(encoded.uuid_ids.size());
  std::vector<std::uint32_t> number;  // of table id, +1
  for (std::size_t i = 0; i < encoded.uuid_ids.size(); ++i) {
    const std::uint32_t id = encoded.uuid_ids[i];
    if (id >= number.size()) number.resize(id * 2 + 16);
    if (number[id] == 0) number[id] = ++determinant.distinct;
    determinant.ids[i] = number[id] - 1;
  }
  return determinant;
}

void finish_column(EncodeContext& context, const EncodedColumn& column, std::string& out) {
  out.append(column.spec);
  if (column.is_uuid) {
    std::vector<std::uint64_t> ids(column.uuid_ids.size());
    for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = context.uuids.rank()[column.uuid_ids[i]];
    encode_ints(ids, IntsHint::kOrdered, context.pages, out);
  }
  for (const EncodedColumn& child : column.children) finish_column(context, child, out);
}

}  // namespace skald::store::part
