#pragma once
// Runs of integers (PART.md, "Integers"): subtract a base (of the run, or of each frame of
// kFrameRows), or take differences; divide by a common factor; store the low `k` bits packed and
// what is above as one byte per value, entropy coded; list the few values that do not fit.
//
// That is a fixed-width column where values are uniform, close to the entropy of skewed ones
// (Rice coding's split, with a real entropy coder for the quotient), and decodes without branches.

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "store/part/page.h"

namespace skald::store::part {

inline constexpr std::size_t kFrameRows = 256;

enum class IntsHint : std::uint8_t {
  kPlain,    // no order: neither frames nor differences are tried
  kOrdered,  // may be nearly sorted, or drift
};

void encode_ints(std::span<const std::uint64_t> values, IntsHint hint, PageWriter& pages,
                 std::string& spec);

struct IntRange {
  std::uint64_t begin = 0, end = 0;  // from begin up to, not including, end
};
// Adds to `hits` the rows of `among` whose value lies in the range.
void add_rows_in(const IntRange& range, std::span<const std::uint64_t> values,
                 const Selection& among, Selection& hits);

class Ints {
 public:
  // Reads the description; the count is known from the context.
  static base::Result<Ints> parse(base::ByteReader& reader, std::uint32_t count,
                                  const PageSource& source);

  std::uint32_t count() const noexcept { return count_; }
  bool constant() const noexcept { return constant_; }
  std::uint64_t stored_bytes() const noexcept;  // of its pages, those inside references aside
  std::uint64_t base() const noexcept { return base_; }  // the value, if constant()

  // On error `out` is empty. T: std::uint32_t (kCorrupt if a value is above `value_max`) or
  // std::uint64_t.
  template <typename T>
  base::Status decode(const PageSource& source, Decoding* decoding, std::vector<T>& out,
                      std::uint64_t value_max = std::numeric_limits<T>::max()) const;

  // Adds to `hits` the rows of `among` whose value lies in the range, keeping no values. kCorrupt
  // if a value is above `value_max`; then `hits` may have rows more. In int_range.cc.
  base::Status select(const PageSource& source, Decoding* decoding, const IntRange& range,
                      std::uint64_t value_max, const Selection& among, Selection& hits) const;

 private:
  // Each value stands alone in the low bits and the byte above.
  bool packed_only() const noexcept;
  base::Status select_decoded(const PageSource& source, Decoding* decoding, const IntRange& range,
                              std::uint64_t value_max, const Selection& among,
                              Selection& hits) const;
  // `wanted` and `limit`, which all are below, are of values as stored.
  base::Status select_split(const PageSource& source, Decoding* decoding, std::string_view low,
                            const IntRange& wanted, std::uint64_t limit, const Selection& among,
                            Selection& hits) const;
  base::Status select_packed(const PageSource& source, std::string_view low, const IntRange& wanted,
                             std::uint64_t limit, const Selection& among, Selection& hits) const;
  // The pages of values as they are packed, of the sizes that the description gives them.
  base::Result<PageBytes> read_low(const PageSource& source, Decoding* decoding) const;
  base::Result<PageBytes> read_high(const PageSource& source, Decoding* decoding) const;
  // The rows whose value the byte above cannot hold, with that value.
  base::Status for_each_exception(
      const PageSource& source, Decoding* decoding,
      const std::function<void(std::uint64_t row, std::uint64_t value)>& use) const;
  template <typename T>
  base::Status decode_values(const PageSource& source, Decoding* decoding, std::vector<T>& out,
                             std::uint64_t value_max) const;
  template <typename T>
  base::Status add_high(const PageSource& source, Decoding* decoding, std::vector<T>& out) const;
  template <typename T>
  base::Status add_frames(const PageSource& source, Decoding* decoding, std::vector<T>& out) const;

  struct Rare {  // most have none of these
    PageRef frame_page, high_page, exception_page;
  };
  std::uint32_t count_ = 0;
  bool constant_ = false, delta_ = false, frames_ = false, has_high_ = false;
  std::uint64_t base_ = 0, factor_ = 1;
  PageRef low_page_;
  std::unique_ptr<const Rare> rare_;
  std::uint8_t low_bits_ = 0;
};

}  // namespace skald::store::part
