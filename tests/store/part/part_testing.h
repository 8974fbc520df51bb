#pragma once
// Builds parts in memory and reads them back, for the tests of this folder.

#include <memory>
#include <string>
#include <vector>

#include "store/part/part_reader.h"
#include "store/part/part_writer.h"

namespace skald::store::part {

class MemoryFile final : public base::MappedFile {
 public:
  explicit MemoryFile(std::string bytes) : bytes_(std::move(bytes)) {}
  std::string_view bytes() const noexcept override { return bytes_; }

 private:
  std::string bytes_;
};

struct TestRow {
  std::uint32_t stream = 0;
  model::TimestampNs time_ns = 0;
  std::string line;
  model::Labels metadata;
};

inline std::string build_part(const std::vector<std::vector<TestRow>>& groups,
                              std::uint32_t streams, Effort effort = Effort::kFast) {
  std::string bytes;
  PartWriter writer({effort}, [&](std::string_view more) {
    bytes.append(more);
    return base::Status();
  });
  for (std::uint32_t s = 0; s < streams; ++s)
    writer.add_stream({model::StreamId{1000 + s}, {{"n", std::to_string(s)}}});
  for (const auto& rows : groups) {
    std::vector<InputRow> input;
    for (const TestRow& row : rows)
      input.push_back({row.stream, row.time_ns, row.line, &row.metadata});
    CHECK(writer.add_row_group(input).ok());
  }
  CHECK(writer.finish().ok());
  return bytes;
}

inline base::Result<std::shared_ptr<const PartReader>> open_bytes(std::string bytes) {
  return PartReader::open(std::make_shared<MemoryFile>(std::move(bytes)), "test");
}

inline std::shared_ptr<BlockContext> all_rows(std::uint32_t streams) {
  auto context = std::make_shared<BlockContext>();
  for (std::uint32_t s = 0; s < streams; ++s) context->streams.push_back(s);
  context->range.start_ns = std::numeric_limits<model::TimestampNs>::min();
  return context;
}

}  // namespace skald::store::part
