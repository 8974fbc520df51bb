// Columns whose text is written from a number or from bytes: decimals, timestamps, UUIDs, hex,
// addresses, digits.

#include <algorithm>
#include <cmath>
#include <cstring>

#include "store/part/column_reader.h"
#include "store/part/limits.h"

namespace skald::store::part {
namespace {

// Formatter: load() -> Status; size_max(); write(row, out) -> end.
class FormattedReader : public ColumnReader {
 public:
  using ColumnReader::ColumnReader;

  base::Status read(const Selection& selection, TextColumn& out) override {
    SKALD_TRY(load());
    const std::size_t count = selection.count();
    auto bytes = std::make_unique_for_overwrite<char[]>(count * size_max() + 1);
    char* at = bytes.get();
    out.entries.reserve(count);
    selection.for_each([&](std::uint32_t row) {
      char* const end = write(row, at);
      out.entries.emplace_back(at, static_cast<std::size_t>(end - at));
      at = end;
    });
    out.storage.push_back(std::move(bytes));
    return {};
  }

  base::Status filter_if(const ValueCheck& check, const Selection& among,
                         Selection& hits) override {
    SKALD_TRY(load());
    std::vector<char> scratch(size_max() + 1);
    among.for_each([&](std::uint32_t row) {
      char* const end = write(row, scratch.data());
      if (check({scratch.data(), static_cast<std::size_t>(end - scratch.data())})) hits.set(row);
    });
    return {};
  }

 protected:
  // Writes some rows after one another and searches them at once.
  base::Status filter_text(const TextTest& test, const Selection& among, Selection& hits) override {
    if (test.op != TextTest::Op::kContains || test.text.empty())
      return ColumnReader::filter_text(test, among, hits);
    SKALD_TRY(load());
    std::vector<char> bytes(size_max() * 64 + 1);
    std::uint32_t rows[64];
    std::size_t ends[64];
    for (std::size_t w = 0; w < among.words().size(); ++w) {
      std::size_t count = 0;
      char* at = bytes.data();
      for (std::uint64_t left = among.words()[w]; left != 0; left &= left - 1) {
        rows[count] =
            static_cast<std::uint32_t>(w * 64) + static_cast<unsigned>(__builtin_ctzll(left));
        at = write(rows[count], at);
        ends[count++] = static_cast<std::size_t>(at - bytes.data());
      }
      const std::string_view text(bytes.data(), static_cast<std::size_t>(at - bytes.data()));
      for (std::size_t found = 0, i = 0;;) {
        found =
            test.fold ? find_folded(text, test.text, found) : find_bytes(text, test.text, found);
        if (found == kNotFound) break;
        while (ends[i] <= found) ++i;
        if (found + test.text.size() <= ends[i]) {
          hits.set(rows[i]);
          found = ends[i];
        } else {
          ++found;
        }
      }
    }
    return {};
  }

  virtual base::Status load() = 0;
  virtual std::size_t size_max() const = 0;
  virtual char* write(std::uint32_t row, char* out) = 0;

  base::Status add_fixed(std::span<std::uint32_t> sizes, std::size_t size) {
    for (std::uint32_t& total : sizes) total += static_cast<std::uint32_t>(size);
    return {};
  }
};

class DecimalReader final : public FormattedReader {
 public:
  using FormattedReader::FormattedReader;

  base::Status add_sizes(std::span<std::uint32_t> sizes) override {
    SKALD_TRY(load());
    std::vector<char> scratch(size_max());
    for (std::uint32_t row = 0; row < sizes.size(); ++row)
      sizes[row] += static_cast<std::uint32_t>(write(row, scratch.data()) - scratch.data());
    return {};
  }

