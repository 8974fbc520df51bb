#include "store/part/search_summary.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "proto/base/bytes.h"
#include "proto/base/crc32c.h"
#include "store/part/bloom.h"
#include "store/part/column_format.h"
#include "store/part/limits.h"
#include "store/part/search.h"

namespace skald::store::part {
namespace {

constexpr std::size_t kGramBytes = 4;
// While a part is built; halved at the end until an eighth of the bits is set.
constexpr unsigned kGramBitsLog = 18;
constexpr unsigned kGramBitsLogMin = 10;
constexpr std::size_t kPieceBytes = 4096;  // of a filter, with one checksum
// Shorter runs of hex digits are in too many lines to prove anything.
constexpr std::size_t kRunMin = kFilteredHexBytesMin * 2;
// A run's size is a bit of a 64-bit word, by pairs of digits.
constexpr std::size_t kHashedHexMax = 126;

constexpr std::array<std::uint8_t, 256> kIdentifierBytes = [] {
  std::array<std::uint8_t, 256> out{};
  for (const char c : std::string_view("0123456789abcdefABCDEF-"))
    out[static_cast<unsigned char>(c)] = 1;
  return out;
}();

bool in_identifier(char c) noexcept { return kIdentifierBytes[static_cast<unsigned char>(c)] != 0; }
bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

std::uint32_t gram_hash(const char* at) noexcept {
  std::uint32_t gram;
  std::memcpy(&gram, at, sizeof(gram));
  gram = (gram | 0x20202020U) * 0x9E3779B1U;  // folds more than letters, alike on both sides
  return gram ^ (gram >> 15);
}

// Calls visit(start) of every gram without a digit.
template <typename Visit>
void for_each_gram(std::string_view text, Visit&& visit) {
  std::size_t clean = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    clean = is_digit(text[i]) ? 0 : clean + 1;
    if (clean >= kGramBytes) visit(text.data() + i + 1 - kGramBytes);
  }
}

// Calls visit(run) of every maximal run of identifier bytes that is long enough. Such a run covers
// a position that is a multiple of kRunMin, less one.
template <typename Visit>
void for_each_run(std::string_view text, Visit&& visit) {
  for (std::size_t at = kRunMin - 1; at < text.size(); at += kRunMin) {
    if (!in_identifier(text[at])) continue;
    std::size_t begin = at, end = at + 1;
    while (begin > 0 && in_identifier(text[begin - 1])) --begin;
    while (end < text.size() && in_identifier(text[end])) ++end;
    if (end - begin >= kRunMin) visit(text.substr(begin, end - begin));
    at = std::max(at, (end / kRunMin) * kRunMin - 1);
  }
}

// Calls visit(digits) of every maximal run of hex digits of an identifier run.
template <typename Visit>
void for_each_hex(std::string_view run, Visit&& visit) {
  std::size_t begin = 0;
  while (begin < run.size()) {
    const std::size_t end = std::min(run.find('-', begin), run.size());
    if (end - begin >= kRunMin) visit(run.substr(begin, end - begin));
    begin = end + 1;
  }
}

// Calls visit(uuid) of every place of a run, in lower case, where a UUID is written.
template <typename Visit>
void for_each_uuid(std::string_view run, Visit&& visit) {
  Uuid uuid;
  for (std::size_t at = 0; at + kUuidTextBytes <= run.size(); ++at)
    if (parse_uuid(run.data() + at, uuid)) visit(uuid);
}

bool all_decimal(std::string_view digits) noexcept {
  return std::all_of(digits.begin(), digits.end(), is_digit);
}

bool is_hashed(std::string_view digits) noexcept {
  return digits.size() % 2 == 0 && digits.size() <= kHashedHexMax;
}

std::uint64_t hex_hash(std::string_view digits) noexcept {
  char bytes[kHashedHexMax / 2];
  static_cast<void>(hex_decode(digits, bytes));
  return bloom_hash(std::string_view(bytes, digits.size() / 2));
}

std::string_view lower_case(std::string_view run, std::string& storage) {
  if (std::none_of(run.begin(), run.end(), [](char c) { return c >= 'A' && c <= 'F'; })) return run;
  storage.assign(run);
  for (char& c : storage) c = fold_byte(c);
  return storage;
}

void put_filter(const StoredFilter& filter, std::uint64_t group_offset, std::string& out) {
  if (filter.bytes.empty()) {
    out.push_back(0);
    return;
  }
  if (filter.inlined) {
    out.push_back(1);
    base::put_bytes(out, filter.bytes);
    return;
  }
  out.push_back(2);
  base::put_varint(out, group_offset + filter.offset);
  base::put_varint(out, filter.bytes.size());
  for (std::size_t at = 0; at < filter.bytes.size(); at += kPieceBytes)
    base::put_le(out, base::crc32c(std::string_view(filter.bytes).substr(at, kPieceBytes)));
}

}  // namespace

