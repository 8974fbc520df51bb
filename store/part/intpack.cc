#include "store/part/intpack.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "proto/base/check.h"

namespace skald::store::part {
namespace {

constexpr std::uint8_t kConstantFlag = 1, kDeltaFlag = 2, kFramesFlag = 4, kHighFlag = 8,
                       kExceptionsFlag = 16, kFactorFlag = 32;
constexpr std::uint8_t kEscape = 255;  // high byte of a value in the exception list
constexpr unsigned kLowBitsMax = 56;   // one unaligned 64-bit load reaches any value
constexpr double kExceptionCostBits = 48;

unsigned bits_of(std::uint64_t value) noexcept {
  return static_cast<unsigned>(std::bit_width(value));
}

// Sum of bit widths over a few runs of consecutive values: which transform leaves least.
struct Transform {
  bool delta = false, frames = false;
};

Transform choose_transform(std::span<const std::uint64_t> values) {
  constexpr std::size_t kRuns = 8;
  std::uint64_t plain = 0, delta = 0, frames = 0;
  const std::size_t step = std::max(kFrameRows, values.size() / kRuns / kFrameRows * kFrameRows);
  for (std::size_t start = 0; start < values.size(); start += step) {
    const auto run = values.subspan(start, std::min(kFrameRows, values.size() - start));
    const std::uint64_t base = *std::min_element(run.begin(), run.end());
    for (std::size_t i = 0; i < run.size(); ++i) {
      plain += bits_of(run[i]);
      frames += bits_of(run[i] - base);
      if (i > 0) delta += bits_of(run[i] - run[i - 1]);
    }
    frames += 24;
  }
  Transform transform;
  // Differences cost random access and double the noise: they must pay clearly.
  if (delta + delta / 16 < frames && delta + delta / 16 < plain)
    transform.delta = true;
  else if (frames + frames / 32 < plain)
    transform.frames = true;
  return transform;
}

std::uint64_t common_factor(std::span<const std::uint64_t> values) {
  for (const std::uint64_t factor : {1'000'000'000ULL, 1'000'000ULL, 1'000ULL}) {
    bool all = true;
    for (std::size_t i = 0; i < values.size() && all; ++i) all = values[i] % factor == 0;
    if (all) return factor;
  }
  return 1;
}

struct Split {
  unsigned low_bits = 0;
  bool high = false;
};

double entropy_bits(std::span<const std::uint32_t> histogram, std::size_t total) {
  double bits = 0;
  for (const std::uint32_t count : histogram)
    if (count > 0) bits += count * std::log2(static_cast<double>(total) / count);
  return std::max(bits, static_cast<double>(total) * 0.02);
}

// Cost per sampled value of storing the low k bits and entropy coding the rest.
double split_cost(std::span<const std::uint64_t> sample, unsigned k) {
  std::array<std::uint32_t, 256> histogram{};
  std::size_t exceptions = 0, used = 0;
  for (const std::uint64_t value : sample) {
    const std::uint64_t high = std::min<std::uint64_t>(value >> k, kEscape);
    if (histogram[high]++ == 0) ++used;
    exceptions += high == kEscape;
  }
  const double table = static_cast<double>(used) * 4;
  return static_cast<double>(sample.size()) * k + entropy_bits(histogram, sample.size()) + table +
         static_cast<double>(exceptions) * kExceptionCostBits;
}

Split choose_split(std::span<const std::uint64_t> values, std::uint64_t max, Effort effort) {
  const std::size_t sample_max = effort == Effort::kSmall ? 2048 : 768;
  std::vector<std::uint64_t> sample;
  sample.reserve(sample_max);
  const std::size_t step = std::max<std::size_t>(1, values.size() / sample_max);
  for (std::size_t i = 0; i < values.size() && sample.size() < sample_max; i += step)
    sample.push_back(values[i]);
  std::array<std::uint32_t, 65> widths{};
  for (const std::uint64_t value : sample) ++widths[bits_of(value)];
  unsigned typical = 64;  // of the width that all but 1/256 of the values have
  for (std::size_t above = 0; typical > 0; --typical) {
    above += widths[typical];
    if (above > sample.size() / 256) break;
  }
  const unsigned full = bits_of(max) <= kLowBitsMax ? bits_of(max) : 64;
  Split best{full, false};
  double best_cost = static_cast<double>(sample.size()) * full;
  const unsigned first = typical > 8 ? typical - 8 : 0;
  for (unsigned k = first; k <= std::min({typical, kLowBitsMax, full}); ++k) {
    const double cost = split_cost(sample, k) + 400;  // the page itself
    if (cost < best_cost * 0.985) {
      best_cost = cost;
      best = {k, true};
    }
  }
  return best;
}

void pack(std::span<const std::uint64_t> values, unsigned bits, std::string& out) {
  if (bits == 0) return;
  if (bits == 64) {
    out.assign(reinterpret_cast<const char*>(values.data()), values.size() * 8);
    return;
  }
  const std::uint64_t mask = (std::uint64_t{1} << bits) - 1;
  out.resize((values.size() * bits + 7) / 8 + 8);
  char* at = out.data();
  std::uint64_t word = 0;  // bits not yet written, from the lowest
  unsigned used = 0;
  for (const std::uint64_t full : values) {
    const std::uint64_t value = full & mask;
    word |= value << used;
    used += bits;
    if (used < 64) continue;
    std::memcpy(at, &word, 8);
    at += 8;
    used -= 64;
    word = used > 0 ? value >> (bits - used) : 0;
  }
  std::memcpy(at, &word, 8);
  out.resize((values.size() * bits + 7) / 8);
}

template <typename T>
void unpack(std::string_view bytes, unsigned bits, std::uint32_t count, T* out) {
  if (bits == 64) {
    for (std::uint32_t i = 0; i < count; ++i)
      out[i] = static_cast<T>(base::load_le<std::uint64_t>(bytes.data() + std::size_t{i} * 8));
    return;
  }
  const std::uint64_t mask = (std::uint64_t{1} << bits) - 1;
  const std::size_t safe_bytes = bytes.size() >= 8 ? bytes.size() - 8 : 0;
  // Values whose eight bytes lie inside the page.
  std::size_t safe = bytes.size() >= 8 ? std::min<std::size_t>(count, safe_bytes * 8 / bits) : 0;
  const char* const data = bytes.data();
  for (std::size_t i = 0, bit = 0; i < safe; ++i, bit += bits) {
    std::uint64_t word;
    std::memcpy(&word, data + bit / 8, 8);
    out[i] = static_cast<T>((word >> (bit % 8)) & mask);
  }
  for (std::size_t i = safe; i < count; ++i) {
    const std::size_t bit = i * bits;
    std::uint64_t word = 0;
    std::memcpy(&word, data + bit / 8, std::min<std::size_t>(8, bytes.size() - bit / 8));
    out[i] = static_cast<T>((word >> (bit % 8)) & mask);
  }
}

void put_values(std::span<const std::uint64_t> values, PageWriter& pages, std::string& spec,
                std::size_t flags_at) {
  const std::uint64_t max = *std::max_element(values.begin(), values.end());
  const Split split = choose_split(values, max, pages.compressor().effort());
  spec.push_back(static_cast<char>(split.low_bits));
  std::string bytes;
  pack(values, split.low_bits, bytes);
  if (split.low_bits > 0) pages.put(bytes, Content::kRandom, spec);
  if (!split.high) return;
  std::string high(values.size(), '\0'), exceptions;
  std::uint64_t count = 0, last = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::uint64_t top = values[i] >> split.low_bits;
    high[i] = static_cast<char>(top);
    if (top < kEscape) continue;
    high[i] = static_cast<char>(kEscape);
    base::put_varint(exceptions, i - last);
    base::put_varint(exceptions, values[i]);
    last = i;
    ++count;
  }
  spec[flags_at] = static_cast<char>(spec[flags_at] | kHighFlag);
  pages.put(high, Content::kSymbols, spec);
  if (count == 0) return;
  spec[flags_at] = static_cast<char>(spec[flags_at] | kExceptionsFlag);
  pages.put(exceptions, Content::kText, spec);
}

}  // namespace