  base::Status filter_interval(const ValuePredicate::Interval& interval, const Selection& among,
                               Selection& hits) override {
    if (spec_.exceptions > 0) return ColumnReader::filter_interval(interval, among, hits);
    // The double of a mantissa grows with it: the interval is one of mantissas.
    const std::int64_t low = first_where(
        [&](double v) { return interval.low_open ? v > interval.low : v >= interval.low; });
    const std::int64_t high = first_where([&](double v) {
      return interval.high_open ? v >= interval.high : v > interval.high;
    });  // exclusive
    Selection inside(hits.rows());
    if (!std::isnan(interval.low) && !std::isnan(interval.high) && high > low)
      SKALD_TRY(select({static_cast<std::uint64_t>(low - spec_.min),
                        static_cast<std::uint64_t>(high - spec_.min)},
                       among, inside));
    for (std::size_t w = 0; w < hits.words().size(); ++w) {
      const std::uint64_t in = inside.words()[w];
      hits.words()[w] |= interval.complement ? among.words()[w] & ~in : in;
    }
    return {};
  }

  base::Status filter_text(const TextTest& test, const Selection& among, Selection& hits) override {
    if (may_be_number(spec_, test)) return FormattedReader::filter_text(test, among, hits);
    SKALD_TRY(load());
    for (const auto& [row, text] : exceptions_)
      if (among.test(row) && test.matches(text)) hits.set(row);
    return {};
  }

  base::Status read_numbers(const Selection& selection, std::vector<double>& out) override {
    if (spec_.exceptions > 0) return ColumnReader::read_numbers(selection, out);
    SKALD_TRY(load());
    out.resize(selection.count());
    double* next = out.data();
    if (spec_.min < -kExactMantissa || spec_.max > kExactMantissa) {
      selection.for_each(
          [&](std::uint32_t row) { *next++ = decimal_to_double(mantissa(row), spec_.scale); });
      return {};
    }
    // Both are exact doubles, so one division rounds correctly.
    const auto divisor = static_cast<double>(kPowersOfTen[spec_.scale]);
    selection.for_each(
        [&](std::uint32_t row) { *next++ = static_cast<double>(mantissa(row)) / divisor; });
    return {};
  }

 protected:
  base::Status load() override {
    if (!numbers_.empty()) return {};
    std::vector<std::uint64_t> numbers;
    SKALD_TRY(spec_.ints.decode(source(), context_.decoding, numbers,
                                static_cast<std::uint64_t>(spec_.max - spec_.min)));
    SKALD_TRY(load_exceptions());
    numbers_ = std::move(numbers);
    return {};
  }
  std::size_t size_max() const override { return std::max(longest_, kDecimalTextMax); }
  char* write(std::uint32_t row, char* out) override {
    if (!exceptions_.empty()) {
      const auto found = std::lower_bound(
          exceptions_.begin(), exceptions_.end(), row,
          [](const auto& exception, std::uint32_t at) { return exception.first < at; });
      if (found != exceptions_.end() && found->first == row) {
        std::memcpy(out, found->second.data(), found->second.size());
        return out + found->second.size();
      }
    }
    return write_decimal(mantissa(row), spec_.scale, spec_.rule, out);
  }

 private:
  // Of mantissas above the least one.
  base::Status select(const IntRange& range, const Selection& among, Selection& hits) {
    const auto most = static_cast<std::uint64_t>(spec_.max - spec_.min);
    if (numbers_.empty())
      return spec_.ints.select(source(), context_.decoding, range, most, among, hits);
    add_rows_in(range, numbers_, among, hits);
    return {};
  }
  std::int64_t mantissa(std::uint32_t row) const {
    return spec_.min + static_cast<std::int64_t>(numbers_[row]);
  }
  base::Status load_exceptions() {
    if (spec_.exceptions == 0) return {};
    exceptions_.clear();
    SKALD_TRY_ASSIGN(page_, source().read(spec_.page, kRowGroupBytesMax, context_.decoding));
    base::ByteReader reader(page_.view);
    std::uint64_t row = 0;
    for (std::uint32_t i = 0; i < spec_.exceptions; ++i) {
      row += reader.read_varint();
      const std::string_view text = reader.read_bytes();
      if (reader.failed() || row >= spec_.rows) return damaged("decimal exceptions");
      exceptions_.emplace_back(static_cast<std::uint32_t>(row), text);
      longest_ = std::max(longest_, text.size());
    }
    return {};
  }
  // The least mantissa in [min, max + 1] whose double satisfies a condition that, once true, stays
  // true; max + 1 if none does.
  template <typename Condition>
  std::int64_t first_where(Condition condition) const {
    std::int64_t low = spec_.min, high = spec_.max + 1;
    while (low < high) {
      const std::int64_t middle = low + (high - low) / 2;
      if (condition(decimal_to_double(middle, spec_.scale)))
        high = middle;
      else
        low = middle + 1;
    }
    return low;
  }

