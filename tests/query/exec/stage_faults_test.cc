// What the expressions and patterns of parsers are refused for, in Loki's words ("": they are
// taken).
#include <gtest/gtest.h>

#include "proto/gotext/quote.h"
#include "query/exec/engine.h"
#include "tests/query/exec/memory_store.h"

namespace skald::query {
namespace {

std::string fault(std::string_view stage) {
  MemoryStore store(1);
  QueryRequest request;
  request.text = "{job=\"a\"} " + std::string(stage);
  request.end_ns = base::kNsPerSecond;
  const auto result = Engine(store, base::Clock::system(), {}).run(request);
  return result.ok() ? std::string() : std::string(result.status().message());
}

TEST(StageFaults, OfExpressions) {
  struct Case {
    const char *parser, *expression, *why;
  };
  const Case cases[] = {
      {"json", "a b", "syntax error: unexpected FIELD"},
      {"json", "a[1.5]", "syntax error: unexpected $end, expecting STRING or INDEX"},
      {"json", "a 1 ", "syntax error: unexpected INDEX"},
      {"json", "a[1", "syntax error: unexpected $end, expecting STRING or INDEX"},
      {"json", "a é", "unexpected char é"},
      {"json", "a[", "syntax error: unexpected $end, expecting STRING or INDEX"},
      {"json", "a]", "syntax error: unexpected RSB"},
      {"json", "[a]", "syntax error: unexpected FIELD, expecting STRING or INDEX"},
      {"json", "a.[0]", "syntax error: unexpected LSB, expecting FIELD"},
      {"json", "a.", "syntax error: unexpected $end, expecting FIELD"},
      {"json", "[\"a\"", "syntax error: unexpected $end, expecting RSB"},
      {"json", "[\"a", "syntax error: unexpected $end, expecting RSB"},
      {"json", "[\"a]", "syntax error: unexpected $end, expecting RSB"},
      {"json", "[99999999999999999999]",
       "syntax error: unexpected $end, expecting STRING or INDEX"},
      {"json", "[1x]", "syntax error: unexpected $end, expecting STRING or INDEX"},
      {"json", "[1 x]", "syntax error: unexpected FIELD, expecting RSB"},
      {"json", "[-1]", "syntax error: unexpected $end, expecting STRING or INDEX"},
      {"json", "\"a\"", "syntax error: unexpected STRING, expecting LSB or FIELD"},
      {"json", "a.\"b\"", "syntax error: unexpected STRING, expecting FIELD"},
      {"json", "[1 ]", ""},
      {"json", "a[0][\"x\"].y", ""},
      {"json", "a#", "unexpected char #"},
      {"json", "a 1é", "non-integer value: é"},
      {"json", "é", "syntax error: unexpected $end, expecting LSB or FIELD"},
      {"json", "a.é", "syntax error: unexpected $end, expecting FIELD"},
      {"json", "[[0]]", "syntax error: unexpected LSB, expecting STRING or INDEX"},
      {"json", "a b.c", "syntax error: unexpected FIELD"},
      {"json", " a ", ""},
      {"json", "a\tb", "syntax error: unexpected FIELD"},
      {"json", "a.5", "syntax error: unexpected $end, expecting FIELD"},
      {"json", "a...", "syntax error: unexpected DOT, expecting FIELD"},
      {"logfmt", "a b", "syntax error: unexpected KEY"},
      {"logfmt", "a \"b\"", ""},
      {"logfmt", "a#", "unexpected char #"},
      {"logfmt", "\"b\" a", "syntax error: unexpected KEY"},
      {"logfmt", "a \"b\" #", "unexpected char #"},
      {"logfmt", "", "syntax error: unexpected $end, expecting STRING or KEY"},
      {"logfmt", "1", "syntax error: unexpected $end, expecting STRING or KEY"},
  };
  for (const Case& c : cases) {
    const std::string stage = "| " + std::string(c.parser) + " x=" + gotext::quote(c.expression);
    const std::string text = fault(stage);
    const std::string want = "parse error : stage '" + stage + "' : cannot parse expression [" +
                             c.expression + "]: " + c.why;
    EXPECT_EQ(text, *c.why == 0 ? "" : want) << c.expression;
  }
}

TEST(StageFaults, OfPatternsAndRegularExpressions) {
  const std::pair<const char*, const char*> cases[] = {
      {"| regexp \"(?P<x>a)(?P<x>b)\"",
       "parse error : invalid regexp parser: duplicate extracted label name 'x'"},
      {"| regexp \"(?P<é>a)\"",
       "parse error : invalid regexp parser: error parsing regexp: invalid named capture: "
       "`(?P<é>`"},
      {"| regexp \"(?<é>a)\"",
       "parse error : invalid regexp parser: error parsing regexp: invalid named capture: `(?<é>`"},
      {"|~ \"(?P<x>a)|(?P<x>b)\"", ""},
      {"|~ \"(?P<é>a)\"",
       "parse error : stage '|~ \"(?P<é>a)\"' : error parsing regexp: invalid named capture: "
       "`(?P<é>`"},
      {"| pattern \"<_><_>\"",
       "parse error : invalid pattern parser: at least one capture is required"},
      {"| pattern \"<a><_>\"",
       "parse error : invalid pattern parser: found consecutive capture '<a><_>': invalid "
       "expression"},
      {"|> \"<_><_>\"",
       "parse error : stage '|> \"<_><_>\"' : found consecutive capture '<_><_>': invalid "
       "expression"},
      {"|> \"<a>\"",
       "parse error : stage '|> \"<a>\"' : named captures are not allowed: found '<a>'"},
      {"|> \"<a><_>\"",
       "parse error : stage '|> \"<a><_>\"' : found consecutive capture '<a><_>': invalid "
       "expression"},
      {"|= ip(\"x\") |= ip(\"y\")",
       "parse error : stage '|= ip(\"x\") |= ip(\"y\")' : ip: invalid pattern: \"y\""},
      {"|~ \"(\" |= \"a\"",
       "parse error : stage '|~ \"(\" |= \"a\"' : error parsing regexp: missing closing ): `(`"},
      {"| x=0x1F", ""},
      {"| x=1e400", ""},
  };
  for (const auto& [stage, why] : cases) EXPECT_EQ(fault(stage), why) << stage;
}

}  // namespace
}  // namespace skald::query
