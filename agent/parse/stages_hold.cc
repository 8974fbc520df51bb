// multiline, cri, docker: lines that belong together become one entry. What waits is kept per
// source file and label set, is bounded, and goes out when its file rotates, falls silent or the
// agent stops; Promtail loses or never sends some of it.

#include <algorithm>
#include <limits>
#include <map>

#include "agent/parse/json_scan.h"
#include "agent/parse/limits.h"
#include "agent/parse/regex.h"
#include "agent/parse/stage.h"
#include "proto/gotext/duration.h"
#include "proto/gotext/time_layout.h"

namespace skald::agent {

namespace {

constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

// What the three have in common: entries waiting by (source, labels).
class HoldingStage : public Stage {
 public:
  bool holds() const override { return true; }
  void flush(std::int64_t now_ns, Resume& out) override {
    if (now_ns < next_due_ns_) return;
    next_due_ns_ = kNever;
    for (auto it = waiting_.begin(); it != waiting_.end();) {
      Waiting& waiting = it->second;
      if (waiting.entry && waiting.due_ns <= now_ns) release(waiting, out);
      if (waiting.entry) next_due_ns_ = std::min(next_due_ns_, waiting.due_ns);
      // A stream that has been quiet for long is forgotten.
      const bool forget = !waiting.entry && waiting.due_ns + kForgetNs <= now_ns;
      if (!waiting.entry && !forget)
        next_due_ns_ = std::min(next_due_ns_, waiting.due_ns + kForgetNs);
      it = forget ? waiting_.erase(it) : std::next(it);
    }
  }
  void flush_source(std::uint64_t source, Resume& out) override {
    for (auto it = waiting_.lower_bound({source, 0});
         it != waiting_.end() && it->first.source == source;) {
      if (it->second.entry) release(it->second, out);
      it = waiting_.erase(it);
    }
  }
  void flush_all(Resume& out) override {
    for (auto& [key, waiting] : waiting_) {
      if (waiting.entry) release(waiting, out);
    }
    waiting_.clear();
    next_due_ns_ = kNever;
  }
  std::int64_t next_flush_ns() const override { return next_due_ns_; }
  std::optional<std::uint64_t> held_from(std::uint64_t source) const override {
    std::optional<std::uint64_t> from;
    for (auto it = waiting_.lower_bound({source, 0});
         it != waiting_.end() && it->first.source == source; ++it) {
      if (!it->second.entry) continue;
      const std::uint64_t start = it->second.entry->range.start;
      if (!from || start < *from) from = start;
    }
    return from;
  }
  std::size_t held_bytes() const override { return bytes_; }

 protected:
  struct Key {
    std::uint64_t source = 0;
    std::uint64_t labels = 0;
    friend auto operator<=>(const Key&, const Key&) = default;
  };
  struct Waiting {
    std::optional<HeldEntry> entry;
    std::int64_t due_ns = 0;
    std::uint64_t lines = 0;
    // multiline: the first line of the block before, whose time, labels and values a continuation
    // after a flush takes over.
    std::optional<HeldEntry> last_first;
  };
  static constexpr std::int64_t kForgetNs = 600'000'000'000;

  void hold(Waiting& waiting, HeldEntry entry, std::int64_t due_ns) {
    waiting.entry = std::move(entry);
    bytes_ += waiting.entry->bytes();
    set_due(waiting, due_ns);
  }
  void append(Waiting& waiting, std::string_view separator, const Entry& entry) {
    bytes_ -= waiting.entry->bytes();
    waiting.entry->append(separator, entry.line);
    waiting.entry->range.end = std::max(waiting.entry->range.end, entry.range.end);
    waiting.entry->range.start = std::min(waiting.entry->range.start, entry.range.start);
    bytes_ += waiting.entry->bytes();
  }
  void set_due(Waiting& waiting, std::int64_t due_ns) {
    waiting.due_ns = due_ns;
    next_due_ns_ = std::min(next_due_ns_, due_ns);
  }
  HeldEntry take(Waiting& waiting) {
    bytes_ -= waiting.entry->bytes();
    HeldEntry entry = std::move(*waiting.entry);
    waiting.entry.reset();
    waiting.lines = 0;
    return entry;
  }
  void release(Waiting& waiting, Resume& out) {
    const HeldEntry entry = take(waiting);
    out.resume(entry, index + 1);
  }
  // Over the memory bound everything goes out: simple, and rare.
  void enforce_bound(Resume& out) {
    if (bytes_ <= kHeldBytesMax) return;
    for (auto& [key, waiting] : waiting_) {
      if (waiting.entry) release(waiting, out);
    }
  }

