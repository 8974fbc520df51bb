#include "proto/base/fs.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

namespace skald::base {
namespace {

class PosixFs : public ::testing::Test {
 protected:
  PosixFs()
      : directory_(std::filesystem::temp_directory_path() /
                   ("skald_fs_test_" + std::to_string(::getpid()))) {
    std::filesystem::remove_all(directory_);
  }
  ~PosixFs() override { std::filesystem::remove_all(directory_); }

  FileSystem& fs_ = FileSystem::posix();
  const std::filesystem::path directory_;
};

TEST_F(PosixFs, MakesWhatIsMissingOfAPathAndRefusesAFileInItsWay) {
  const std::string path = directory_ / "a" / "b";
  EXPECT_TRUE(fs_.make_directories(path + "/c//").ok());
  EXPECT_TRUE(std::filesystem::is_directory(path + "/c"));
  EXPECT_TRUE(fs_.make_directories(path + "/c").ok()) << "it is there";
  EXPECT_TRUE(fs_.make_directories("/").ok());
  ASSERT_TRUE(fs_.create(path + "/file").ok());
  EXPECT_FALSE(fs_.make_directories(path + "/file").ok());
  EXPECT_FALSE(fs_.make_directories(path + "/file/d").ok());
  EXPECT_FALSE(fs_.make_directories("").ok());
}

// A mapping behind the end of a file that was cut is what a block that the disk does not give is: a
// SIGBUS.
TEST_F(PosixFs, APageThatTheDiskDoesNotGiveReadsAsZerosAndDoesNotEndTheProcess) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  ASSERT_TRUE(fs_.make_directories(directory_).ok());
  const std::string path = directory_ / "file";
  auto file = fs_.create(path);
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE((*file)->append(std::string(4 * page, 'x')).ok());
  for (int round = 0; round < 2; ++round) {
    auto mapped = fs_.map(path);
    ASSERT_TRUE(mapped.ok());
    const std::string_view bytes = (*mapped)->bytes();
    ASSERT_EQ(bytes.size(), 4 * page);
    ASSERT_EQ(::truncate(path.c_str(), static_cast<off_t>(page)), 0);
    EXPECT_EQ(bytes[0], 'x');
    EXPECT_EQ(bytes.substr(page), std::string(3 * page, '\0'));
    ASSERT_EQ(::truncate(path.c_str(), static_cast<off_t>(4 * page)), 0);
  }
}

using PosixFsDeathTest = PosixFs;

TEST_F(PosixFsDeathTest, AnotherMappingsFaultIsStillTheEnd) {
  ASSERT_TRUE(fs_.make_directories(directory_).ok());
  const std::string path = directory_ / "file";
  { ASSERT_TRUE((*fs_.create(path))->append("x").ok()); }
  ASSERT_TRUE(fs_.map(path).ok());  // the guard is there
  EXPECT_DEATH(::raise(SIGBUS), "");
}

}  // namespace
}  // namespace skald::base
