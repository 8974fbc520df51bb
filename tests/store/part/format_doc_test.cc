// The worked example of PART.md is a part, and the writer still writes it.

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <sstream>

#include "proto/base/crc32c.h"
#include "tests/store/part/part_testing.h"

namespace skald::store::part {
namespace {

std::string example_of(const std::string& path) {
  std::ifstream in(path);
  std::stringstream all;
  all << in.rdbuf();
  const std::string text = all.str();
  const std::size_t start = text.find("```hex\n");
  if (start == std::string::npos) return "";
  const std::size_t end = text.find("```", start + 7);
  std::string bytes, digits;
  for (std::size_t i = start + 7; i < end; ++i)
    if (std::isxdigit(static_cast<unsigned char>(text[i]))) digits += text[i];
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2)
    bytes += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
  return bytes;
}

std::string example_as_written() {
  std::string bytes;
  PartWriter writer({}, [&](std::string_view more) {
    bytes.append(more);
    return base::Status();
  });
  writer.add_stream({model::StreamId{7}, {{"a", "b"}}});
  const std::vector<InputRow> rows = {{0, 1, "{\"n\": 1}", nullptr}, {0, 2, "{\"n\": 1}", nullptr}};
  CHECK(writer.add_row_group(rows).ok());
  CHECK(writer.finish().ok());
  return bytes;
}

TEST(PartFormat, TheDocumentsExampleIsReadAndWritten) {
  const std::string bytes = example_of(SKALD_SOURCE_DIR "/store/part/PART.md");
  EXPECT_EQ(bytes, example_as_written());
  auto reader = open_bytes(bytes);
  ASSERT_TRUE(reader.ok()) << reader.status().to_string();
  EXPECT_EQ((*reader)->streams()[0].id.value, 7U);
  EXPECT_EQ((*reader)->streams()[0].labels.get("a"), "b");
  const auto rows = (*reader)->read_rows(0);
  ASSERT_TRUE(rows.ok());
  ASSERT_EQ(rows->rows.size(), 2U);
  EXPECT_EQ(rows->rows[0].timestamp_ns, 1);
  EXPECT_EQ(rows->rows[1].timestamp_ns, 2);
  EXPECT_EQ(rows->rows[0].line, "{\"n\": 1}");
}

TEST(PartFormat, VersionOneHasNoSearchSummary) {
  std::string bytes = example_as_written();
  const std::size_t tail = bytes.size() - 32;
  bytes[8] = 1;
  bytes.erase(tail - 1, 1);  // the footer's last byte
  const auto patch = [&](std::size_t at, std::uint32_t value) {
    std::memcpy(bytes.data() + tail - 1 + at, &value, sizeof value);
  };
  const std::size_t footer = static_cast<std::size_t>(bytes[tail - 1]);
  const auto size = static_cast<std::uint32_t>(tail - 1 - footer);
  patch(8, size);
  patch(12, size);
  patch(16, base::crc32c(std::string_view(bytes).substr(footer, size)));
  patch(20, base::crc32c(std::string_view(bytes).substr(tail - 1, 20)));
  const auto reader = open_bytes(bytes);
  ASSERT_TRUE(reader.ok()) << reader.status().to_string();
  EXPECT_EQ((*reader)->summary().entries, 2U);
  bytes[8] = 3;
  EXPECT_EQ(open_bytes(bytes).status().code(), base::Code::kUnsupported);
}

}  // namespace
}  // namespace skald::store::part