  std::vector<std::uint64_t> numbers_;
  PageBytes page_;
  std::vector<std::pair<std::uint32_t, std::string_view>> exceptions_;
  std::size_t longest_ = 0;
};

class TimestampReader final : public FormattedReader {
 public:
  using FormattedReader::FormattedReader;
  base::Status add_sizes(std::span<std::uint32_t> sizes) override {
    return add_fixed(sizes, spec_.format.size());
  }

 protected:
  base::Status load() override {
    if (!differences_.empty()) return {};
    SKALD_TRY_ASSIGN(times_, context_.owner->row_times());
    return spec_.ints.decode(source(), context_.decoding, differences_);
  }
  std::size_t size_max() const override { return spec_.format.size(); }
  char* write(std::uint32_t row, char* out) override {
    const std::int64_t unit = kPowersOfTen[9 - spec_.format.fraction];
    const std::int64_t own = times_[row] / unit - (times_[row] % unit < 0);
    // Unsigned: what a damaged file says may overflow, and then is only wrong.
    const std::uint64_t ns = (static_cast<std::uint64_t>(own) +
                              static_cast<std::uint64_t>(base::unzigzag(differences_[row]))) *
                             static_cast<std::uint64_t>(unit);
    write_timestamp(static_cast<std::int64_t>(ns), spec_.format, out);
    return out + spec_.format.size();
  }

 private:
  std::span<const model::TimestampNs> times_;
  std::vector<std::uint64_t> differences_;
};

class UuidReader final : public FormattedReader {
 public:
  using FormattedReader::FormattedReader;
  base::Status add_sizes(std::span<std::uint32_t> sizes) override {
    return add_fixed(sizes, kUuidTextBytes);
  }
  base::Result<std::span<const std::uint32_t>> uuid_ids() override {
    SKALD_TRY(load());
    return std::span<const std::uint32_t>(ids_);
  }

 protected:
  base::Status filter_text(const TextTest& test, const Selection& among, Selection& hits) override {
    SKALD_TRY_ASSIGN(const GroupShared::Passed passed, context_.shared->uuids_passing(test));
    if (passed == nullptr) return {};
    SKALD_TRY(load());
    select_ids(ids_, *passed, among, hits);
    return {};
  }

  base::Status load() override {
    if (!ids_.empty()) return {};
    SKALD_TRY_ASSIGN(table_, context_.shared->uuid_bytes());
    if (context_.shared->uuids_count == 0) return damaged("a UUID column without a UUID table");
    return spec_.ints.decode(source(), context_.decoding, ids_, context_.shared->uuids_count - 1);
  }
  std::size_t size_max() const override { return kUuidTextBytes; }
  char* write(std::uint32_t row, char* out) override {
    write_uuid(uuid_at(ids_[row]), out);
    return out + kUuidTextBytes;
  }

 private:
  Uuid uuid_at(std::uint32_t id) const {
    Uuid uuid;
    std::memcpy(&uuid, table_.data() + std::size_t{id} * sizeof(Uuid), sizeof(Uuid));
    return uuid;
  }
  std::string_view table_;
  std::vector<std::uint32_t> ids_;
};

class HexReader final : public FormattedReader {
 public:
  using FormattedReader::FormattedReader;
  base::Status add_sizes(std::span<std::uint32_t> sizes) override {
    return add_fixed(sizes, spec_.width * 2);
  }