  std::map<Key, Waiting> waiting_;
  std::size_t bytes_ = 0;
  std::int64_t next_due_ns_ = kNever;
};

class MultilineStage final : public HoldingStage {
 public:
  Flow run(Entry& entry, Context& context) override {
    const Key key{entry.range.source, context.labels_hash(entry)};
    auto known = waiting_.find(key);
    const bool first = regex_found(*regex_, entry.line);
    if (known == waiting_.end()) {
      if (!first) return Flow::kNext;  // before any first line, lines pass
      known = waiting_.try_emplace(key).first;
    }
    Waiting& waiting = known->second;
    if (first && waiting.entry) release(waiting, *resume);
    const std::int64_t due_ns = entry.read_ns + max_wait_ns_;
    if (!waiting.entry) {
      start(waiting, entry, first, due_ns);
    } else {
      append(waiting, "\n", entry);
      set_due(waiting, due_ns);
    }
    if (++waiting.lines == max_lines_ || waiting.entry->line().size() >= kHeldLineMax) {
      release(waiting, *resume);
    }
    enforce_bound(*resume);
    return Flow::kHeld;
  }

  std::string describe() const override {
    return "joins lines: each that matches /" + regex_->pattern() +
           "/ starts an entry, the others follow it (at most " + std::to_string(max_lines_) +
           " lines, waits " + gotext::format_duration(max_wait_ns_) + ")";
  }

  static StagePtr build(MapReader& body, BuildContext&) {
    auto stage = std::make_unique<MultilineStage>();
    std::string firstline;
    body.string("firstline", firstline);
    body.duration("max_wait_time", stage->max_wait_ns_);
    body.uint64("max_lines", stage->max_lines_);
    if (firstline.empty()) {
      body.fail("firstline", "the multiline stage needs a regex for the first line of an entry");
      return nullptr;
    }
    stage->regex_ = compile_regex(firstline, body, "firstline");
    if (stage->regex_ == nullptr) return nullptr;
    return stage;
  }

 private:
  void start(Waiting& waiting, const Entry& entry, bool first, std::int64_t due_ns) {
    if (first || !waiting.last_first) {
      hold(waiting, HeldEntry(entry), due_ns);
      HeldEntry head(entry);
      head.truncate(0);
      waiting.last_first = std::move(head);
      return;
    }
    // A continuation after a flush: as Promtail, with the previous first line's time and values.
    HeldEntry held = *waiting.last_first;
    held.append("", entry.line);
    held.range = entry.range;
    hold(waiting, std::move(held), due_ns);
  }

  std::unique_ptr<re2::RE2> regex_;
  std::int64_t max_wait_ns_ = 3'000'000'000;
  std::uint64_t max_lines_ = 128;
};

// Joins partial lines by a flag the subclass finds; cri and docker.
class PartialStage : public HoldingStage {
 protected:
  // `entry` holds this part's line, time and labels. Partial: more will come.
  Flow join(Entry& entry, Context& context, bool partial) {
    const Key key{entry.range.source, context.labels_hash(entry)};
    auto known = waiting_.find(key);
    const bool joined = known != waiting_.end() && known->second.entry;
    if (!partial && !joined) return Flow::kNext;  // the common case: a whole line
    if (!partial) {
      finish(entry, context, known);
      return Flow::kNext;
    }
    if (!joined && waiting_count_ >= max_partial_lines_) give_all();  // `known` is gone then
    Waiting& waiting = waiting_[key];
    if (joined) {
      // The last part's time and values are the entry's, with all the text.
      HeldEntry before = take(waiting);
      --waiting_count_;
      const std::string text = before.line() + std::string(entry.line);
      entry.line = text;
      entry.range.start = std::min(entry.range.start, before.range.start);
      keep(waiting, entry);
      entry.line = {};  // it borrowed from `text`
    } else {
      keep(waiting, entry);
    }
    enforce_bound(*resume);
    return Flow::kHeld;
  }

