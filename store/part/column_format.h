#pragma once
// Names shared by the writer and the reader of columns. The numbers are on disk (PART.md): they
// never change.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace skald::store::part {

enum class Encoding : std::uint8_t {
  kConstant = 0,    // one value
  kDictionary = 1,  // distinct values and an id per row
  kText = 2,        // lengths and the concatenated bytes
  kDecimal = 3,     // mantissas of one scale
  kTimestamp = 4,   // ISO 8601, as the difference to the entry's own time
  kUuid = 5,        // ids into the row group's UUID table
  kHex = 6,         // lower-case hex of one length, as bytes
  kIpv4 = 7,        // dotted quads as 32-bit numbers
  kDigits = 8,      // digits, zero-padded to one width
  kTemplate = 9,    // literal pieces with variables, each a column of its own
  kWords = 10,      // texts as sequences of dictionary words, one space between
  kDerived = 11,    // a function of a UUID column of the same block
};

// How a decimal's text follows from mantissa and scale.
enum class DecimalRule : std::uint8_t {
  kFixed = 0,     // exactly `scale` decimals (scale 0: an integer)
  kShortest = 1,  // trailing zeros dropped, one decimal kept: 1.5, 2.0
  kBare = 2,      // trailing zeros dropped, and the point with them: 1.5, 2
};

inline constexpr unsigned kDecimalScaleMax = 18;
inline constexpr std::int64_t kDecimalMantissaMax = 999'999'999'999'999'999;  // 18 digits
inline constexpr std::uint32_t kTemplatesMax = 256;
inline constexpr std::uint32_t kTemplateVariablesMax = 64;  // of one template
inline constexpr unsigned kColumnDepthMax = 6;              // of columns within columns
inline constexpr std::size_t kDictionaryInlineMax = 4096;   // bytes kept in the group's metadata
inline constexpr std::uint32_t kDictionaryMax = 1U << 20;
inline constexpr std::uint32_t kHexBytesMax = 64;

inline constexpr std::int64_t kPowersOfTen[19] = {1,
                                                  10,
                                                  100,
                                                  1'000,
                                                  10'000,
                                                  100'000,
                                                  1'000'000,
                                                  10'000'000,
                                                  100'000'000,
                                                  1'000'000'000,
                                                  10'000'000'000,
                                                  100'000'000'000,
                                                  1'000'000'000'000,
                                                  10'000'000'000'000,
                                                  100'000'000'000'000,
                                                  1'000'000'000'000'000,
                                                  10'000'000'000'000'000,
                                                  100'000'000'000'000'000,
                                                  1'000'000'000'000'000'000};

// Mantissas up to this, either side of 0, are exact as doubles.
inline constexpr std::int64_t kExactMantissa = std::int64_t{1} << 53;
// Splits "-12.50" into its parts. Refuses what JSON numbers refuse, exponents, and more than 18
// digits; a negative zero has no mantissa and is refused too.
struct Decimal {
  std::int64_t mantissa = 0;
  unsigned decimals = 0;
};
bool parse_decimal(std::string_view text, Decimal& out) noexcept;
// At most 24 bytes; returns the end.
char* write_decimal(std::int64_t mantissa, unsigned scale, DecimalRule rule, char* out) noexcept;
inline constexpr std::size_t kDecimalTextMax = 24;
// The correctly rounded double of mantissa / 10^scale.
double decimal_to_double(std::int64_t mantissa, unsigned scale) noexcept;

// "2026-11-20T06:00:00.000726" + suffix, as nanoseconds since 1970 of the text read as UTC.
struct TimestampFormat {
  char separator = 'T';       // between date and time: 'T' or ' '
  char point = '.';           // '.' or ','
  std::uint8_t fraction = 0;  // digits, 0-9; 0: no point either
  std::string suffix;         // constant text after it
  friend bool operator==(const TimestampFormat&, const TimestampFormat&) = default;
  std::size_t size() const noexcept {
    return 19 + (fraction > 0 ? 1U + fraction : 0) + suffix.size();
  }
};
inline constexpr std::size_t kTimestampSuffixMax = 16;
// Length of the timestamp at the start of `text` (without suffix), 0 if there is none.
std::size_t timestamp_prefix(std::string_view text) noexcept;
bool parse_timestamp(std::string_view text, const TimestampFormat& format,
                     std::int64_t& ns) noexcept;
TimestampFormat timestamp_format_of(std::string_view text, std::size_t prefix);
void write_timestamp(std::int64_t ns, const TimestampFormat& format, char* out) noexcept;

bool parse_ipv4(std::string_view text, std::uint32_t& out) noexcept;  // canonical form only
char* write_ipv4(std::uint32_t address, char* out) noexcept;          // at most 15 bytes

// Literal pieces around values: line = literals[0] value[0] literals[1] ... literals[n].
// Between two values a literal is never empty.
struct Pieces {
  std::vector<std::string> literals;
  std::size_t values() const noexcept { return literals.size() - 1; }
};

}  // namespace skald::store::part
