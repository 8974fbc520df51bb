#pragma once
// A store of plain entries in memory, for tests of the engine: one kText block per so many rows,
// nothing clever. Only what a query needs is implemented.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "store/store.h"

namespace skald::query {

class MemoryStore final : public store::Store {
 public:
  explicit MemoryStore(std::size_t rows_per_block = 1000) : rows_per_block_(rows_per_block) {}

  // Equal entries of a stream are one.
  void add(model::Labels stream, model::TimestampNs time, std::string line,
           model::Labels metadata = {});
  std::uint64_t blocks_visited() const { return blocks_visited_; }

  base::Result<std::unique_ptr<store::Scan>> open_scan(const store::ScanRequest& request) override;

  base::Result<store::AppendResult> append(std::string_view, const model::PushBatch&) override {
    return base::unsupported("memory store");
  }
  std::vector<model::FileMark> marks(std::string_view, std::string_view) override { return {}; }
  base::Result<std::vector<std::string>> label_names(const store::LabelQuery&) override {
    return base::unsupported("memory store");
  }
  base::Result<std::vector<std::string>> label_values(const store::LabelQuery&,
                                                      std::string_view) override {
    return base::unsupported("memory store");
  }
  base::Result<std::vector<store::StreamInfo>> series(const store::LabelQuery&) override {
    return base::unsupported("memory store");
  }
  base::Result<std::vector<store::VolumeRow>> volume(const store::LabelQuery&) override {
    return base::unsupported("memory store");
  }
  std::uint64_t stream_count(std::string_view) override { return streams_.size(); }
  std::vector<std::string> tenants() override { return {"fake"}; }
  base::Status flush() override { return {}; }
  base::Status compact() override { return {}; }
  base::Status enforce_retention() override { return {}; }
  store::StoreStats stats() const override { return {}; }
  void set_delete_filter_factory(LineFilterFactory) override {}
  base::Result<std::string> add_delete(store::DeleteRequest) override {
    return base::unsupported("memory store");
  }
  std::vector<store::DeleteRequest> deletes(std::string_view) override { return {}; }
  base::Status cancel_delete(std::string_view, std::string_view) override { return {}; }
  base::Status backup(const std::string&) override { return {}; }
  void set_append_listener(AppendListener) override {}

  struct Row {
    std::uint32_t stream = 0;
    model::TimestampNs time = 0;
    std::string line;
    model::Labels metadata;
  };

 private:
  friend class MemoryScan;
  std::size_t rows_per_block_;
  std::vector<model::Labels> streams_;
  std::map<model::Labels, std::uint32_t> stream_ids_;
  std::vector<Row> rows_;
  std::map<std::tuple<std::uint32_t, model::TimestampNs, std::string>, bool> seen_;
  std::uint64_t blocks_visited_ = 0;
};

}  // namespace skald::query
