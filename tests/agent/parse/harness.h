#pragma once
// Runs stages over lines and writes what came out as one text per entry:
//   {label="v"} @time line [metadata=v ...] #start-end
// Time appears only when it is not the line's read time, metadata and range only when asked for or
// given; dropped lines read "dropped #start-end".

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/parse/pipeline.h"
#include "proto/gotext/time_layout.h"

namespace skald::agent {

constexpr std::int64_t kReadNs = 1'764'000'000'000'000'000;  // 2025-11-24T16:00:00Z

class Harness final : public EntrySink {
 public:
  explicit Harness(std::string_view stages, model::Labels labels = {{"job", "j"}},
                   bool guard = false)
      : policy(LabelPolicyOptions{3, {}, 100'000},
               [this](const std::string& text) { warnings.push_back(text); }) {
    auto node = parse_yaml(stages, "test.yaml");
    if (!node.ok()) {
      error = node.status().message();
      return;
    }
    Pipeline::Environment environment;
    environment.sets = &sets;
    environment.metrics = &metrics;
    environment.policy = guard ? &policy : nullptr;
    environment.file_name = "test.yaml";
    environment.warn = [this](const std::string& text) { warnings.push_back(text); };
    auto built = Pipeline::build(*node, "job", environment);
    if (!built.ok()) {
      error = built.status().message();
      return;
    }
    pipeline = std::move(built).value();
    base = LabelSetRef(sets.intern(labels));
  }

  void line(std::string_view text, std::int64_t read_ns = kReadNs, std::uint64_t source = 1) {
    LineIn in;
    in.line = text;
    in.read_ns = now_ns = read_ns;
    in.labels = base.get();
    in.range = {source, offset, offset + text.size() + 1};
    offset = in.range.end;
    pipeline->process(in, *this);
  }
  void on_entry(const EntryOut& entry) override {
    std::string text = entry.labels->labels().to_string();
    if (!entry.labels->tenant().empty()) text += " tenant=" + entry.labels->tenant();
    if (entry.timestamp_ns != now_ns) {
      text += " @" + gotext::format_rfc3339_nano(entry.timestamp_ns);
    }
    text += " ";
    text += entry.line;
    if (!entry.metadata.empty()) {
      text += " [";
      for (const auto& [name, value] : entry.metadata) {
        if (text.back() != '[') text += ' ';
        text.append(name).append("=").append(value);
      }
      text += "]";
    }
    if (ranges) add_range(text, entry.range);
    out.push_back(std::move(text));
  }
  void on_dropped(const SourceRange& range) override {
    std::string text = "dropped";
    if (ranges) add_range(text, range);
    out.push_back(std::move(text));
  }
  std::vector<std::string> take() { return std::exchange(out, {}); }

  std::string error;
  std::vector<std::string> warnings;
  std::vector<std::string> out;
  LabelSetTable sets;
  StageMetrics metrics;
  LabelPolicy policy;
  std::unique_ptr<Pipeline> pipeline;
  LabelSetRef base;
  std::uint64_t offset = 0;
  std::int64_t now_ns = kReadNs;
  bool ranges = false;

 private:
  static void add_range(std::string& text, const SourceRange& range) {
    text += " #" + std::to_string(range.start) + "-" + std::to_string(range.end);
  }
};

inline std::vector<std::string> run_lines(std::string_view stages,
                                          const std::vector<std::string>& lines,
                                          model::Labels labels = {{"job", "j"}}) {
  Harness harness(stages, std::move(labels));
  if (!harness.error.empty()) return {"error: " + harness.error};
  for (const auto& line : lines) harness.line(line);
  return harness.take();
}

}  // namespace skald::agent
