#pragma once
// Helpers of the store's tests: build batches, read everything back, compare with a naive model.

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <tuple>
#include <vector>

// heavy: every user of this header is a test
#include <gtest/gtest.h>

#include "store/store.h"

namespace skald::store::testing {

// A row as a test sees it: labels, time, line, metadata.
using Row = std::tuple<std::string, model::TimestampNs, std::string, std::string>;

// Owns what a PushBatch borrows.
class BatchBuilder {
 public:
  BatchBuilder& add(const model::Labels& labels, model::TimestampNs time_ns, std::string line,
                    model::Labels metadata = {}) {
    entries_.push_back(std::make_unique<model::Entry>(
        model::Entry{time_ns, std::move(line), std::move(metadata)}));
    const model::Entry& entry = *entries_.back();
    for (auto& stream : batch_.streams)
      if (stream.labels == labels) return put(stream, entry);
    batch_.streams.push_back({labels, {}});
    return put(batch_.streams.back(), entry);
  }
  BatchBuilder& mark(std::string agent, std::string file, std::uint64_t start, std::uint64_t end) {
    batch_.marks.push_back({std::move(agent), std::move(file), start, end});
    return *this;
  }
  const model::PushBatch& batch() const { return batch_; }

 private:
  BatchBuilder& put(model::PushStream& stream, const model::Entry& entry) {
    stream.entries.push_back(
        {entry.timestamp_ns, entry.line, entry.metadata.empty() ? nullptr : &entry.metadata});
    return *this;
  }
  std::vector<std::unique_ptr<model::Entry>> entries_;
  model::PushBatch batch_;
};

inline model::Matchers matchers(std::string name, std::string value,
                                model::Matcher::Op op = model::Matcher::Op::kEqual) {
  model::Matchers out;
  out.push_back(model::Matcher::create(std::move(name), op, std::move(value)).value());
  return out;
}
inline model::Matchers everything() { return matchers("__name__", "", model::Matcher::Op::kEqual); }

// Collects every selected row of a scan, from any worker.
class Collector final : public BlockVisitor {
 public:
  explicit Collector(std::span<const StreamInfo> streams) : streams_(streams) {}
  base::Status visit(Block& block, unsigned) override {
    SKALD_TRY_ASSIGN(const Selection selection, block.select());
    if (selection.none()) return {};
    SKALD_TRY_ASSIGN(const auto times, block.timestamps());
    SKALD_TRY_ASSIGN(const auto numbers, block.streams());
    TextColumn lines;
    SKALD_TRY(block.read_lines(selection, lines));
    std::vector<std::string> metadata(selection.count());
    if (block.has_metadata()) {
      std::vector<model::Labels> sets;
      SKALD_TRY(block.read_metadata(selection, sets));
      for (std::size_t i = 0; i < metadata.size(); ++i)
        metadata[i] = sets[i].empty() ? "" : sets[i].to_string();
    }
    const std::scoped_lock lock(mutex_);
    std::size_t i = 0;
    selection.for_each([&](std::uint32_t row) {
      rows.emplace_back(streams_[numbers[row]].labels.to_string(), times[row],
                        std::string(lines.at(i)), metadata[i]);
      ++i;
    });
    return {};
  }
  std::vector<Row> rows;

 private:
  std::span<const StreamInfo> streams_;
  std::mutex mutex_;
};

inline std::vector<Row> read_all(Store& store, std::string tenant = "t",
                                 model::Matchers with = everything(),
                                 model::TimeRange range = {INT64_MIN, INT64_MAX},
                                 std::vector<std::string>* warnings = nullptr) {
  ScanRequest request;
  request.tenant = std::move(tenant);
  request.matchers = std::move(with);
  request.range = range;
  auto scan = store.open_scan(request);
  EXPECT_TRUE(scan.ok()) << scan.status().to_string();
  Collector collector((*scan)->streams());
  ScanOptions options;
  options.workers = 2;
  const base::Status status = (*scan)->run(collector, options);
  EXPECT_TRUE(status.ok()) << status.to_string();
  if (warnings != nullptr) *warnings = (*scan)->warnings();
  std::sort(collector.rows.begin(), collector.rows.end());
  return std::move(collector.rows);
}

// A directory of its own for each test, removed afterwards.
class TempDir {
 public:
  TempDir() {
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    path_ = std::filesystem::temp_directory_path() /
            ("skald_" + std::string(info->test_suite_name()) + "_" + info->name() + "_" +
             std::to_string(::getpid()));
    std::filesystem::remove_all(path_);
  }
  ~TempDir() { std::filesystem::remove_all(path_); }
  std::string path(const std::string& name = "") const {
    return name.empty() ? path_.string() : (path_ / name).string();
  }

 private:
  std::filesystem::path path_;
};

}  // namespace skald::store::testing
