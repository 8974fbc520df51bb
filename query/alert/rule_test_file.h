#pragma once
// Unit tests of rules, as `skaldctl rules test` runs them: promtool's shape, with log lines
// instead of series. RULER.md describes the file.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "proto/base/status.h"
#include "proto/model/labels.h"
#include "query/alert/rule_file.h"

namespace skald::query::alert {

struct TestLine {
  std::int64_t at_ns = 0;  // after the start of the test
  std::string line;
};
struct TestStream {
  model::Labels labels;
  std::vector<TestLine> lines;
};
struct ExpectedAlert {
  model::Labels labels;  // without alertname
  model::Labels annotations;
};
struct AlertTest {
  std::int64_t eval_ns = 0;
  std::string alertname;
  std::vector<ExpectedAlert> alerts;
  int line = 0;
};
struct ExpectedSample {
  model::Labels labels;
  double value = 0;
};
struct ExprTest {
  std::int64_t eval_ns = 0;
  std::string expr;
  std::vector<ExpectedSample> samples;
  int line = 0;
};
struct RuleTest {
  std::string name;
  std::vector<TestStream> streams;
  std::vector<AlertTest> alerts;
  std::vector<ExprTest> exprs;
};
struct RuleTestFile {
  std::vector<std::string> rule_files;  // relative to the test file
  std::int64_t evaluation_interval_ns = 60'000'000'000;
  std::vector<RuleTest> tests;
};

// kInvalidArgument names line and field.
base::Result<RuleTestFile> parse_rule_tests(std::string_view yaml);

// Runs one test on a store of its own below `scratch_dir` (which must be empty). Returns what did
// not come out as expected; empty: passed.
base::Result<std::vector<std::string>> run_rule_test(const RuleTest& test,
                                                     const std::vector<RuleGroup>& groups,
                                                     std::int64_t evaluation_interval_ns,
                                                     const std::string& scratch_dir);

// When tests start: 2024-01-01T00:00:00Z.
constexpr std::int64_t kTestStartNs = 1'704'067'200'000'000'000;

}  // namespace skald::query::alert
