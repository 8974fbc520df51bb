#include "query/logql/parser.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "query/logql/printer.h"

namespace skald::query::logql {
namespace {

struct Case {
  const char* in;
  const char* out;  // the one-line form, or the error
};

std::string parsed(std::string_view text) {
  const auto result = parse(text);
  return result.ok() ? to_string(**result) : std::string(result.status().message());
}

TEST(Parser, SplitsTextsAtWhatIsNoLetter) {
  const Case cases[] = {
      {"\xEF\xBB\xBF{a=\"b\"}", "{a=\"b\"}"},  // a byte order mark
      {"\xEF\xBB\xBFjob{", "parse error at line 1, col 2: syntax error: unexpected IDENTIFIER"},
      {"{a\xEF\xBB\xBF=\"b\"}",
       "parse error at line 1, col 3: syntax error: unexpected IDENTIFIER, expecting = or =~ or !~ "
       "or !="},
      {"{x\u0300=\"b\"}",  // a mark is no letter
       "parse error at line 1, col 3: syntax error: unexpected IDENTIFIER, expecting = or =~ or !~ "
       "or !="},
      {"{a\u0661=\"b\"}", "{\"a\u0661\"=\"b\"}"},  // a digit
      {"{a=\"b\"} | \u02B0x=\"c\"", "{a=\"b\"} | \"\u02B0x\"=\"c\""},
  };
  for (const auto& [in, out] : cases) EXPECT_EQ(parsed(in), out) << in;
}

// The wording and positions of Loki's own parser tests.
TEST(Parser, SaysWhatWasExpectedAndWhere) {
  const Case cases[] = {
      {"unk({ foo = \"bar\" }[5m])",
       "parse error at line 1, col 1: syntax error: unexpected IDENTIFIER"},
      {"rate({ foo = \"bar\" }[5minutes])",
       "parse error at line 0, col 21: unknown unit \"minutes\" in duration \"5minutes\""},
      {"label_replace(rate({ foo = \"bar\" }[5m]),\"\")",
       "parse error at line 1, col 43: syntax error: unexpected ), expecting ,"},
      {"rate({ foo = \"bar\" }[5)",
       "parse error at line 0, col 21: missing closing ']' in duration"},
      {"min({ foo = \"bar\" }[5m])",
       "parse error at line 0, col 20: syntax error: unexpected RANGE"},
      {"{ foo = \"bar\" }|logfmt|addr>=ip(\"1.2.3.4\")",
       "parse error at line 1, col 30: syntax error: unexpected ip"},
      {"bottomk(he,count_over_time({ foo = \"bar\" }[5h]))",
       "parse error at line 1, col 9: syntax error: unexpected IDENTIFIER"},
      {"stddev({ foo = \"bar\" })", "parse error at line 1, col 23: syntax error: unexpected )"},
      {"{foo=\"bar}", "parse error at line 1, col 6: literal not terminated"},
      {"{foo=\"bar\"",
       "parse error at line 1, col 11: syntax error: unexpected $end, expecting } or ,"},
      {"{foo=\"bar\"} |~",
       "parse error at line 1, col 15: syntax error: unexpected $end, expecting STRING or ip"},
      {"{foo=\"bar\"} \"foo\"", "parse error at line 1, col 13: syntax error: unexpected STRING"},
      {"{foo=\"bar\"} foo", "parse error at line 1, col 13: syntax error: unexpected IDENTIFIER"},
      {"{app=~\"\xa0\xa1\"}", "parse error at line 1, col 7: invalid UTF-8 encoding"},
      {"bool 1 > 1 > bool 1", "parse error at line 1, col 1: syntax error: unexpected bool"},
      {"quantile_over_time(foo,{a=\"b\"} | unwrap l [5m])",
       "parse error at line 1, col 20: syntax error: unexpected IDENTIFIER, expecting NUMBER or { "
       "or ("},
      {"vector(abc)",
       "parse error at line 1, col 8: syntax error: unexpected IDENTIFIER, expecting NUMBER"},
      {"#{app=\"foo\"} | json", "parse error at line 1, col 20: syntax error: unexpected $end"},
      {"count without (rate({namespace=\"apps\"}[15s]))",
       "parse error at line 1, col 16: syntax error: unexpected RATE, expecting IDENTIFIER or )"},
      {"{",
       "parse error at line 1, col 2: syntax error: unexpected $end, expecting IDENTIFIER or }"},
      {"{a",
       "parse error at line 1, col 3: syntax error: unexpected $end, expecting = or =~ or !~ "
       "or !="},
      {"", "parse error : syntax error: unexpected $end"},
      {"rate({a=\"b\"} | unwrap x foo",
       "parse error at line 1, col 25: syntax error: unexpected IDENTIFIER, expecting RANGE or |"},
      {"rate(({a=\"b\"} | unwrap x foo",
       "parse error at line 1, col 26: syntax error: unexpected IDENTIFIER, expecting RANGE or ) "
       "or |"},
      {"rate(({a=\"b\"} | json) foo",
       "parse error at line 1, col 23: syntax error: unexpected IDENTIFIER, expecting RANGE"},
      {"rate(({a=\"b\"})[5m] | json",
       "parse error at line 1, col 22: syntax error: unexpected json, expecting unwrap"},
      {"{a=\"b\"} | c=\"d\" and | x",
       "parse error at line 1, col 21: syntax error: unexpected |, expecting IDENTIFIER or ("},
  };
  for (const Case& c : cases) EXPECT_EQ(parsed(c.in), c.out) << c.in;
}

// Of several faults the outermost expression's is told; side by side, the first one's.
TEST(Parser, TellsTheOutermostFault) {
  const std::string inner = "bytes_rate({a=\"b\"} | unwrap x [5m])";
  const std::pair<std::string, std::string> cases[] = {
      {"sort(5," + inner + ")", "parse error : unsupported parameter for operation sort(5,"},
      {"sum(sort(5," + inner + "))", "parse error : unsupported parameter for operation sort(5,"},
      {"sort by (a) (" + inner + ")",
       "parse error : sort and sort_desc doesn't allow grouping by "},
      {"label_replace(" + inner + ",\"a\",\"b\",\"c\",\"(\")",
       "parse error : invalid regex in label_replace: error parsing regexp: missing closing ): "
       "`^(?:()$`"},
      {"1 and " + inner,
       "parse error : unexpected literal for left leg of logical/set binary operation (and): "
       "1.000000"},
      {inner + " + sort(5," + inner + ")",
       "parse error : invalid aggregation bytes_rate with unwrap"},
  };
  for (const auto& [in, out] : cases) EXPECT_EQ(parsed(in), out) << in;
  EXPECT_NE(parsed("rate({a=\"\"}[5m]) + sort(5,rate({a=\"b\"}[5m]))").find("at least one regexp"),
            std::string::npos);
}

TEST(Parser, RefusesWhatHasNoMeaning) {
  const Case cases[] = {
      {"absent_over_time({ foo = \"bar\" }[5h]) by (foo)",
       "parse error : grouping not allowed for absent_over_time aggregation"},
      {"approx_topk(2, count_over_time({ foo = \"bar\" }[5h])) by (foo)",
       "parse error : grouping not allowed for approx_topk aggregation"},
      {"label_replace(rate({ foo = \"bar\" }[5m]),\"foo\",\"$1\",\"bar\",\"^^^^x43\\\\q\")",
       "parse error : invalid regex in label_replace: error parsing regexp: invalid escape "
       "sequence: `\\q`"},
      {"sum(3 ,count_over_time({ foo = \"bar\" }[5h]))",
       "parse error : unsupported parameter for operation sum(3,"},
      {"topk(count_over_time({ foo = \"bar\" }[5h]))",
       "parse error : parameter required for operation topk"},
      {"bottomk(1.2,count_over_time({ foo = \"bar\" }[5h]))",
       "parse error : invalid parameter bottomk(1.2,"},
      {"sum_over_time({app=\"foo\"}[5m])",
       "parse error : invalid aggregation sum_over_time without unwrap"},
      {"count_over_time({app=\"foo\"} |= \"foo\" | json | unwrap foo [5m])",
       "parse error : invalid aggregation count_over_time with unwrap"},
      {"{foo=\"bar\"} + {foo=\"bar\"}",
       "parse error : unexpected type for left leg of binary operation (+): *syntax.MatchersExpr"},
      {"sum(count_over_time({foo=\"bar\"}[5m])) by (foo) or 1",
       "parse error : unexpected literal for right leg of logical/set binary operation (or): "
       "1.000000"},
      {"1 unless sum(count_over_time({foo=\"bar\"}[5m])) by (foo)",
       "parse error : unexpected literal for left leg of logical/set binary operation (unless): "
       "1.000000"},
      {"sum_over_time(50,{a=\"b\"} | unwrap latency [5m])",
       "parse error : parameter 50 not supported for operation sum_over_time"},
      {"quantile_over_time({a=\"b\"} | unwrap latency [5m])",
       "parse error : parameter required for operation quantile_over_time"},
      {"variants(count_over_time({a=\"b\"}[5m])) of ({a=\"b\"}[5m])",
       "multi variant queries are disabled for this instance"},
      {"{a=\"b\"} | x>0B", "parse error at line 1, col 13: binary literal has no digits"},
      {"{a=\"b\"} | x> 0b1", "parse error at line 1, col 14: decimal literal has no digits"},
      {"{a=\"b\"} | x>0B5", "parse error at line 1, col 13: invalid digit '5' in binary literal"},
      {"variants(rate({a=\"b\"}[1m]), 1) of ({a=\"b\"} | json [1m])",
       "multi variant queries are disabled for this instance"},
      {"variants(rate({a=\"b\"}[1m])) of ({a=\"b\"}[1m]) x",
       "parse error at line 1, col 46: syntax error: unexpected IDENTIFIER"},
      {"variants({a=\"b\"}) of ({a=\"b\"}[1m])",
       "parse error at line 1, col 17: syntax error: unexpected )"},
      {"variants(rate({a=\"b\"}[1m])) ({a=\"b\"}[1m])",
       "parse error at line 1, col 29: syntax error: unexpected (, expecting of"},
      {"variants(rate({a=\"b\"}[1m])) of ({a=\"b\"})",
       "parse error at line 1, col 40: syntax error: unexpected )"},
      {"{job=\"a\"} | regexp \"nogroups\"",
       "parse error : invalid regexp parser: at least one named capture must be supplied"},
      {"{job=\"a\"} | pattern \"<a><b>\"",
       "parse error : invalid pattern parser: found consecutive capture '<a><b>': invalid "
       "expression"},
      {"{job=~\"(\"}", "parse error : error parsing regexp: missing closing ): `(`"},
  };
  for (const Case& c : cases) EXPECT_EQ(parsed(c.in), c.out) << c.in;
  for (const char* text : {"{}", "{a=~\".*\"}", "{a!=\"x\"}", "{a=\"\"}", "{a!~\"x|y\"}",
                           "1 + count_over_time({a=~\".*\"}[5m])"})
    EXPECT_NE(parsed(text).find("at least one regexp or equality matcher"), std::string::npos)
        << text;
}

TEST(Parser, ReadsTheLanguage) {
  const Case cases[] = {
      {"{a=\"b\",c=~`d+`,e!=\"f\",g!~\"h\"}", "{a=\"b\", c=~\"d+\", e!=\"f\", g!~\"h\"}"},
      {"({a=\"b\"} |= \"x\")", "{a=\"b\"} |= \"x\""},
      {"{a=\"b\"} |= \"x\" or \"y\" != \"z\" or ip(\"1.1.1.1\")",
       "{a=\"b\"} |= \"x\" or \"y\" != \"z\" != ip(\"1.1.1.1\")"},
      // The second chain of alternatives replaces the first.
      {"{a=\"b\"} |= \"x\" or ip(\"1.1.1.1\") or \"y\"", "{a=\"b\"} |= \"x\" or \"y\""},
      {"{a=\"b\"} |> \"<_> x\" !> `y`", "{a=\"b\"} |> \"<_> x\" !> \"y\""},
      {"{a=\"b\"} | logfmt --keep-empty --strict | json x, y=\"z.q\" | logfmt --strict m=\"n\"",
       "{a=\"b\"} | logfmt --strict --keep-empty | json x=\"x\",y=\"z.q\" | logfmt --strict "
       "m=\"n\""},
      // Precedence in label filters: `and` over `or`; a comma reads on.
      {"{a=\"b\"} | x=1 or y=2 and z=3", "{a=\"b\"} | ( x==1 or ( y==2 , z==3 ) )"},
      {"{a=\"b\"} | x=1 and y=2 or z=3", "{a=\"b\"} | ( ( x==1 , y==2 ) or z==3 )"},
      {"{a=\"b\"} | x=1 , y=2 or z=3", "{a=\"b\"} | ( x==1 , ( y==2 or z==3 ) )"},
      {"{a=\"b\"} | x=1 or y=2 , z=3", "{a=\"b\"} | ( x==1 or ( y==2 , z==3 ) )"},
      {"{a=\"b\"} | x=1 y=2 or z=3", "{a=\"b\"} | ( x==1 , ( y==2 or z==3 ) )"},
      {"{a=\"b\"} | (x=1 or y>2.50) and z=\"q\"", "{a=\"b\"} | ( ( x==1 or y>2.5 ) , z=\"q\" )"},
      {"{a=\"b\"} | x>5m and y<=1.5h,z==10KB", "{a=\"b\"} | ( x>5m0s , ( y<=1h30m0s , z==10kB ) )"},
      {"{a=\"b\"} | x>-5m | y=+3 | z>-2", "{a=\"b\"} | x>-5m0s | y==3 | z>-2"},
      {"{a=\"b\"} | x=ip(\"1.1.1.1\") | y!=ip(`::1`)",
       "{a=\"b\"} | x=ip(\"1.1.1.1\") | y!=ip(\"::1\")"},
      {"{a=\"b\"} | x=~\"a.*b.*c\" | y=~\"abc\" | z!~\"a.*b.*c\"",
       "{a=\"b\"} | x=~`a.*b.*c` | y=~\"abc\" | z!~\"a.*b.*c\""},
      // A brace that begins no repeat is text.
      {"{a=\"b\"} | x=~`{b` | z=~`a{,1}`", "{a=\"b\"} | x=~\"{b\" | z=~\"a{,1}\""},
      {"rate({a=\"b\"} | json | unwrap x | x>3 | __error__=\"\" [1h30m] offset 5m)",
       "rate({a=\"b\"} | json | unwrap x | x>3 | __error__=\"\"[1h30m] offset 5m0s)"},
      {"rate({a=\"b\"} [1d] offset -1m | json | unwrap duration(x))",
       "rate({a=\"b\"} | json | unwrap duration(x)[1d] offset -1m0s)"},
      {"rate((({a=\"b\"} | json)[5m]))", "rate({a=\"b\"} | json[5m])"},
      {"SUM(rate({a=\"b\"}[5m])) BY (x,y)", "sum by (x,y)(rate({a=\"b\"}[5m]))"},
      {"sum without () (rate({a=\"b\"}[5m]))", "sum without ()(rate({a=\"b\"}[5m]))"},
      {"sum by () (rate({a=\"b\"}[5m]))", "sum(rate({a=\"b\"}[5m]))"},
      {"1 + 2 * 3 ^ 2", "19"},
      {"2 ^ 3 ^ 2", "512"},
      {"-1 + 2", "1"},
      {"1 > bool 2", "0"},
      {"1_000", "1000"},
      {"rate({a=\"b\"}[5m]) / on (x) group_left (y) rate({a=\"c\"}[5m]) > bool 1",
       "((rate({a=\"b\"}[5m]) / on (x) group_left (y) rate({a=\"c\"}[5m])) > bool 1)"},
      {"vector(1) or vector(2) and vector(3)",
       "(vector(1.000000) or (vector(2.000000) and vector(3.000000)))"},
      {"label_replace(rate({a=\"b\"}[5m]), \"x\", \"$1\", \"y\", \"(.*)\")",
       "label_replace(rate({a=\"b\"}[5m]),\"x\",\"$1\",\"y\",\"(.*)\")"},
      {"{a=\"b\"} # comment\n |= \"x\" // other\n /* and */ | json", "{a=\"b\"} |= \"x\" | json"},
      // Function names are labels when no parenthesis follows.
      {"{sum=\"b\"} | json | duration > 10 | bytes < 5 | ip=\"x\"",
       "{sum=\"b\"} | json | duration>10 | bytes<5 | ip=\"x\""},
      {"{a=\"b\"} | label_format x=y,z=\"{{.q}}\" | drop a,b=\"c\" | keep d | decolorize | unpack",
       "{a=\"b\"} | label_format x=y,z=\"{{.q}}\" | drop a,b=\"c\" | keep d | decolorize | unpack"},
  };
  for (const Case& c : cases) EXPECT_EQ(parsed(c.in), c.out) << c.in;
}

TEST(Parser, QuotesLabelNamesThatAreNoClassicOnes) {
  EXPECT_EQ(parsed("{caf\u00e9=\"x\", b=~\"y\"}"), "{\"caf\u00e9\"=\"x\", b=~\"y\"}");
}

TEST(Parser, PrintsWhatItReads) {
  for (const char* text :
       {"{a=\"b\"} |= \"x\" or \"y\" | json | x>5 or y<3 and z=\"q\" | line_format \"{{.x}}\"",
        "topk(3, sum by (x) (rate({a=\"b\"}[5m])))", "1 - vector(2) - 3"}) {
    const std::string once = parsed(text);
    EXPECT_EQ(parsed(once), once);
  }
}

// Pieces of recorded queries put together at random: what parses prints and reads back the same.
TEST(Parser, PrintsWhatItReadsOfMutatedQueries) {
  std::vector<std::string> queries;
  for (const auto& file :
       std::filesystem::directory_iterator(std::string(SKALD_SOURCE_DIR) + "/tests/corpus/logql")) {
    std::ifstream in(file.path());
    queries.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }
  ASSERT_GT(queries.size(), 50U);
  std::sort(queries.begin(), queries.end());
  std::mt19937 random(7);
  const auto below = [&](std::size_t n) {
    return std::uniform_int_distribution<std::size_t>(0, n - 1)(random);
  };
  int read = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string text = queries[below(queries.size())];
    for (std::size_t edits = below(3); edits-- > 0 && !text.empty();) {
      const std::string& other = queries[below(queries.size())];
      const std::size_t at = below(text.size()), from = below(other.size());
      switch (below(3)) {
        case 0: text.erase(at, 1 + below(6)); break;
        case 1: text.insert(at, other.substr(from, 1 + below(12))); break;
        default: text = text.substr(0, at) + other.substr(from); break;
      }
    }
    const auto tree = parse(text);
    if (!tree.ok()) {
      ASSERT_FALSE(tree.status().message().empty()) << text;
      continue;
    }
    ++read;
    const std::string once = to_string(**tree);
    ASSERT_FALSE(pretty(**tree).empty());
    if (once.find("NaN") != std::string::npos || once.find("Inf") != std::string::npos ||
        once.find("e+") != std::string::npos || once.find("e-") != std::string::npos)
      continue;  // folded literals without a literal of their own
    ASSERT_EQ(parsed(once), once) << text;
  }
  EXPECT_GT(read, 5'000);
}

std::string repeat(std::string_view piece, std::size_t times) {
  std::string out;
  for (std::size_t i = 0; i < times; ++i) out += piece;
  return out;
}

TEST(Parser, RefusesBombs) {
  EXPECT_FALSE(parse("{a=~\"" + std::string(1U << 20, 'x') + "\"}").ok());
  EXPECT_FALSE(parse(repeat("(", 10'000)).ok());
  EXPECT_FALSE(parse(repeat("(", 10'000) + "1" + repeat(")", 10'000)).ok());
  EXPECT_FALSE(parse("{a=\"b\"} | " + repeat("(", 10'000) + "x=1" + repeat(")", 10'000)).ok());
  EXPECT_FALSE(parse(repeat("sum(", 10'000)).ok());
  EXPECT_FALSE(parse(repeat("sum ", 30'000)).ok());
  EXPECT_FALSE(parse(repeat("1^", 30'000) + "1").ok());
  EXPECT_FALSE(parse(repeat("vector(1)+", 12'000) + "1").ok());
  EXPECT_FALSE(parse("{a=\"b\"} | x=1" + repeat(",x=1", 30'000)).ok());
  EXPECT_FALSE(parse("{a=\"b\"} | x=1" + repeat(" or x=1", 15'000)).ok());
  EXPECT_FALSE(parse("{a=~\"((a{100}){100}){100}\"}").ok());
  EXPECT_FALSE(parse("{a=\"b\"" + repeat(",a=~\"[^x]{1000}\"", 4'000) + "}").ok());
  EXPECT_FALSE(parse("{a=\"b\"}" + repeat("|~ \"[^x]{1000}\"", 4'000)).ok());
}

TEST(Parser, BoundsWhatEveryLineCosts) {
  const std::string tests = "parse error : the query has too many regular expressions and patterns";
  EXPECT_TRUE(parse("{a=\"b\"}" + repeat("|~ \"abc.*(d|e)+f\"", 500)).ok());
  EXPECT_EQ(parsed("{a=\"b\"}" + repeat("|~ \"abc.*(d|e)+f\"", 501)), tests);
  EXPECT_EQ(parsed("{a=\"b\"} !~ \"x.y\"" + repeat(" or \"x.y\"", 500)), tests);
  EXPECT_EQ(parsed("{a=\"b\"}" + repeat(" |> \"<_>x\"", 501)), tests);
  EXPECT_EQ(parsed("{a=\"b\"" + repeat(",c=~\"x.y\"", 501) + "}"), tests);
  EXPECT_TRUE(parse("{a=\"b\"} " + repeat("|= \"x\" ", 10'000)).ok());

  const std::string items = "parse error : the query has too many stages and labels";
  EXPECT_TRUE(parse("{a=\"b\"}" + repeat("| json ", 1'000)).ok());
  EXPECT_EQ(parsed("{a=\"b\"}" + repeat("| json ", 1'001)), items);
  EXPECT_EQ(parsed("{a=\"b\"} | json c=\"d\"" + repeat(",c=\"d\"", 1'000)), items);
  EXPECT_EQ(parsed("{a=\"b\"} | drop c" + repeat(",c", 1'000)), items);
  EXPECT_EQ(parsed("{a=\"b\"} | label_format c=d" + repeat(",c=d", 1'000)), items);
  EXPECT_EQ(parsed("sum by (c" + repeat(",c", 1'000) + ") (rate({a=\"b\"}[1m]))"), items);
  EXPECT_EQ(parsed("vector(1) + on (c" + repeat(",c", 1'000) + ") vector(1)"), items);

  EXPECT_EQ(parsed("1" + repeat("+rate({a=\"b\"}[1m])", 501)),
            "parse error : the query has too many range aggregations");

  EXPECT_EQ(parsed("{a=\"b\"} | regexp \"(?P<x>.)" + repeat("(.)", 100) + "\""),
            "parse error : invalid regexp parser: more than 100 groups");
  EXPECT_EQ(parsed("label_replace(vector(1),\"a\",\"$1\",\"b\",\"" + repeat("(.)", 101) + "\")"),
            "parse error : invalid regex in label_replace: more than 100 groups");
}

// Each refusal of a large expression costs as much as compiling it.
TEST(Parser, LooksAtFewExpressionsThatAreTooLarge) {
  const auto nested = [](std::size_t times) {
    return parsed(repeat("label_replace(", times) + "vector(1)" +
                  repeat(",\"a\",\"\",\"b\",\"\\\\pL{1000}\")", times));
  };
  EXPECT_EQ(nested(2),
            "parse error : invalid regex in label_replace: regular expression needs too much "
            "memory");
  EXPECT_EQ(
      nested(20),
      "parse error : invalid regex in label_replace: the query's regular expressions need too "
      "much memory");
}

TEST(Parser, CountsTheExpressionsOfSeveralTextsTogether) {
  RegexBudget budget;
  EXPECT_TRUE(parse_matchers("{a=~\"\\\\pL{40}\"}", true, &budget).ok());
  const std::int64_t once = budget.programs;
  EXPECT_GT(once, 0);
  budget.programs = budget.programs_max - once;
  EXPECT_TRUE(parse_matchers("{a=~\"\\\\pL{40}\"}", true, &budget).ok());
  const auto over = parse_matchers("{a=~\"x.y\"}", true, &budget);
  EXPECT_EQ(over.status().message(),
            "parse error : the query's regular expressions need too much memory");
  EXPECT_TRUE(parse_matchers("{a=~\"x.y\"}").ok());
}

TEST(FormatQuery, BreaksLongQueries) {
  const auto formatted = [](std::string_view text) { return format_query(text).value(); };
  EXPECT_EQ(formatted("sum by(level)(rate({job=\"ngx-api\"}[5m]))"),
            "sum by (level)(rate({job=\"ngx-api\"}[5m]))");
  EXPECT_EQ(formatted("quantile_over_time(0.99,{container=\"ingress-nginx\","
                      "service=\"hosted-grafana\"}| json| unwrap response_latency_seconds| "
                      "__error__=\"\"[1m]) by (cluster)"),
            "quantile_over_time(\n"
            "  0.99,\n"
            "  {container=\"ingress-nginx\", service=\"hosted-grafana\"} | json\n"
            "    | unwrap response_latency_seconds\n"
            "    | __error__=\"\" [1m]\n"
            ") by (cluster)");
  EXPECT_EQ(formatted("{job=\"loki\", namespace=\"loki-prod\", container=\"nginx-ingress\"}| json "
                      "first_server=\"servers[0]\", ua=\"request.headers[\\\"User-Agent\\\"]\" | "
                      "level=\"error\""),
            "{job=\"loki\", namespace=\"loki-prod\", container=\"nginx-ingress\"}\n"
            "  | json first_server=\"servers[0]\",ua=\"request.headers[\\\"User-Agent\\\"]\"\n"
            "  | level=\"error\"");
}

TEST(FormatQuery, KeepsOnOneLineTheLineFiltersThatFit) {
  const std::string start = "{job=\"some-long-name-of-a-job\", namespace=\"some-long-namespace\"}";
  const std::string wide(40, 'x');
  EXPECT_EQ(
      format_query(start + "|=\"" + wide + "\"!=\"b\" or \"c\"|~\"" + wide + "\"|=\"d\"").value(),
      start + "\n  |= \"" + wide + "\" != \"b\" != \"c\"\n  |~ \"" + wide + "\"\n  |= \"d\"");
  EXPECT_EQ(format_query(start + "|=\"" + wide + wide + wide + "\" or \"b\"").value(),
            start + "\n  |= \"" + wide + wide + wide + "\"");
}

// Was quadratic: gigabytes for the first.
TEST(FormatQuery, PrintsLongChains) {
  const std::string filters = format_query("{a=\"b\"}" + repeat("|= \"user\"", 10'000)).value();
  EXPECT_EQ(std::count(filters.begin(), filters.end(), '\n'), 9'991);
  const std::string sums =
      format_query("rate({a=\"b\"}[1m])" + repeat("+rate({a=\"b\"}[1m])", 400)).value();
  EXPECT_EQ(std::count(sums.begin(), sums.end(), '+'), 400);
}

}  // namespace
}  // namespace skald::query::logql
