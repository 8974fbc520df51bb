#include "proto/wire/line_block.h"

#include <algorithm>
#include <cstring>

#include "proto/base/bytes.h"

namespace skald::wire {

namespace {

// Zigzagged and shifted once, the steps must fit 64 bits.
constexpr std::int64_t kStepsMax = std::int64_t{1} << 61;

}  // namespace

LineBlockWriter::Placed LineBlockWriter::add(std::string_view line, std::int64_t time_ns,
                                             std::string& notes) {
  Placed placed;
  placed.before_end = find_line_time(line, time_ns, before_end_);
  std::int64_t unit_ns = 1;
  if (placed.before_end != 0) {
    const TimeForm form = time_form(line.substr(line.size() - placed.before_end));
    unit_ns = form.unit_ns;
    placed.digits_size = form.digits_size;
  }
  std::int64_t steps = 0;
  if (__builtin_sub_overflow(time_ns / unit_ns, time_ns_ / unit_ns, &steps) || steps > kStepsMax ||
      steps < -kStepsMax)
    return {};
  const auto newlines = static_cast<std::uint64_t>(std::count(line.begin(), line.end(), '\n'));
  const bool has_shape = placed.before_end != before_end_ || newlines != 0;
  base::put_varint(notes, base::zigzag(steps) << 1 | (has_shape ? 1 : 0));
  if (has_shape) {
    base::put_varint(notes, placed.before_end);
    base::put_varint(notes, newlines);
  }
  time_ns_ = time_ns;
  before_end_ = placed.before_end;
  placed.held = true;
  return placed;
}

LineBlockReader::LineBlockReader(char* text, std::size_t size, std::string_view notes) noexcept
    : at_(text), end_(text + size), notes_(notes.data()), notes_end_(notes.data() + notes.size()) {}

std::uint64_t LineBlockReader::note() noexcept {
  base::ByteReader reader({notes_, static_cast<std::size_t>(notes_end_ - notes_)});
  const std::uint64_t value = reader.read_varint();
  failed_ = failed_ || reader.failed();
  notes_ = notes_end_ - reader.remaining();
  return value;
}

// Where the line at at_ ends that has so many newlines in it; null: nowhere.
char* LineBlockReader::line_end(std::uint64_t newlines) noexcept {
  char* from = at_;
  for (;; ++from) {
    from = static_cast<char*>(std::memchr(from, '\n', static_cast<std::size_t>(end_ - from)));
    if (from == nullptr || newlines-- == 0) return from;
  }
}

bool LineBlockReader::next(std::string_view& line, std::int64_t& time_ns) noexcept {
  if (failed_) return false;
  if (at_ == end_) return notes_ == notes_end_ ? false : fail();
  const std::uint64_t value = note();
  std::uint64_t newlines = 0;
  if ((value & 1) != 0) {
    before_end_ = note();
    newlines = note();
  }
  char* const end = failed_ ? nullptr : line_end(newlines);
  if (end == nullptr) return fail();
  const auto size = static_cast<std::size_t>(end - at_);
  std::int64_t unit_ns = 1;
  TimeForm form;
  if (before_end_ != 0) {
    if (before_end_ > size) return fail();
    form = time_form({end - before_end_, static_cast<std::size_t>(before_end_)});
    if (form.digits_size == 0) return fail();
    unit_ns = form.unit_ns;
  }
  std::int64_t steps = 0;
  if (__builtin_add_overflow(time_ns_ / unit_ns, base::unzigzag(value >> 1), &steps) ||
      __builtin_mul_overflow(steps, unit_ns, &time_ns_))
    return fail();
  if (before_end_ != 0 && !times_.write(end - before_end_, form, time_ns_)) return fail();
  line = {at_, size};
  time_ns = time_ns_;
  at_ = end + 1;
  return true;
}

}  // namespace skald::wire