 protected:
  base::Status filter_text(const TextTest& test, const Selection& among, Selection& hits) override {
    if (test.text.size() != spec_.width * 2) return FormattedReader::filter_text(test, among, hits);
    char wanted[kHexBytesMax];
    if (!hex_decode(test.text, wanted)) return {};
    SKALD_TRY(load());
    const char* const data = page_.view.data();
    if (spec_.width == 8) {
      const auto key = base::load_le<std::uint64_t>(wanted);
      for (std::uint32_t row = 0; row < spec_.rows; ++row)
        if (base::load_le<std::uint64_t>(data + std::size_t{row} * 8) == key && among.test(row))
          hits.set(row);
      return {};
    }
    among.for_each([&](std::uint32_t row) {
      if (std::memcmp(data + std::size_t{row} * spec_.width, wanted, spec_.width) == 0)
        hits.set(row);
    });
    return {};
  }

  base::Status load() override {
    if (!page_.view.empty()) return {};
    const std::uint64_t size = std::uint64_t{spec_.rows} * spec_.width;
    SKALD_TRY_ASSIGN(page_, source().read(spec_.page, size, context_.decoding));
    if (page_.view.size() == size) return {};
    page_ = PageBytes{};
    return damaged("hex page has the wrong size");
  }
  std::size_t size_max() const override { return std::size_t{spec_.width} * 2; }
  char* write(std::uint32_t row, char* out) override {
    hex_encode(page_.view.substr(std::size_t{row} * spec_.width, spec_.width), out);
    return out + std::size_t{spec_.width} * 2;
  }

 private:
  PageBytes page_;
};

class Ipv4Reader final : public FormattedReader {
 public:
  using FormattedReader::FormattedReader;
  base::Status add_sizes(std::span<std::uint32_t> sizes) override {
    SKALD_TRY(load());
    for (std::size_t row = 0; row < sizes.size(); ++row) {
      std::uint32_t size = 7;
      for (int shift = 0; shift < 32; shift += 8) {
        const std::uint32_t octet = (addresses_[row] >> shift) & 255;
        size += (octet >= 10 ? 1U : 0U) + (octet >= 100 ? 1U : 0U);
      }
      sizes[row] += size;
    }
    return {};
  }

 protected:
  base::Status load() override {
    if (!addresses_.empty()) return {};
    return spec_.ints.decode(source(), context_.decoding, addresses_);
  }
  std::size_t size_max() const override { return 15; }
  char* write(std::uint32_t row, char* out) override { return write_ipv4(addresses_[row], out); }

 private:
  std::vector<std::uint32_t> addresses_;
};

class DigitsReader final : public FormattedReader {
 public:
  using FormattedReader::FormattedReader;
  base::Status add_sizes(std::span<std::uint32_t> sizes) override {
    return add_fixed(sizes, spec_.width);
  }

 protected:
  base::Status load() override {
    if (!numbers_.empty()) return {};
    return spec_.ints.decode(source(), context_.decoding, numbers_,
                             static_cast<std::uint64_t>(kPowersOfTen[spec_.width]) - 1);
  }
  std::size_t size_max() const override { return spec_.width; }
  char* write(std::uint32_t row, char* out) override {
    std::uint64_t number = numbers_[row];
    for (std::size_t i = spec_.width; i-- > 0; number /= 10)
      out[i] = static_cast<char>('0' + number % 10);
    return out + spec_.width;
  }

 private:
  std::vector<std::uint64_t> numbers_;
};

}  // namespace

std::unique_ptr<ColumnReader> make_formatted_reader(const ColumnSpec& spec,
                                                    const ReaderContext& context) {
  switch (spec.encoding) {
    case Encoding::kDecimal: return std::make_unique<DecimalReader>(spec, context);
    case Encoding::kTimestamp: return std::make_unique<TimestampReader>(spec, context);
    case Encoding::kUuid: return std::make_unique<UuidReader>(spec, context);
    case Encoding::kHex: return std::make_unique<HexReader>(spec, context);
    case Encoding::kIpv4: return std::make_unique<Ipv4Reader>(spec, context);
    default: return std::make_unique<DigitsReader>(spec, context);
  }
}

}  // namespace skald::store::part
