// Ints::select: which values lie in a range, asked of the packed bits. Of a column that is split
// into low bits and a byte above them, the byte decides nearly always.

#include <emmintrin.h>

#include <algorithm>
#include <cstring>

#include "store/part/intpack.h"

namespace skald::store::part {
namespace {

constexpr unsigned kSplitBitsMax = 56;  // wider values have no byte above

// The low bits of each value, packed from bit 0 up.
class PackedBits {
 public:
  PackedBits(std::string_view bytes, unsigned bits)
      : bytes_(bytes), bits_(bits), mask_(bits == 64 ? ~std::uint64_t{0} : (1ULL << bits) - 1) {}

  std::uint64_t mask() const noexcept { return mask_; }
  // Whether the eight bytes from value `i` on, and of all before, lie inside.
  bool reaches(std::size_t i) const noexcept { return i * bits_ / 8 + 8 <= bytes_.size(); }
  std::uint64_t at(std::size_t i) const noexcept {
    const std::size_t bit = i * bits_;
    std::uint64_t word = 0;
    std::memcpy(&word, bytes_.data() + bit / 8, std::min<std::size_t>(8, bytes_.size() - bit / 8));
    return (word >> (bit % 8)) & mask_;
  }
  std::uint64_t at_inner(std::size_t i) const noexcept {  // where reaches(i)
    std::uint64_t word;
    std::memcpy(&word, bytes_.data() + i * bits_ / 8, 8);
    return (word >> (i * bits_ % 8)) & mask_;
  }

 private:
  std::string_view bytes_;
  unsigned bits_;
  std::uint64_t mask_;
};

struct Masks {
  std::uint64_t less = 0, equal = 0;
};

Masks compare_bytes(const unsigned char* bytes, std::size_t count, unsigned char with) noexcept {
  Masks out;
  if (count < 64) {
    for (std::size_t i = 0; i < count; ++i) {
      out.less |= std::uint64_t{bytes[i] < with} << i;
      out.equal |= std::uint64_t{bytes[i] == with} << i;
    }
    return out;
  }
  const __m128i wide = _mm_set1_epi8(static_cast<char>(with));
  for (unsigned i = 0; i < 64; i += 16) {
    const __m128i some = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes + i));
    const __m128i equal = _mm_cmpeq_epi8(some, wide);
    const __m128i at_most = _mm_cmpeq_epi8(_mm_min_epu8(some, wide), some);
    const auto equals = static_cast<std::uint64_t>(_mm_movemask_epi8(equal));
    out.equal |= equals << i;
    out.less |= (static_cast<std::uint64_t>(_mm_movemask_epi8(at_most)) ^ equals) << i;
  }
  return out;
}

// Which values (byte above << bits | low bits) are below `limit`.
Selection split_below(std::string_view high, const PackedBits& low, unsigned bits,
                      std::uint64_t limit) {
  const auto rows = static_cast<std::uint32_t>(high.size());
  const std::uint64_t top = limit >> bits, rest = limit & low.mask();
  if (top > 255) return Selection(rows, true);
  Selection out(rows);
  if (limit == 0) return out;
  const auto* const bytes = reinterpret_cast<const unsigned char*>(high.data());
  for (std::size_t w = 0; w < out.words().size(); ++w) {
    const std::size_t first = w * 64;
    const Masks masks = compare_bytes(bytes + first, std::min<std::size_t>(64, rows - first),
                                      static_cast<unsigned char>(top));
    std::uint64_t below = masks.less;
    if (rest != 0)
      for (std::uint64_t left = masks.equal; left != 0; left &= left - 1) {
        const auto i = static_cast<unsigned>(__builtin_ctzll(left));
        below |= std::uint64_t{low.at(first + i) < rest} << i;
      }
    out.words()[w] = below;
  }
  return out;
}

void put(Selection& selection, std::uint64_t row, bool in) {
  if (in)
    selection.set(static_cast<std::uint32_t>(row));
  else
    selection.reset(static_cast<std::uint32_t>(row));
}

}  // namespace