  void read_limits(MapReader& body) {
    body.size("max_partial_lines", max_partial_lines_);
    body.bytes("max_partial_line_size", line_size_max_);
    body.boolean("max_partial_line_size_truncate", truncate_);
    if (max_partial_lines_ == 0) max_partial_lines_ = 100;
  }

 public:
  void flush(std::int64_t now_ns, Resume& out) override {
    HoldingStage::flush(now_ns, out);
    recount();
  }
  void flush_source(std::uint64_t source, Resume& out) override {
    HoldingStage::flush_source(source, out);
    recount();
  }
  void flush_all(Resume& out) override {
    HoldingStage::flush_all(out);
    recount();
  }

 private:
  void recount() {
    waiting_count_ = 0;
    for (const auto& [key, waiting] : waiting_) waiting_count_ += waiting.entry ? 1 : 0;
  }
  void give_all() {
    for (auto& [key, waiting] : waiting_) {
      if (waiting.entry) release(waiting, *resume);
    }
    waiting_.clear();
    waiting_count_ = 0;
  }
  void keep(Waiting& waiting, const Entry& entry) {
    HeldEntry held(entry);
    if (truncate_) held.truncate(line_size_max_);
    hold(waiting, std::move(held), entry.read_ns + kPartialIdleNs);
    ++waiting_count_;
    if (waiting.entry->line().size() >= kHeldLineMax) {
      release(waiting, *resume);
      --waiting_count_;
    }
  }
  void finish(Entry& entry, Context& context, std::map<Key, Waiting>::iterator known) {
    const HeldEntry before = take(known->second);
    --waiting_count_;
    waiting_.erase(known);
    char* const text = context.arena.allocate(before.line().size() + entry.line.size());
    std::memcpy(text, before.line().data(), before.line().size());
    if (!entry.line.empty()) {
      std::memcpy(text + before.line().size(), entry.line.data(), entry.line.size());
    }
    entry.line = {text, before.line().size() + entry.line.size()};
    if (truncate_) entry.line = entry.line.substr(0, line_size_max_);
    entry.range.start = std::min(entry.range.start, before.range.start);
    entry.range.end = std::max(entry.range.end, before.range.end);
  }

  std::size_t max_partial_lines_ = 100;
  std::size_t line_size_max_ = 0;
  bool truncate_ = false;
  std::size_t waiting_count_ = 0;
};

// RFC 3339 by way of the general parser's layout; shared by cri and docker.
class Rfc3339 {
 public:
  bool parse(std::string_view text, std::int64_t& out_ns) const {
    auto time = layout_.parse(text);
    if (!time.ok()) return false;
    out_ns = time->unix_ns();
    return true;
  }