const LineIdentifiers& SummaryBuilder::add_rows(std::span<const InputRow> rows) {
  if (grams_.empty()) grams_.resize((std::size_t{1} << kGramBitsLog) / 64);
  found_.uuids.clear();
  found_.hexes.clear();
  longest_hex_ = 0;
  for (const InputRow& row : rows) add_line(row.line);
  return found_;
}

void SummaryBuilder::add_line(std::string_view line) {
  add_grams(line);
  for_each_run(line, [this](std::string_view run) { add_run(run); });
}

void SummaryBuilder::add_grams(std::string_view line) {
  std::uint64_t* const bits = grams_.data();
  for_each_gram(line, [bits](const char* at) {
    const std::uint32_t bit = gram_hash(at) & ((1U << kGramBitsLog) - 1);
    bits[bit / 64] |= std::uint64_t{1} << (bit % 64);
  });
}

void SummaryBuilder::add_run(std::string_view run) {
  std::string storage;
  run = lower_case(run, storage);
  for_each_uuid(run, [this](const Uuid& uuid) { found_.uuids.push_back(bloom_hash(uuid)); });
  for_each_hex(run, [this](std::string_view digits) { add_hex(digits); });
}

void SummaryBuilder::add_hex(std::string_view digits) {
  if (all_decimal(digits)) {
    longest_decimal_ = std::max<std::uint64_t>(longest_decimal_, digits.size());
  } else if (is_hashed(digits)) {
    hex_sizes_ |= std::uint64_t{1} << (digits.size() / 2);
    longest_hex_ = std::max<std::uint64_t>(longest_hex_, digits.size());
    found_.hexes.push_back(hex_hash(digits));
  } else {
    longest_unhashed_ = std::max<std::uint64_t>(longest_unhashed_, digits.size());
  }
}

void SummaryBuilder::add_group(std::uint64_t group_offset, const StoredFilter& uuids,
                               const StoredFilter& hexes) {
  // A group without a column of them has no filter that could take what stands in its texts.
  uuids_open_ |= uuids.bytes.empty() && !found_.uuids.empty();
  if (hexes.bytes.empty()) longest_unhashed_ = std::max(longest_unhashed_, longest_hex_);
  put_filter(uuids, group_offset, groups_);
  put_filter(hexes, group_offset, groups_);
  ++groups_count_;
}

std::string SummaryBuilder::finish() {
  unsigned log = kGramBitsLog;
  const auto dense = [&] {
    std::uint64_t set = 0;
    for (const std::uint64_t word : grams_) set += static_cast<unsigned>(std::popcount(word));
    return set * 8 >= grams_.size() * 64;
  };
  for (; log > kGramBitsLogMin && !dense(); --log) {
    const std::size_t half = grams_.size() / 2;
    std::vector<std::uint64_t> folded(half);
    for (std::size_t i = 0; i < half; ++i) folded[i] = grams_[i] | grams_[half + i];
    grams_ = std::move(folded);
  }
  std::string out;
  out.push_back(uuids_open_ ? 1 : 0);
  base::put_varint(out, longest_unhashed_);
  base::put_varint(out, longest_decimal_);
  base::put_le(out, hex_sizes_);
  out.push_back(static_cast<char>(log));
  for (const std::uint64_t word : grams_) base::put_le(out, word);
  base::put_varint(out, groups_count_);
  out.append(groups_);
  return out;
}

bool SearchSummary::parse_filter(base::ByteReader& reader, Filter& out) {
  const auto kind = reader.read_le<std::uint8_t>();
  if (kind > 2) return false;
  out.kind = static_cast<Filter::Kind>(kind);
  if (out.kind == Filter::Kind::kInline) {
    out.bytes = reader.read_bytes();
    out.size = out.bytes.size();
  } else if (out.kind == Filter::Kind::kStored) {
    out.offset = reader.read_varint();
    out.size = reader.read_varint();
    if (out.size > kPageBytesMax) return false;
    out.bytes = reader.read((out.size + kPieceBytes - 1) / kPieceBytes * 4);
  }
  return !reader.failed() &&
         (out.kind == Filter::Kind::kNone || (out.size > 0 && out.size % kBloomBlockBytes == 0));
}

