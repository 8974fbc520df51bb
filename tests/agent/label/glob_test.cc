#include "agent/label/glob.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace skald::agent {
namespace {

struct Case {
  const char* pattern;
  const char* path;
  bool matches;
};

constexpr Case kCases[] = {
    {"/var/log/*.log", "/var/log/a.log", true},
    {"/var/log/*.log", "/var/log/.log", true},
    {"/var/log/*.log", "/var/log/x/a.log", false},
    {"/var/log/*.log", "/var/log/a.log.1", false},
    {"/var/log/**/*.log", "/var/log/a.log", true},
    {"/var/log/**/*.log", "/var/log/x/y/a.log", true},
    {"/var/log/**", "/var/log/x/y", true},
    {"/var/log/**/b/*.log", "/var/log/a/b/c/b/x.log", true},
    {"/**/a", "/a", true},
    {"/var/log/a**b", "/var/log/axxb", true},  // ** inside a segment is *
    {"/var/log/a**b", "/var/log/ax/xb", false},
    {"/l/?.log", "/l/a.log", true},
    {"/l/?.log", "/l/\u00e9.log", true},
    {"/l/?.log", "/l/ab.log", false},
    {"/l/[a-c]x", "/l/bx", true},
    {"/l/[a-c]x", "/l/dx", false},
    {"/l/[!a-c]x", "/l/dx", true},
    {"/l/[^a-c]x", "/l/ax", false},
    {"/l/[]x]", "/l/]", true},
    {"/l/{a,b}.log", "/l/b.log", true},
    {"/l/{a,b}.log", "/l/c.log", false},
    {"/l/{a,b{1,2}}/x", "/l/b2/x", true},
    {"/l/{,x}a", "/l/a", true},
    {"/l/\\*a", "/l/*a", true},
    {"/l/\\*a", "/l/xa", false},
    {"/l/*a*b*c", "/l/xxaxbxxbxc", true},
    {"/l/*a*b*c", "/l/xxaxbxxbx", false},
    {"rel/*.log", "rel/a.log", true},
    {"rel/*.log", "/rel/a.log", false},
    {"/a//b/*", "/a/b/c", true},
};

TEST(Glob, MatchesAsDoublestar) {
  for (const Case& c : kCases) {
    auto glob = Glob::compile(c.pattern);
    ASSERT_TRUE(glob.ok()) << c.pattern;
    EXPECT_EQ(glob->matches(c.path), c.matches) << c.pattern << " " << c.path;
  }
}

TEST(Glob, RefusesOpenBracketsAndExplosions) {
  for (const char* bad : {"", "/a/[x", "/a/{x", "/a/{b,[c}"}) {
    EXPECT_FALSE(Glob::compile(bad).ok()) << bad;
  }
  std::string many = "/";
  for (int i = 0; i < 20; ++i) many += "{a,b}";
  EXPECT_FALSE(Glob::compile(many).ok());
}

TEST(Glob, KnowsWhichDirectoriesToWatch) {
  auto glob = Glob::compile("/var/log/{pods,x}/*/a*/*.log");
  ASSERT_TRUE(glob.ok());
  EXPECT_THAT(glob->base_directories(),
              ::testing::UnorderedElementsAre("/var/log/pods", "/var/log/x"));
  EXPECT_TRUE(glob->may_match_below("/"));
  EXPECT_TRUE(glob->may_match_below("/var/log/pods/p"));
  EXPECT_TRUE(glob->may_match_below("/var/log/pods/p/ab"));
  EXPECT_FALSE(glob->may_match_below("/var/log/pods/p/b"));
  EXPECT_FALSE(glob->may_match_below("/var/log/pods/p/ab/c"));
  EXPECT_FALSE(glob->may_match_below("/etc"));
  EXPECT_TRUE(Glob::compile("/a/b.log")->is_literal());
  EXPECT_FALSE(glob->is_literal());
}

class GlobFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/glob_test.XXXXXX";
    root_ = mkdtemp(name);
    for (const char* path : {"a.log", "b.txt", "d/c.log", "d/e/f.log", "[x].log"}) {
      std::filesystem::create_directories(std::filesystem::path(root_ + "/" + path).parent_path());
      std::ofstream(root_ + "/" + path) << "x";
    }
    symlink("..", (root_ + "/d/loop").c_str());
  }
  void TearDown() override { std::filesystem::remove_all(root_); }
  std::vector<std::string> expand(const std::string& pattern) {
    std::vector<std::string> out;
    Glob::compile(root_ + pattern)->expand([&](const std::string& path) {
      out.push_back(path.substr(root_.size()));
    });
    std::sort(out.begin(), out.end());
    return out;
  }
  std::string root_;
};

TEST_F(GlobFiles, ExpandFindsFiles) {
  EXPECT_THAT(expand("/*.log"), ::testing::ElementsAre("/[x].log", "/a.log"));
  EXPECT_THAT(expand("/d/*.log"), ::testing::ElementsAre("/d/c.log"));
  EXPECT_THAT(expand("/{a,d/c}.log"), ::testing::ElementsAre("/a.log", "/d/c.log"));
  EXPECT_THAT(expand("/nope/*.log"), ::testing::IsEmpty());
  EXPECT_THAT(expand("/[x].log"), ::testing::ElementsAre("/[x].log"));  // it exists: no pattern
}

TEST_F(GlobFiles, LoopsOfLinksEnd) {
  const auto found = expand("/**/c.log");
  EXPECT_GE(found.size(), 1U);
  EXPECT_LE(found.size(), 50U);
}

}  // namespace
}  // namespace skald::agent