 private:
  gotext::TimeLayout layout_{"2006-01-02T15:04:05.999999999Z07:00"};
};

// `<RFC3339Nano> <stdout|stderr> <flags> <content>`
class CriStage final : public PartialStage {
 public:
  Flow run(Entry& entry, Context& context) override {
    context.labels_to_slots(entry);
    const std::string_view line = entry.line;
    const std::size_t first = line.find(' ');
    if (first == std::string_view::npos || first == 0) return Flow::kNext;
    const std::size_t second = line.find(' ', first + 1);
    if (second == std::string_view::npos) return Flow::kNext;
    const std::size_t third = line.find(' ', second + 1);
    const std::string_view stream = line.substr(first + 1, second - first - 1);
    if (third == std::string_view::npos || third == second + 1 ||
        (stream != "stdout" && stream != "stderr")) {
      return Flow::kNext;
    }
    const std::string_view time = line.substr(0, first);
    const std::string_view flags = line.substr(second + 1, third - second - 1);
    const std::string_view content = line.substr(third + 1);
    entry.slots[time_] = Value::string(time);
    entry.slots[stream_] = Value::string(stream);
    entry.slots[flags_] = Value::string(flags);
    entry.slots[content_] = Value::string(content);
    entry.set_label(stream_, stream);
    std::int64_t time_ns = 0;
    if (parse_iso_time(time, 'T', true, time_ns) || rfc3339_.parse(time, time_ns))
      entry.timestamp_ns = time_ns;
    entry.line = content;
    return join(entry, context, flags == "P");
  }
  std::string describe() const override {
    return "reads the container runtime's format (time, stream, flag, text), adds the label "
           "`stream`, and joins partial lines";
  }

  static StagePtr build(MapReader& body, BuildContext& build) {
    auto stage = std::make_unique<CriStage>();
    stage->read_limits(body);
    stage->time_ = build.names->id("time");
    stage->stream_ = build.names->id("stream");
    stage->flags_ = build.names->id("flags");
    stage->content_ = build.names->id("content");
    return stage;
  }

 private:
  Rfc3339 rfc3339_;
  std::uint32_t time_ = 0, stream_ = 0, flags_ = 0, content_ = 0;
};

// {"log": "text\n", "stream": "stdout", "time": "..."}: strips the newline and joins what Docker
// split at 16 KiB (a part without a newline).
class DockerStage final : public PartialStage {
 public:
  Flow run(Entry& entry, Context& context) override {
    context.labels_to_slots(entry);
    JsonField fields[3];
    if (!paths_.scan(entry.line, context.arena, fields)) return Flow::kNext;
    const std::uint32_t slots[] = {output_, stream_, timestamp_};
    for (int i = 0; i < 3; ++i) {
      const JsonField& field = fields[i];
      Value& slot = entry.slots[slots[i]];
      slot = field.type != JsonField::Type::kString ? Value::null()
             : field.escaped ? Value::string(unescape(field.text, context.arena))
                             : Value::string(field.text);
    }
    std::string_view text;
    if (to_text(entry.slots[stream_], context.arena, text)) entry.set_label(stream_, text);
    std::int64_t time_ns = 0;
    if (to_text(entry.slots[timestamp_], context.arena, text) &&
        (parse_iso_time(text, 'T', true, time_ns) || rfc3339_.parse(text, time_ns))) {
      entry.timestamp_ns = time_ns;
    }
    if (!to_text(entry.slots[output_], context.arena, text)) return Flow::kNext;
    const bool whole = text.ends_with('\n');
    if (whole) text.remove_suffix(1);
    entry.line = text;
    return join(entry, context, !whole);
  }
  std::string describe() const override {
    return "reads Docker's json-file format, adds the label `stream`, strips the newline and joins "
           "split lines";
  }

  static StagePtr build(MapReader&, BuildContext& build) {
    auto stage = std::make_unique<DockerStage>();
    stage->paths_.add({"log"});
    stage->paths_.add({"stream"});
    stage->paths_.add({"time"});
    stage->output_ = build.names->id("output");
    stage->stream_ = build.names->id("stream");
    stage->timestamp_ = build.names->id("timestamp");
    return stage;
  }

 private:
  JsonPaths paths_;
  Rfc3339 rfc3339_;
  std::uint32_t output_ = 0, stream_ = 0, timestamp_ = 0;
};

}  // namespace

StagePtr build_multiline(MapReader& body, BuildContext& build) {
  return MultilineStage::build(body, build);
}
StagePtr build_cri(MapReader& body, BuildContext& build) { return CriStage::build(body, build); }
StagePtr build_docker(MapReader& body, BuildContext& build) {
  return DockerStage::build(body, build);
}

}  // namespace skald::agent
