#include "agent/tail/source.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "proto/base/check.h"

namespace skald::agent {

Source::~Source() { close(); }

void Source::close() noexcept {
  if (fd >= 0) ::close(fd);
  fd = -1;
}

TailPrint Source::tail_print() const noexcept {
  return {offset, tail_size, print_hash({tail, tail_size})};
}

std::size_t utf8_boundary(std::string_view text, std::size_t size) noexcept {
  if (size >= text.size()) return text.size();
  for (std::size_t back = 0; back < 4 && back < size; ++back)
    if ((static_cast<unsigned char>(text[size - back]) & 0xC0) != 0x80) return size - back;
  return size;  // not UTF-8 anyway
}

LineReader::LineReader(std::size_t line_bytes_max)
    : line_bytes_max_(std::max<std::size_t>(line_bytes_max, 1024)) {}

void LineReader::grow() {
  // A line fills the whole buffer: it must be read again from its start, into more room.
  capacity_ = std::min(capacity_ * 4, line_bytes_max_ + 2 * kReadBytes);
  buffer_.reset(new char[capacity_]);
}

void LineReader::shrink() {
  if (capacity_ == kTailBytes + kReadBytes) return;
  capacity_ = kTailBytes + kReadBytes;
  buffer_.reset(new char[capacity_]);
}

// False: the first bytes, which say how the text is encoded, are yet to come.
bool LineReader::resolve(Source& source) {
  if (source.encoding != TextEncoding::kUtf16) [[likely]]
    return true;
  char first[2];
  if (::pread(source.fd, first, sizeof first, 0) != sizeof first) {
    source.partial = source.size > source.offset;
    return false;
  }
  source.encoding = resolve_encoding(source.encoding, {first, sizeof first});
  return true;
}

LineReader::Outcome LineReader::fill(Source& source, Chunk& chunk) {
  if (capacity_ == 0) shrink();
  const std::size_t overlap = source.tail_size;
  ssize_t n = 0;
  do {
    n = ::pread(source.fd, buffer_.get(), capacity_, static_cast<off_t>(source.offset - overlap));
  } while (n < 0 && errno == EINTR);
  if (n < 0) return Outcome::kError;
  const auto count = static_cast<std::size_t>(n);
  // The bytes before the offset come along with every read: were they changed, this is no longer
  // the file whose offset we hold.
  if (count < overlap || std::memcmp(buffer_.get(), source.tail, overlap) != 0)
    return Outcome::kReplaced;
  chunk.overlap = {buffer_.get(), overlap};
  chunk.fresh = {buffer_.get() + overlap, count - overlap};
  chunk.at_end = count < capacity_;
  source.size = std::max(source.offset + chunk.fresh.size(), chunk.at_end ? 0 : source.size);
  if (source.id.head_size != 0 && source.offset == 0 &&
      (chunk.fresh.size() < source.id.head_size ||
       print_hash(chunk.fresh.substr(0, source.id.head_size)) != source.id.head_hash))
    return Outcome::kReplaced;  // cut before its first byte was read
  if (source.id.head_size == 0 && source.offset == 0 && !chunk.fresh.empty()) {
    const std::string_view head = chunk.fresh.substr(0, kHeadBytes);
    source.id.head_size = static_cast<std::uint32_t>(head.size());
    source.id.head_hash = print_hash(head);
  }
  return Outcome::kMore;
}

// Hands on the complete lines of `fresh`; `used` is where the next one starts. False: stop.
bool LineReader::split(Source& source, std::string_view fresh, LineSink& sink, std::size_t& used) {
  const char* const base = fresh.data();
  const std::uint64_t base_offset = source.offset;
  const bool wide = newline_bytes(source.encoding) == 2;
  while (used < fresh.size()) {
    const std::size_t start = used;
    std::size_t end = 0;
    if (wide) [[unlikely]] {
      end = find_newline(source.encoding, fresh, used);
      if (end == std::string_view::npos) return true;
      used = end + 2;
    } else {
      const auto* newline =
          static_cast<const char*>(std::memchr(base + used, '\n', fresh.size() - used));
      if (newline == nullptr) return true;
      end = static_cast<std::size_t>(newline - base);
      used = end + 1;
    }
    source.offset = base_offset + used;
    if (source.skipping) [[unlikely]] {
      source.skipping = false;
      sink.on_skipped(source, base_offset + start, base_offset + used);
      continue;
    }
    std::string_view line = fresh.substr(start, end - start);
    if (line.size() > line_bytes_max_) [[unlikely]] {
      line = line.substr(0, utf8_boundary(line, line_bytes_max_));
      ++lines_cut_total_;
    }
    if (!sink.on_line(source, line, base_offset + start, base_offset + used)) return false;
  }
  return true;
}

// `fresh` has no newline and is as long as a line may get.
bool LineReader::cut_line(Source& source, std::string_view fresh, LineSink& sink,
                          std::size_t& used) {
  const std::uint64_t start = source.offset;
  used = fresh.size() - fresh.size() % newline_bytes(source.encoding);
  fresh = fresh.substr(0, used);
  source.offset += used;
  if (source.skipping) {
    sink.on_skipped(source, start, source.offset);
    return true;
  }
  source.skipping = true;
  ++lines_cut_total_;
  return sink.on_line(source, fresh.substr(0, utf8_boundary(fresh, line_bytes_max_)), start,
                      source.offset);
}

void LineReader::remember_tail(Source& source, const Chunk& chunk, std::size_t used) {
  // overlap and fresh are contiguous in the buffer.
  const std::size_t have = chunk.overlap.size() + used;
  source.tail_size = static_cast<std::uint32_t>(std::min(have, kTailBytes));
  std::memcpy(source.tail, chunk.overlap.data() + have - source.tail_size, source.tail_size);
}

LineReader::Outcome LineReader::read(Source& source, LineSink& sink) {
  CHECK(source.fd >= 0);
  if (!resolve(source)) return Outcome::kDrained;
  std::size_t turn = 0;
  while (turn < kTurnBytes) {
    Chunk chunk;
    if (const Outcome outcome = fill(source, chunk); outcome != Outcome::kMore) return outcome;
    std::size_t used = 0;
    bool go_on = split(source, chunk.fresh, sink, used);
    const std::size_t rest = chunk.fresh.size() - used;
    if (go_on && used == 0 && !chunk.at_end) {
      if (!source.skipping && rest < line_bytes_max_ + 1) {
        grow();
        continue;
      }
      go_on = cut_line(source, chunk.fresh, sink, used);
    } else if (go_on && source.skipping && rest > 0) {
      const std::uint64_t start = source.offset;
      const std::size_t whole = rest - rest % newline_bytes(source.encoding);
      source.offset += whole;
      used += whole;
      sink.on_skipped(source, start, source.offset);
    }
    remember_tail(source, chunk, used);
    turn += used;
    bytes_total_ += used;
    source.partial = source.size > source.offset;
    if (!go_on) return Outcome::kStopped;
    if (chunk.at_end) {
      if (capacity_ > kTailBytes + kReadBytes && !source.partial) shrink();
      return Outcome::kDrained;
    }
  }
  return Outcome::kMore;
}

LineReader::Outcome LineReader::flush_partial(Source& source, LineSink& sink) {
  resolve(source);  // a single byte is what it is
  Chunk chunk;
  if (const Outcome outcome = fill(source, chunk); outcome != Outcome::kMore) return outcome;
  std::size_t used = 0;
  if (!split(source, chunk.fresh, sink, used)) {
    remember_tail(source, chunk, used);
    source.partial = source.size > source.offset;
    return Outcome::kStopped;
  }
  const std::string_view rest = chunk.fresh.substr(used);
  const std::uint64_t start = source.offset;
  source.offset += rest.size();
  remember_tail(source, chunk, chunk.fresh.size());
  bytes_total_ += chunk.fresh.size();
  source.partial = false;
  if (rest.empty()) return Outcome::kDrained;
  if (source.skipping) {
    sink.on_skipped(source, start, source.offset);
    return Outcome::kDrained;
  }
  return sink.on_line(source, rest.substr(0, utf8_boundary(rest, line_bytes_max_)), start,
                      source.offset)
             ? Outcome::kDrained
             : Outcome::kStopped;
}

}  // namespace skald::agent
