// A regexp parser looks for the groups alone that its query reads: what they hold must be what they
// hold when all are looked for.

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "query/exec/stage.h"

namespace skald::query {
namespace {

using Found = std::set<std::pair<std::string, std::string>>;

Found labels_of(const std::string& regex, const std::string& line,
                const std::vector<std::string>& wanted) {
  const auto compiled = compile_stage(logql::Stage{logql::RegexpParser{regex}});
  EXPECT_TRUE(compiled.ok()) << regex;
  Hints::MetricNeeds needs;
  needs.groups = wanted;
  needs.required = wanted;
  const Hints hints = Hints::for_metric(needs, {});
  Row row(hints);
  const model::Labels stream{{"taken", "stream"}};
  row.start(0, line, stream, nullptr);
  EXPECT_TRUE((*compiled)->process(row));
  Found out;
  for (const LabelView& label : row.added(Category::kParsed)) out.emplace(label.name, label.value);
  return out;
}

const std::vector<std::string>& names() {
  static const std::vector<std::string> kNames{"a", "b", "c", "d", "e", "f", "taken_extracted"};
  return kNames;
}

void expect_parts_of_the_whole(const std::string& regex, const std::string& line) {
  const Found all = labels_of(regex, line, {});
  for (std::size_t i = 0; i < names().size(); ++i) {
    for (std::size_t j = i; j < names().size(); ++j) {
      Found want;
      for (const auto& label : all)
        if (label.first == names()[i] || label.first == names()[j]) want.insert(label);
      EXPECT_EQ(labels_of(regex, line, {names()[i], names()[j]}), want) << regex << "\n" << line;
    }
  }
}

TEST(RegexpStage, FindsTheGroupsThatAreReadAsIfItLookedForAll) {
  const std::string line = R"re(10.0.0.7 - [x] "GET /a(b)?q=1 HTTP/1.1" 200 "(?P<a>" \Q ]z)re";
  const std::vector<std::string> kRegexes{
      R"re(^(?P<a>\S+) (\S+) \[(?P<b>[^\]]+)\] "(?P<c>\w+) (?P<d>\S+) (?P<e>[^"]*)" (?P<f>\d+))re",
      R"re((?P<a>[[:digit:]()]+)(x|(?P<b>[^](?P<c]))(?P<taken>.*)\Q(?P<a>\E(?P<c>.+))re",
      R"re((?i)(?P<a>get)(?P<b> /)((?P<c>.)(?P<d>\())?(?P<e>[\]\[(?P<x>]*)\(?(?P<f>[)b]+))re",
      R"re((?P<a>(?P<b>(?P<c>1)|(?P<d>0))+)(?P<e>\\?)(?P<f>\Q.\E))re",
      R"re((?s:(?P<a>.*)) (?P<b>\d{3})|(?P<c>never))re"};
  for (const std::string& regex : kRegexes) expect_parts_of_the_whole(regex, line);
}

TEST(RegexpStage, FindsGroupsOfRandomExpressionsAsIfItLookedForAll) {
  std::mt19937 random(17);
  const auto pick = [&](const std::vector<std::string>& from) {
    return from[random() % from.size()];
  };
  const std::vector<std::string> kPieces{"\\(",  "[(x]", "[^]a]+", "\\w+",    "(b|c)",
                                         ".*?",  " ",    "(?:x)",  "\\Q(\\E", "[[:alpha:]]*",
                                         "\\d*", "a",    "(\\s)?"};
  int matched = 0;
  for (int round = 0; round < 400; ++round) {
    std::string regex, line;
    for (const char* name : {"a", "b", "c", "taken"}) {
      for (int n = static_cast<int>(random() % 3); n > 0; --n) regex += pick(kPieces);
      regex += std::string("(?P<") + name + ">" + pick(kPieces) + ")";
    }
    for (int n = 0; n < 12; ++n) line += pick({"a", "b", "(", " ", "x", "c", "12", "]"});
    matched += labels_of(regex, line, {}).empty() ? 0 : 1;
    expect_parts_of_the_whole(regex, line);
  }
  EXPECT_GT(matched, 20);
}

}  // namespace
}  // namespace skald::query
