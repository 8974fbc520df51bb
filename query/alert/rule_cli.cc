#include "query/alert/rule_cli.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <ostream>

#include "proto/base/fs.h"
#include "proto/gotext/duration.h"
#include "query/alert/limits.h"
#include "query/alert/rule_file.h"
#include "query/alert/rule_test_file.h"

namespace skald::query::alert {
namespace {

namespace fs = std::filesystem;

constexpr int kGood = 0, kFindings = 1, kUnreadable = 2;

// Files as given; directories by the *.yml and *.yaml below them, in order. Unit tests lie beside
// their rules and are skipped by name: *_test.yaml.
std::vector<std::string> expand_paths(const std::vector<std::string>& paths) {
  std::vector<std::string> out;
  for (const std::string& path : paths) {
    std::error_code error;
    if (!fs::is_directory(path, error)) {
      out.push_back(path);
      continue;
    }
    std::vector<std::string> found;
    for (auto at = fs::recursive_directory_iterator(path, error);
         !error && at != fs::recursive_directory_iterator(); at.increment(error)) {
      const fs::path& file = at->path();
      const bool yaml = file.extension() == ".yml" || file.extension() == ".yaml";
      if (yaml && !file.stem().string().ends_with("_test")) found.push_back(file.string());
    }
    std::sort(found.begin(), found.end());
    out.insert(out.end(), found.begin(), found.end());
  }
  return out;
}

base::Result<std::string> read_text(const std::string& path) {
  return base::FileSystem::posix().read_file(path, kRuleFileMax);
}

// An empty directory that goes away with this object.
class ScratchDir {
 public:
  ScratchDir() {
    std::error_code error;
    std::string pattern = (fs::temp_directory_path(error) / "skald-rules-XXXXXX").string();
    if (::mkdtemp(pattern.data()) != nullptr) path_ = pattern;
  }
  ~ScratchDir() {
    std::error_code error;
    if (!path_.empty()) fs::remove_all(path_, error);
  }
  ScratchDir(const ScratchDir&) = delete;
  ScratchDir& operator=(const ScratchDir&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// The groups of the rule files a test file names. Findings are written; false: there were some.
bool load_groups(const std::string& test_path, const RuleTestFile& tests,
                 std::vector<RuleGroup>& groups, std::ostream& out) {
  bool good = true;
  for (const std::string& name : tests.rule_files) {
    const fs::path path = fs::path(test_path).parent_path() / name;
    auto text = read_text(path.string());
    if (!text.ok()) {
      out << path.string() << ": " << text.status().message() << "\n";
      good = false;
      continue;
    }
    RuleFile file = parse_rule_file(*text);
    for (const RuleError& error : file.errors)
      out << path.string() << ":" << error.to_string() << "\n";
    good = good && file.ok();
    for (RuleGroup& group : file.groups) groups.push_back(std::move(group));
  }
  return good;
}

int test_file(const std::string& path, std::ostream& out) {
  auto text = read_text(path);
  if (!text.ok()) {
    out << path << ": " << text.status().message() << "\n";
    return kUnreadable;
  }
  auto tests = parse_rule_tests(*text);
  if (!tests.ok()) {
    out << path << ": " << tests.status().message() << "\n";
    return kFindings;
  }
  std::vector<RuleGroup> groups;
  if (!load_groups(path, *tests, groups, out)) return kFindings;
  int result = kGood;
  std::size_t number = 0;
  for (const RuleTest& test : tests->tests) {
    ++number;
    const std::string name = test.name.empty() ? "test " + std::to_string(number) : test.name;
    const ScratchDir scratch;
    auto failures =
        scratch.path().empty()
            ? base::Result<std::vector<std::string>>(
                  base::unavailable("cannot make a directory for the test's store"))
            : run_rule_test(test, groups, tests->evaluation_interval_ns, scratch.path());
    if (!failures.ok()) {
      out << path << ": " << name << ": " << failures.status().message() << "\n";
      result = kFindings;
      continue;
    }
    for (const std::string& failure : *failures)
      out << path << ": " << name << ": " << failure << "\n";
    if (!failures->empty()) result = kFindings;
  }
  out << path << ": " << tests->tests.size() << " tests, "
      << (result == kGood ? "all passed" : "FAILED") << "\n";
  return result;
}

}  // namespace

int check_rules(const std::vector<std::string>& paths, std::ostream& out) {
  int result = kGood;
  std::size_t rules = 0, files = 0;
  for (const std::string& path : expand_paths(paths)) {
    auto text = read_text(path);
    if (!text.ok()) {
      out << path << ": " << text.status().message() << "\n";
      result = kUnreadable;
      continue;
    }
    ++files;
    const RuleFile file = parse_rule_file(*text);
    for (const RuleError& error : file.errors) out << path << ":" << error.to_string() << "\n";
    if (!file.ok()) result = std::max(result, kFindings);
    for (const RuleGroup& group : file.groups) rules += group.rules.size();
  }
  out << files << " files, " << rules
      << " rules: " << (result == kGood ? "all good" : "there are findings") << "\n";
  return result;
}

int test_rules(const std::vector<std::string>& paths, std::ostream& out) {
  int result = kGood;
  for (const std::string& path : paths) result = std::max(result, test_file(path, out));
  return result;
}

int list_rules(const std::vector<std::string>& paths, std::ostream& out) {
  int result = kGood;
  for (const std::string& path : expand_paths(paths)) {
    auto text = read_text(path);
    if (!text.ok()) {
      out << path << ": " << text.status().message() << "\n";
      result = kUnreadable;
      continue;
    }
    const RuleFile file = parse_rule_file(*text);
    for (const RuleError& error : file.errors) out << path << ":" << error.to_string() << "\n";
    if (!file.ok()) result = std::max(result, kFindings);
    for (const RuleGroup& group : file.groups) {
      out << path << " group " << group.name << " (" << group.rules.size() << " rules)\n";
      for (const Rule& rule : group.rules) {
        out << "  " << (rule.is_alert() ? "alert  " : "record ") << rule.name();
        if (rule.for_ns > 0) out << " for " << gotext::format_prometheus_duration(rule.for_ns);
        if (const auto severity = rule.labels.find("severity"); severity != rule.labels.end())
          out << " severity=" << severity->second;
        out << "\n";
      }
    }
  }
  return result;
}

}  // namespace skald::query::alert
