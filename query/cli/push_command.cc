// push: lines of files (or stdin) as entries of one stream, in batches of protobuf with snappy,
// which Loki takes as well.

#include <fcntl.h>
#include <simdjson.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <string>

#include "proto/gotext/time_layout.h"
#include "proto/model/push.h"
#include "proto/wire/push_encoder.h"
#include "query/cli/commands.h"

namespace skald::query::cli {
namespace {

constexpr std::size_t kBatchBytes = 1U << 20;  // raw lines in one request
constexpr std::size_t kReadBytes = 256U << 10;
constexpr std::size_t kLineBytesMax = 64U << 20;  // a longer "line" is no log

// Collects entries and sends them when enough have come together.
class Pusher {
 public:
  Pusher(const Options& options, Client& client) : key_(options.timestamp_key), client_(client) {
    std::vector<model::Labels::Pair> pairs = options.labels;
    if (pairs.empty()) pairs.emplace_back("job", "skaldctl");
    labels_text_ = model::Labels::from_pairs(std::move(pairs)).to_string();
    last_now_ns_ = base::Clock::system().wall_ns();
  }

  base::Status add(std::string_view line) {
    model::EntryView entry;
    entry.line = line;
    entry.timestamp_ns = time_of(line);
    wire::append_entry(entries_, entry);
    ++lines_;
    raw_bytes_ += line.size();
    return entries_.size() >= kBatchBytes ? send() : base::Status();
  }

  base::Status send() {
    if (entries_.empty()) return {};
    body_.clear();
    wire::append_stream(body_, labels_text_, entries_);
    entries_.clear();
    wire::compress_snappy(body_, compressed_);
    const Parameters headers = {{"Content-Type", std::string(wire::kProtobufType)},
                                {"Content-Encoding", std::string(wire::kSnappyEncoding)}};
    SKALD_TRY(client_.call("POST", wire::kPushPath, {}, compressed_, headers));
    return {};
  }

  std::uint64_t lines() const { return lines_; }
  std::uint64_t raw_bytes() const { return raw_bytes_; }
  std::uint64_t without_time() const { return without_time_; }

 private:
  // The line's own time, else now; successive "now"s differ, so that the order is kept.
  model::TimestampNs time_of(std::string_view line) {
    if (!key_.empty()) {
      simdjson::dom::element root;
      std::string_view text;
      if (parser_.parse(line.data(), line.size()).get(root) == simdjson::SUCCESS &&
          root[key_].get(text) == simdjson::SUCCESS) {
        auto time = layout_.parse(text);
        if (time.ok()) return time->unix_ns();
      }
      ++without_time_;
    }
    last_now_ns_ = std::max(last_now_ns_ + 1, base::Clock::system().wall_ns());
    return last_now_ns_;
  }

  std::string key_;
  Client& client_;
  std::string labels_text_, entries_, body_, compressed_;
  simdjson::dom::parser parser_;
  gotext::TimeLayout layout_{"2006-01-02T15:04:05.999999999Z07:00"};
  model::TimestampNs last_now_ns_;
  std::uint64_t lines_ = 0, raw_bytes_ = 0, without_time_ = 0;
};

// Every line of `fd`; a last one without its newline too.
base::Status push_lines(int fd, const std::string& name, Pusher& pusher) {
  std::string pending;
  std::string block(kReadBytes, '\0');
  while (true) {
    const ssize_t got = ::read(fd, block.data(), block.size());
    if (got < 0) {
      if (errno == EINTR) continue;
      return base::from_errno(errno, name);
    }
    if (got == 0) break;
    pending.append(block.data(), static_cast<std::size_t>(got));
    std::size_t begin = 0;
    for (std::size_t end; (end = pending.find('\n', begin)) != std::string::npos; begin = end + 1) {
      SKALD_TRY(pusher.add(std::string_view(pending).substr(begin, end - begin)));
    }
    pending.erase(0, begin);
    if (pending.size() > kLineBytesMax) {
      return base::invalid_argument(name + ": a line longer than 64 MiB");
    }
  }
  return pending.empty() ? base::Status() : pusher.add(pending);
}

base::Status push_file(const std::string& path, Pusher& pusher) {
  if (path == "-") return push_lines(STDIN_FILENO, "stdin", pusher);
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return base::from_errno(errno, path);
  base::Status status = push_lines(fd, path, pusher);
  ::close(fd);
  return status;
}

}  // namespace

base::Status run_push(const Options& options, Client& client, const Io& io) {
  Pusher pusher(options, client);
  for (const std::string& path : options.paths) SKALD_TRY(push_file(path, pusher));
  SKALD_TRY(pusher.send());
  if (!options.quiet) {
    io.err("pushed " + std::to_string(pusher.lines()) + " lines, " +
           std::to_string(pusher.raw_bytes()) + " bytes\n");
    if (pusher.without_time() > 0) {
      io.err("note: " + std::to_string(pusher.without_time()) + " lines without a time at key \"" +
             options.timestamp_key + "\" got the present one\n");
    }
  }
  return {};
}

}  // namespace skald::query::cli