void encode_ints(std::span<const std::uint64_t> values, IntsHint hint, PageWriter& pages,
                 std::string& spec) {
  const std::size_t flags_at = spec.size();
  spec.push_back(0);
  if (values.empty()) {
    spec[flags_at] = kConstantFlag;
    spec.push_back(0);
    return;
  }
  const auto [min, max] = std::minmax_element(values.begin(), values.end());
  if (*min == *max) {
    spec[flags_at] = kConstantFlag;
    base::put_varint(spec, *min);
    return;
  }
  base::put_varint(spec, *min);
  std::vector<std::uint64_t> offsets(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) offsets[i] = values[i] - *min;
  if (const std::uint64_t factor = common_factor(offsets); factor != 1) {
    spec[flags_at] = static_cast<char>(spec[flags_at] | kFactorFlag);
    base::put_varint(spec, factor);
    for (std::uint64_t& offset : offsets) offset /= factor;
  }
  const Transform transform = hint == IntsHint::kOrdered ? choose_transform(offsets) : Transform{};
  std::string frames;
  if (transform.delta) {
    for (std::size_t i = offsets.size() - 1; i > 0; --i) offsets[i] -= offsets[i - 1];
    spec[flags_at] = static_cast<char>(spec[flags_at] | kDeltaFlag);
  } else if (transform.frames) {
    std::uint64_t last = 0;
    for (std::size_t start = 0; start < offsets.size(); start += kFrameRows) {
      const auto frame =
          std::span(offsets).subspan(start, std::min(kFrameRows, offsets.size() - start));
      const std::uint64_t frame_base = *std::min_element(frame.begin(), frame.end());
      base::put_varint(frames, base::zigzag(static_cast<std::int64_t>(frame_base - last)));
      last = frame_base;
      for (std::uint64_t& offset : frame) offset -= frame_base;
    }
    spec[flags_at] = static_cast<char>(spec[flags_at] | kFramesFlag);
  }
  if (transform.frames) pages.put(frames, Content::kText, spec);
  put_values(offsets, pages, spec, flags_at);
}

