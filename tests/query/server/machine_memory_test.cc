#include "query/server/machine_memory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace skald::query::server {
namespace {

class MachineMemory : public ::testing::Test {
 protected:
  MachineMemory()
      : root_(std::filesystem::temp_directory_path() /
              ("skald-machine-" + std::to_string(::getpid()))) {}
  ~MachineMemory() override { std::filesystem::remove_all(root_); }

  void write(const std::string& path, const std::string& text) {
    const std::filesystem::path whole = root_.string() + path;
    std::filesystem::create_directories(whole.parent_path());
    std::ofstream(whole) << text << '\n';
  }
  std::uint64_t bytes() const { return machine_memory_bytes(root_.string()); }

  std::filesystem::path root_;
  const std::uint64_t all_ = machine_memory_bytes("/nowhere");
};

TEST_F(MachineMemory, IsTheMachinesWithoutGroups) {
  EXPECT_GT(all_, 1U << 20);
  EXPECT_EQ(bytes(), all_);
}

TEST_F(MachineMemory, IsTheLeastOfAUnifiedGroupAndThoseItIsIn) {
  write("/proc/self/cgroup", "0::/system.slice/skald.service");
  write("/sys/fs/cgroup/system.slice/skald.service/memory.max", "max");
  EXPECT_EQ(bytes(), all_);
  write("/sys/fs/cgroup/system.slice/memory.max", "9000000");
  EXPECT_EQ(bytes(), 9'000'000U);
  write("/sys/fs/cgroup/system.slice/skald.service/memory.high", "8000000");
  EXPECT_EQ(bytes(), 8'000'000U);
  write("/sys/fs/cgroup/memory.max", "7000000");
  EXPECT_EQ(bytes(), 7'000'000U);
}

TEST_F(MachineMemory, IsFoundInOlderGroupsAndInAContainersRoot) {
  write("/proc/self/cgroup", "5:cpu,cpuacct:/docker/1\n4:hugetlb,memory:/docker/1");
  write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "6000000");
  EXPECT_EQ(bytes(), 6'000'000U);
  write("/sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes", "5000000");
  EXPECT_EQ(bytes(), 5'000'000U);
  write("/sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes", "9223372036854771712");
  EXPECT_EQ(bytes(), 6'000'000U);
}

TEST_F(MachineMemory, IgnoresWhatItDoesNotUnderstand) {
  write("/proc/self/cgroup", "nonsense\n0::/a");
  write("/sys/fs/cgroup/a/memory.max", "12 apples");
  EXPECT_EQ(bytes(), all_);
}

}  // namespace
}  // namespace skald::query::server