void add_rows_in(const IntRange& range, std::span<const std::uint64_t> values,
                 const Selection& among, Selection& hits) {
  among.for_each([&](std::uint32_t row) {
    if (range.begin <= values[row] && values[row] < range.end) hits.set(row);
  });
}

base::Status Ints::select(const PageSource& source, Decoding* decoding, const IntRange& range,
                          std::uint64_t value_max, const Selection& among, Selection& hits) const {
  const std::uint64_t end = std::min(range.end, value_max + 1);
  if (!packed_only() || base_ > value_max || value_max == ~std::uint64_t{0})
    return select_decoded(source, decoding, range, value_max, among, hits);
  // Of the numbers as they are stored.
  const auto stored = [&](std::uint64_t value) {
    if (value <= base_) return std::uint64_t{0};
    return (value - base_) / factor_ + ((value - base_) % factor_ == 0 ? 0 : 1);
  };
  const IntRange wanted{stored(range.begin), stored(end)};
  const std::uint64_t limit = (value_max - base_) / factor_ + 1;
  PageBytes low;
  if (low_bits_ > 0) {
    SKALD_TRY_ASSIGN(low, read_low(source, decoding));
  }
  return has_high_ ? select_split(source, decoding, low.view, wanted, limit, among, hits)
                   : select_packed(source, low.view, wanted, limit, among, hits);
}

bool Ints::packed_only() const noexcept {
  return !constant_ && !delta_ && !frames_ && factor_ != 0 && low_bits_ <= kSplitBitsMax &&
         (has_high_ || low_bits_ > 0);
}

base::Status Ints::select_decoded(const PageSource& source, Decoding* decoding,
                                  const IntRange& range, std::uint64_t value_max,
                                  const Selection& among, Selection& hits) const {
  std::vector<std::uint64_t> values;
  SKALD_TRY(decode(source, decoding, values, value_max));
  add_rows_in(range, values, among, hits);
  return {};
}

base::Status Ints::select_split(const PageSource& source, Decoding* decoding, std::string_view low,
                                const IntRange& wanted, std::uint64_t limit, const Selection& among,
                                Selection& hits) const {
  SKALD_TRY_ASSIGN(const PageBytes high, read_high(source, decoding));
  const PackedBits bits(low, low_bits_);
  const auto below = [&](std::uint64_t value) {
    return split_below(high.view, bits, low_bits_, value);
  };
  Selection valid = below(limit), inside = wanted.end >= limit ? valid : below(wanted.end);
  inside.subtract(below(wanted.begin));
  SKALD_TRY(for_each_exception(source, decoding, [&](std::uint64_t row, std::uint64_t value) {
    put(valid, row, value < limit);
    put(inside, row, wanted.begin <= value && value < wanted.end);
  }));
  if (!valid.all()) return source.damaged("integer out of range");
  for (std::size_t w = 0; w < hits.words().size(); ++w)
    hits.words()[w] |= inside.words()[w] & among.words()[w];
  return {};
}

base::Status Ints::select_packed(const PageSource& source, std::string_view low,
                                 const IntRange& wanted, std::uint64_t limit,
                                 const Selection& among, Selection& hits) const {
  const PackedBits bits(low, low_bits_);
  const std::uint64_t size = wanted.end > wanted.begin ? wanted.end - wanted.begin : 0;
  std::uint64_t largest = 0;
  for (std::size_t w = 0; w < hits.words().size(); ++w) {
    const std::size_t first = w * 64;
    const std::size_t count = std::min<std::size_t>(64, count_ - first);
    std::uint64_t inside = 0;
    const auto add = [&](std::size_t i, std::uint64_t value) {
      largest = std::max(largest, value);
      inside |= std::uint64_t{value - wanted.begin < size} << i;
    };
    if (bits.reaches(first + count - 1))
      for (std::size_t i = 0; i < count; ++i) add(i, bits.at_inner(first + i));
    else
      for (std::size_t i = 0; i < count; ++i) add(i, bits.at(first + i));
    hits.words()[w] |= inside & among.words()[w];
  }
  return largest < limit ? base::Status() : source.damaged("integer out of range");
}

}  // namespace skald::store::part
