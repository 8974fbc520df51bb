// Mapped files: what was released is out of the process's memory, and still there to be read.
#include <gtest/gtest.h>
#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <string>

#include "proto/base/fs.h"

namespace skald::base {
namespace {

// KiB of the mapping of this file that count as the process's memory.
std::uint64_t resident_kib(const std::string& path) {
  std::ifstream maps("/proc/self/smaps");
  bool inside = false;
  std::uint64_t out = 0;
  for (std::string line; std::getline(maps, line);) {
    if (line.find('-') < line.find(' ')) inside = line.ends_with(path);
    if (!inside || !line.starts_with("Rss:")) continue;
    const auto digit = line.find_first_of("0123456789");
    std::uint64_t kib = 0;
    std::from_chars(line.data() + digit, line.data() + line.size(), kib);
    out += kib;
  }
  return out;
}

class MappedFiles : public ::testing::Test {
 protected:
  MappedFiles()
      : path_(std::filesystem::temp_directory_path() /
              ("skald-mapped-" + std::to_string(::getpid()))) {
    for (std::size_t i = 0; text_.size() < 1U << 20; ++i) text_ += std::to_string(i) + ' ';
    std::ofstream(path_) << text_;
  }
  ~MappedFiles() override { std::filesystem::remove(path_); }

  const std::string path_;
  std::string text_;
};

TEST_F(MappedFiles, ReleasedBytesLeaveTheProcessAndAreReadAgain) {
  const auto file = FileSystem::posix().map(path_);
  ASSERT_TRUE(file.ok()) << file.status().to_string();
  const MappedFile& mapped = **file;
  EXPECT_EQ(mapped.bytes(), text_);
  EXPECT_GE(resident_kib(path_), 1024U);
  mapped.release(100'000, 800'000);
  EXPECT_LT(resident_kib(path_), 300U);
  EXPECT_EQ(mapped.bytes(), text_);
  mapped.release(0, ~std::size_t{0});  // to its end
  EXPECT_EQ(resident_kib(path_), 0U);
  mapped.release(text_.size(), 1);
  mapped.release(text_.size() - 1, 1);
  EXPECT_EQ(mapped.bytes(), text_);
}

}  // namespace
}  // namespace skald::base
