#pragma once
// One source: one life of one file, from its first byte on. A file that is truncated in place ends
// one life and begins another. Sources are numbered and numbers are never used twice.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "agent/tail/file_id.h"
#include "agent/tail/text_encoding.h"

namespace skald::agent {

// What the owner of the file set hangs on a source (labels, progress).
class SourceData {
 public:
  virtual ~SourceData() = default;
};

struct Source {
  std::uint64_t number = 0;
  FileId id;         // head_size 0 until a byte was read
  FileKey key;       // where the bytes are now; differs from id.key in an adopted copy
  std::string path;  // as matched at first sight: the label `filename`
  std::string at;    // its name now; empty if it has none that we know
  std::size_t target = 0;
  TextEncoding encoding = TextEncoding::kUtf8;  // set by the owner before the first line

  std::uint64_t offset = 0;  // of the next byte to hand on
  std::uint64_t size = 0;    // as last seen
  std::uint32_t tail_size = 0;
  char tail[kTailBytes] = {};  // the last tail_size bytes before `offset`

  int fd = -1;
  bool bare = false;       // no byte of it was ever seen
  bool queued = false;     // in the reading queue
  bool held_back = false;  // by the owner, until FileSet::resume_all(): the others go on
  bool rotated = false;    // no longer under `path`
  bool unlinked = false;   // no name at all
  bool skipping = false;   // inside a line that was cut: drop up to its newline
  bool partial = false;    // bytes after the last newline wait for theirs
  // Later generations of `path` were made at this time or after it, in the file system's time.
  std::int64_t successor_ns = 0;
  std::int64_t modified_ns = 0;   // as last seen, in the same time
  std::int64_t changed_ns = 0;    // monotonic time of the last new byte or event
  std::uint64_t predecessor = 0;  // number of the source to be read to its end before this one
  std::unique_ptr<SourceData> data;

  Source() = default;
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;
  ~Source();

  bool has_unread() const noexcept { return size > offset; }
  TailPrint tail_print() const noexcept;
  void close() noexcept;
};

class LineSink {
 public:
  virtual ~LineSink() = default;
  // Lines of one source come in order; `end` is the offset after the newline. `line` has no
  // newline, keeps a \r, is in the source's encoding, and lives during the call. False: no more
  // lines now; this one was taken.
  virtual bool on_line(Source& source, std::string_view line, std::uint64_t start,
                       std::uint64_t end) = 0;
  // Bytes that no line will have: the rest of a line longer than the limit.
  virtual void on_skipped(Source& source, std::uint64_t start, std::uint64_t end) = 0;
};

// Reads sources through one buffer, so that memory does not grow with their number.
class LineReader {
 public:
  explicit LineReader(std::size_t line_bytes_max = kLineBytesMax);

  enum class Outcome : unsigned char {
    kMore,      // the turn is over, more bytes wait
    kDrained,   // end of file; an unterminated rest may remain (source.partial)
    kStopped,   // the sink asked to stop
    kReplaced,  // the bytes before the offset are not what they were, or the file is shorter
    kError,     // the system refused to read
  };
  // Hands on complete lines from source.offset, at most about kTurnBytes. source.fd must be open.
  Outcome read(Source& source, LineSink& sink);
  // Hands on the unterminated rest as a line.
  Outcome flush_partial(Source& source, LineSink& sink);

  std::uint64_t bytes_total() const noexcept { return bytes_total_; }
  std::uint64_t lines_cut_total() const noexcept { return lines_cut_total_; }

 private:
  struct Chunk {
    std::string_view overlap, fresh;
    bool at_end = false;
  };
  static bool resolve(Source& source);
  Outcome fill(Source& source, Chunk& chunk);
  bool split(Source& source, std::string_view fresh, LineSink& sink, std::size_t& used);
  bool cut_line(Source& source, std::string_view fresh, LineSink& sink, std::size_t& used);
  void remember_tail(Source& source, const Chunk& chunk, std::size_t used);
  void grow();
  void shrink();

  const std::size_t line_bytes_max_;
  std::size_t capacity_ = 0;
  std::unique_ptr<char[]> buffer_;
  std::uint64_t bytes_total_ = 0;
  std::uint64_t lines_cut_total_ = 0;
};

// `size` or less, so that no UTF-8 sequence is cut in two.
std::size_t utf8_boundary(std::string_view text, std::size_t size) noexcept;

}  // namespace skald::agent