base::Result<SearchSummary> SearchSummary::parse(std::string bytes) {
  SearchSummary out;
  out.bytes_ = std::move(bytes);
  base::ByteReader reader(out.bytes_);
  out.uuids_open_ = reader.read_le<std::uint8_t>() != 0;
  out.longest_unhashed_ = reader.read_varint();
  out.longest_decimal_ = reader.read_varint();
  out.hex_sizes_ = reader.read_le<std::uint64_t>();
  const auto log = reader.read_le<std::uint8_t>();
  if (log < kGramBitsLogMin || log > kGramBitsLog) return base::corrupt("search summary: grams");
  out.grams_ = reader.read((std::uint64_t{1} << log) / 8);
  const std::uint64_t groups = reader.read_varint();
  for (std::uint64_t i = 0; i < groups && !reader.failed(); ++i) {
    Group group;
    if (!parse_filter(reader, group.uuids) || !parse_filter(reader, group.hexes))
      return base::corrupt("search summary: filters");
    out.groups_.push_back(group);
  }
  if (reader.failed() || !reader.done() || groups > kRowGroupsMax)
    return base::corrupt("search summary: does not end where it should");
  return out;
}

bool SearchSummary::Filter::may_have(std::uint64_t hash, const base::File& part) const {
  if (kind == Kind::kNone) return false;
  if (kind == Kind::kInline) return bloom_has(bytes, hash);
  const std::size_t at = bloom_block(size, hash);
  const std::size_t piece = at / kPieceBytes;
  char buffer[kPieceBytes];
  const std::size_t want = std::min<std::uint64_t>(kPieceBytes, size - piece * kPieceBytes);
  const auto got = part.read_at(offset + piece * kPieceBytes, buffer, want);
  if (!got.ok() || *got != want) return true;
  const std::string_view read(buffer, want);
  if (base::crc32c(read) != base::load_le<std::uint32_t>(bytes.data() + piece * 4)) return true;
  return bloom_block_has(buffer + at % kPieceBytes, hash);
}

bool SearchSummary::has_grams(std::string_view needle) const {
  const auto mask = static_cast<std::uint32_t>(grams_.size() * 8 - 1);
  bool all = true;
  for_each_gram(needle, [&](const char* at) {
    const std::uint32_t bit = gram_hash(at) & mask;
    all &= ((static_cast<unsigned char>(grams_[bit / 8]) >> (bit % 8)) & 1) != 0;
  });
  return all;
}

void SearchSummary::ask_hex(std::string_view digits, const base::File& part, Groups& among) const {
  if (longest_unhashed_ >= digits.size()) return;
  if (all_decimal(digits) && longest_decimal_ >= digits.size()) return;
  // Inside of a longer one nothing is known of it.
  const std::size_t pairs = digits.size() / 2;
  if (pairs < 64 && (hex_sizes_ >> pairs) > 1) return;
  const bool known = is_hashed(digits) && ((hex_sizes_ >> pairs) & 1) != 0;
  const std::uint64_t hash = known ? hex_hash(digits) : 0;
  for (std::size_t i = 0; i < groups_.size(); ++i)
    if (among[i]) among[i] = known && groups_[i].hexes.may_have(hash, part);
}

void SearchSummary::ask_run(std::string_view run, const base::File& part, Groups& among) const {
  std::string storage;
  run = lower_case(run, storage);
  if (!uuids_open_)
    for_each_uuid(run, [&](const Uuid& uuid) {
      for (std::size_t i = 0; i < groups_.size(); ++i)
        if (among[i]) among[i] = groups_[i].uuids.may_have(bloom_hash(uuid), part);
    });
  for_each_hex(run, [&](std::string_view digits) { ask_hex(digits, part, among); });
}

SearchSummary::Groups SearchSummary::may_contain(std::string_view needle,
                                                 const base::File& part) const {
  Groups out(groups_.size(), has_grams(needle));
  for_each_run(needle, [&](std::string_view run) { ask_run(run, part, out); });
  return out;
}

SearchSummary::Groups SearchSummary::may_match(const LineFilter& filter,
                                               const base::File& part) const {
  Groups out(groups_.size(), true);
  if (filter.negated) return out;
  for (const auto& clause : filter.clauses) {
    Groups any(groups_.size(), false);
    for (const std::string& needle : clause) {
      const Groups one = may_contain(needle, part);
      for (std::size_t i = 0; i < any.size(); ++i) any[i] = any[i] || one[i];
    }
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = out[i] && any[i];
  }
  return out;
}

}  // namespace skald::store::part