base::Result<Ints> Ints::parse(base::ByteReader& reader, std::uint32_t count,
                               const PageSource& source) {
  Ints ints;
  ints.count_ = count;
  const auto flags = reader.read_le<std::uint8_t>();
  ints.constant_ = (flags & kConstantFlag) != 0;
  ints.base_ = reader.read_varint();
  bool ok = flags < 64;
  if (ints.constant_) {
    if (!ok || reader.failed()) return source.damaged("integer column header");
    return ints;
  }
  ints.delta_ = (flags & kDeltaFlag) != 0;
  ints.frames_ = (flags & kFramesFlag) != 0;
  ints.has_high_ = (flags & kHighFlag) != 0;
  if (flags & kFactorFlag) ints.factor_ = reader.read_varint();
  auto rare = std::make_unique<Rare>();
  if (ints.frames_) rare->frame_page = PageRef::parse(reader, ok);
  ints.low_bits_ = reader.read_le<std::uint8_t>();
  if (ints.low_bits_ > kLowBitsMax && ints.low_bits_ != 64) ok = false;
  if (ints.low_bits_ > 0) ints.low_page_ = PageRef::parse(reader, ok);
  if (ints.has_high_) rare->high_page = PageRef::parse(reader, ok);
  if (flags & kExceptionsFlag) rare->exception_page = PageRef::parse(reader, ok);
  if (flags & (kFramesFlag | kHighFlag | kExceptionsFlag)) ints.rare_ = std::move(rare);
  if (!ok || reader.failed()) return source.damaged("integer column header");
  return ints;
}

base::Result<PageBytes> Ints::read_low(const PageSource& source, Decoding* decoding) const {
  SKALD_TRY_ASSIGN(PageBytes low, source.read(low_page_, std::uint64_t{count_} * 8, decoding));
  if (low.view.size() != (std::uint64_t{count_} * low_bits_ + 7) / 8)
    return source.damaged("integer page has the wrong size");
  return low;
}

base::Result<PageBytes> Ints::read_high(const PageSource& source, Decoding* decoding) const {
  SKALD_TRY_ASSIGN(PageBytes high, source.read(rare_->high_page, count_, decoding));
  if (high.view.size() != count_) return source.damaged("integer page has the wrong size");
  return high;
}

base::Status Ints::for_each_exception(
    const PageSource& source, Decoding* decoding,
    const std::function<void(std::uint64_t row, std::uint64_t value)>& use) const {
  SKALD_TRY_ASSIGN(const PageBytes page,
                   source.read(rare_->exception_page, std::uint64_t{count_} * 16, decoding));
  base::ByteReader reader(page.view);
  for (std::uint64_t row = 0; !reader.done();) {
    row += reader.read_varint();
    const std::uint64_t value = reader.read_varint();
    if (reader.failed() || row >= count_) return source.damaged("integer exception list");
    use(row, value);
  }
  return {};
}

template <typename T>
base::Status Ints::add_high(const PageSource& source, Decoding* decoding,
                            std::vector<T>& out) const {
  SKALD_TRY_ASSIGN(const PageBytes high, read_high(source, decoding));
  const auto* const bytes = reinterpret_cast<const unsigned char*>(high.view.data());
  if (low_bits_ < sizeof(T) * 8)
    for (std::uint32_t i = 0; i < count_; ++i)
      out[i] = static_cast<T>(out[i] | (static_cast<T>(bytes[i]) << low_bits_));
  return for_each_exception(source, decoding, [&](std::uint64_t row, std::uint64_t value) {
    out[row] = static_cast<T>(value);
  });
}

template <typename T>
base::Status Ints::add_frames(const PageSource& source, Decoding* decoding,
                              std::vector<T>& out) const {
  SKALD_TRY_ASSIGN(const PageBytes page,
                   source.read(rare_->frame_page, (count_ / kFrameRows + 1) * 10, decoding));
  base::ByteReader reader(page.view);
  std::uint64_t frame_base = 0;
  for (std::size_t start = 0; start < count_; start += kFrameRows) {
    frame_base += static_cast<std::uint64_t>(base::unzigzag(reader.read_varint()));
    const std::size_t end = std::min<std::size_t>(count_, start + kFrameRows);
    for (std::size_t i = start; i < end; ++i) out[i] = static_cast<T>(out[i] + frame_base);
  }
  return reader.failed() ? source.damaged("integer frames") : base::Status();
}

template <typename T>
base::Status Ints::decode(const PageSource& source, Decoding* decoding, std::vector<T>& out,
                          std::uint64_t value_max) const {
  base::Status status = decode_values(source, decoding, out, value_max);
  if (!status.ok()) out.clear();  // callers take "not empty" for "decoded"
  return status;
}

template <typename T>
base::Status Ints::decode_values(const PageSource& source, Decoding* decoding, std::vector<T>& out,
                                 std::uint64_t value_max) const {
  if constexpr (sizeof(T) < 8) {
    if (!constant_ && (delta_ || factor_ != 1 || low_bits_ > 32)) {
      // Rare for ids; the wide way keeps the narrow one simple.
      std::vector<std::uint64_t> wide;
      SKALD_TRY(decode(source, decoding, wide, value_max));
      out.assign(wide.begin(), wide.end());
      return {};
    }
  }
  if (decoding != nullptr) SKALD_TRY(decoding->take(std::uint64_t{count_} * sizeof(T)));
  if (constant_) {
    if (base_ > value_max) return source.damaged("integer out of range");
    out.assign(count_, static_cast<T>(base_));
    return {};
  }
  out.assign(count_, 0);
  if (low_bits_ > 0) {
    SKALD_TRY_ASSIGN(const PageBytes low, read_low(source, decoding));
    unpack(low.view, low_bits_, count_, out.data());
  }
  if (has_high_) SKALD_TRY(add_high(source, decoding, out));
  if (frames_ && !delta_) SKALD_TRY(add_frames(source, decoding, out));
  const T factor = static_cast<T>(factor_), base = static_cast<T>(base_);
  T largest = 0;
  if (delta_) {
    T running = 0;
    for (T& value : out) {
      running = static_cast<T>(running + value);
      value = static_cast<T>(base + running * factor);
      largest = std::max(largest, value);
    }
  } else {
    if (factor != 1 || base != 0)
      for (T& value : out) value = static_cast<T>(base + value * factor);
    if (value_max < std::numeric_limits<T>::max())
      for (const T value : out) largest = std::max(largest, value);
  }
  return largest > value_max ? source.damaged("integer out of range") : base::Status();
}

std::uint64_t Ints::stored_bytes() const noexcept {
  const std::uint64_t rare = rare_ == nullptr
                                 ? 0
                                 : std::uint64_t{rare_->frame_page.stored} +
                                       rare_->high_page.stored + rare_->exception_page.stored;
  return low_page_.stored + rare;
}

template base::Status Ints::decode(const PageSource&, Decoding*, std::vector<std::uint32_t>&,
                                   std::uint64_t) const;
template base::Status Ints::decode(const PageSource&, Decoding*, std::vector<std::uint64_t>&,
                                   std::uint64_t) const;

}  // namespace skald::store::part
