// The json stage's scanner against simdjson's DOM on random JSON, and JMESPath's examples.

#include <gtest/gtest.h>
#include <simdjson.h>

#include <random>
#include <tuple>

#include "agent/parse/jmespath.h"
#include "agent/parse/json_scan.h"

namespace skald::agent {
namespace {

class RandomJson {
 public:
  explicit RandomJson(unsigned seed) : random_(seed) {}
  std::size_t pick(std::size_t bound) { return random_() % bound; }

  std::string object(int depth) {
    std::string out = space() + "{" + space();
    const std::size_t count = pick(6);
    for (std::size_t i = 0; i < count; ++i) {
      if (i > 0) out += space() + "," + space();
      out += "\"" + key() + "\"" + space() + ":" + space() + value(depth);
    }
    return out + space() + "}" + space();
  }

  // A few bytes changed, so that most are no JSON any more.
  std::string damage(std::string text) {
    static constexpr std::string_view kBytes = "{}[]\",:\\ 0189.-+eEtfnu\x01\x1f\x7f";
    for (std::size_t edits = 1 + pick(2); edits > 0 && !text.empty(); --edits) {
      const std::size_t at = pick(text.size());
      switch (pick(3)) {
        case 0: text[at] = kBytes[pick(kBytes.size())]; break;
        case 1: text.erase(at, 1); break;
        default: text.insert(at, 1, kBytes[pick(kBytes.size())]);
      }
    }
    return text;
  }

 private:
  std::string space() {
    static constexpr const char* kSpaces[] = {"", "", "", " ", "\t", "\n", "  \r\n"};
    return kSpaces[pick(7)];
  }
  std::string key() {
    static constexpr const char* kKeys[] = {"a", "b", "c", "level", "a.b", "\\u0061", "x\\\"y", ""};
    return kKeys[pick(8)];
  }
  std::string string() {
    static constexpr const char* kPieces[] = {
        "x",       "hello world",    "\\n", "\\\"", "\\\\",
        "\\u00e9", "\\ud83d\\ude00", "é",   "日本", "0123456789abcdef01234"};
    std::string out;
    for (std::size_t i = pick(5); i > 0; --i) out += kPieces[pick(10)];
    return out;
  }
  std::string number() {
    static constexpr const char* kNumbers[] = {
        "0", "-0", "1", "-12", "3.25", "1e3", "2.5E-3", "123456789012345678", "0.1", "1E+2"};
    return kNumbers[pick(10)];
  }
  std::string value(int depth) {
    switch (pick(depth > 0 ? 7 : 5)) {
      case 0: return "\"" + string() + "\"";
      case 1: return number();
      case 2: return "true";
      case 3: return "false";
      case 4: return "null";
      case 5: return object(depth - 1);
      default: break;
    }
    std::string out = "[" + space();
    const std::size_t count = pick(4);
    for (std::size_t i = 0; i < count; ++i) out += (i > 0 ? "," : "") + space() + value(depth - 1);
    return out + space() + "]";
  }
  std::mt19937 random_;
};

// What the slow way finds: the last of duplicate keys; absent or beyond a non-object is null.
simdjson::dom::element find(simdjson::dom::element at, const std::vector<std::string>& path,
                            bool& found) {
  found = true;
  for (const auto& key : path) {
    simdjson::dom::object object;
    found = false;
    if (at.get(object) != simdjson::SUCCESS) return at;
    for (auto field : object) {
      if (field.key != key) continue;
      at = field.value;
      found = true;
    }
    if (!found) return at;
  }
  return at;
}

std::string show(const JsonField& field) {
  switch (field.type) {
    case JsonField::Type::kNull: return "null";
    case JsonField::Type::kTrue: return "true";
    case JsonField::Type::kFalse: return "false";
    case JsonField::Type::kString: {
      std::string text;
      append_unescaped(field.text, text);
      return "s:" + text;
    }
    case JsonField::Type::kNumber:
      return "n:" + std::to_string(std::strtod(std::string(field.text).c_str(), nullptr) + 0.0);
    case JsonField::Type::kObject:
    case JsonField::Type::kArray: {
      simdjson::dom::parser parser;
      simdjson::dom::element element;
      if (parser.parse(std::string(field.text)).get(element) != simdjson::SUCCESS) return "broken";
      return simdjson::minify(element);
    }
  }
  return "";
}
std::string show(simdjson::dom::element element) {
  switch (element.type()) {
    case simdjson::dom::element_type::NULL_VALUE: return "null";
    case simdjson::dom::element_type::BOOL: {
      bool value = false;
      std::ignore = element.get(value);
      return value ? "true" : "false";
    }
    case simdjson::dom::element_type::STRING: {
      std::string_view text;
      std::ignore = element.get(text);
      return "s:" + std::string(text);
    }
    case simdjson::dom::element_type::ARRAY:
    case simdjson::dom::element_type::OBJECT: return simdjson::minify(element);
    default: break;
  }
  double number = 0;
  std::ignore = element.get(number);
  return "n:" + std::to_string(number + 0.0);
}

const std::vector<std::vector<std::string>> kPaths = {
    {"a"}, {"level"}, {"a", "b"}, {"b", "a", "c"}, {"a.b"}, {"x\"y"}, {""}, {"b"}, {"c", "c"}};

bool has_long_integer(std::string_view text) {
  std::size_t run = 0;
  for (char c : text) {
    run = c >= '0' && c <= '9' ? run + 1 : 0;
    if (run >= 19) return true;
  }
  return false;
}

void compare(const std::string& text, const JsonPaths& paths) {
  simdjson::dom::parser parser;
  simdjson::dom::element document;
  const simdjson::error_code error = parser.parse(text).get(document);
  const bool parsed = error == simdjson::SUCCESS;
  const bool valid = parsed && document.type() == simdjson::dom::element_type::OBJECT;
  Arena arena;
  std::vector<JsonField> fields(paths.size());
  const std::string exact = text;  // no padding behind it: ASan would see a read too far
  const std::unique_ptr<char[]> copy(new char[exact.size()]);
  std::copy(exact.begin(), exact.end(), copy.get());
  const bool scanned = paths.scan({copy.get(), exact.size()}, arena, fields.data());
  if (scanned && !valid) {
    // simdjson also checks UTF-8 and lone surrogates, and refuses integers beyond 64 bits.
    if (parsed) {
      ASSERT_EQ(document.type(), simdjson::dom::element_type::NULL_VALUE) << text;
    } else if (error != simdjson::UTF8_ERROR && error != simdjson::STRING_ERROR) {
      ASSERT_TRUE(has_long_integer(text)) << text << " " << simdjson::error_message(error);
    }
    return;
  }
  ASSERT_EQ(scanned, valid) << text;
  if (!valid) return;
  for (std::size_t i = 0; i < kPaths.size(); ++i) {
    bool found = false;
    const auto element = find(document, kPaths[i], found);
    ASSERT_EQ(show(fields[i]), found ? show(element) : "null") << text << " path " << i;
  }
}

JsonPaths make_paths() {
  JsonPaths paths;
  for (const auto& path : kPaths) paths.add(path);
  return paths;
}

TEST(JsonScan, AgreesWithADomOnRandomObjects) {
  const JsonPaths paths = make_paths();
  RandomJson random(1);
  for (int i = 0; i < 20'000; ++i) {
    ASSERT_NO_FATAL_FAILURE(compare(random.object(3), paths));
  }
}

TEST(JsonScan, AgreesWithADomOnDamagedObjects) {
  const JsonPaths paths = make_paths();
  RandomJson random(2);
  for (int i = 0; i < 40'000; ++i) {
    ASSERT_NO_FATAL_FAILURE(compare(random.damage(random.object(2)), paths));
  }
}

TEST(JsonScan, NestingIsBoundedAndNotRecursive) {
  const JsonPaths paths = make_paths();
  Arena arena;
  std::vector<JsonField> fields(paths.size());
  const auto nested = [](int depth) {
    std::string text = "{\"q\":";
    for (int i = 0; i < depth; ++i) text += "[";
    for (int i = 0; i < depth; ++i) text += "]";
    return text + "}";
  };
  EXPECT_TRUE(paths.scan(nested(9'999), arena, fields.data()));
  EXPECT_FALSE(paths.scan(nested(10'000), arena, fields.data()));
  EXPECT_FALSE(paths.scan(nested(1'000'000), arena, fields.data()));
}

TEST(JsonScan, RefusesNumbersBeyondADouble) {
  EXPECT_FALSE(is_json_value("1e999"));
  EXPECT_TRUE(is_json_value("1e-999"));
  EXPECT_TRUE(is_json_value("1e308"));
}

TEST(JsonTree, PrintsWhatItReadCompactly) {
  for (const char* text :
       {R"({"a":[1,2.5,-3],"b":{"c":null,"d":[true,false]},"e":"x\n\"\\"})", "[]", "{}", "\"\""}) {
    auto tree = parse_json_tree(text);
    ASSERT_TRUE(tree.ok());
    std::string out;
    append_json(*tree, out);
    EXPECT_EQ(out, text);
  }
  EXPECT_FALSE(parse_json_tree(std::string(600, '[') + std::string(600, ']')).ok());
}

struct PathCase {
  const char* data;
  const char* expression;
  const char* expected;  // JSON, or "error"
};

constexpr PathCase kPathCases[] = {
    {R"({"a":{"b":{"c":{"d":"v"}}}})", "a.b.c.d", R"("v")"},
    {R"({"a":1})", "b", "null"},
    {R"({"a":1})", "a.b", "null"},
    {R"(["a","b","c"])", "[1]", R"("b")"},
    {R"(["a","b","c"])", "[-1]", R"("c")"},
    {R"(["a","b","c"])", "[7]", "null"},
    {R"([0,1,2,3,4])", "[1:3]", "[1,2]"},
    {R"([0,1,2,3,4])", "[::2]", "[0,2,4]"},
    {R"([0,1,2,3,4])", "[::-1]", "[4,3,2,1,0]"},
    {R"([0,1,2,3,4])", "[-2:]", "[3,4]"},
    {R"({"p":[{"f":"a"},{"f":"b"},{"x":1}]})", "p[*].f", R"(["a","b"])"},
    {R"({"p":[{"f":"a"},{"f":"b"}]})", "p[:1].f", R"(["a"])"},
    {R"({"o":{"a":{"n":1},"b":{"n":2},"c":{"m":3}}})", "o.*.n", "[1,2]"},
    {R"({"r":[{"i":[{"s":"x"},{"s":"y"}]},{"i":[{"s":"z"}]}]})", "r[*].i[].s", R"(["x","y","z"])"},
    {R"([[0,1],2,[3],4,[5,[6,7]]])", "[]", "[0,1,2,3,4,5,[6,7]]"},
    {R"({"m":[{"n":"a","s":"up"},{"n":"b","s":"down"}]})", "m[?s=='up'].n", R"(["a"])"},
    {R"({"m":[{"c":5},{"c":15}]})", "m[?c > `10`]", R"([{"c":15}])"},
    {R"({"m":[{"c":5},{"c":15}]})", "m[?c > `10` && c < `20`] | [0].c", "15"},
    {R"({"p":[{"f":"a"},{"f":"b"}]})", "p[*].f | [0]", R"("a")"},
    {R"({"a":{"x":1,"y":2}})", "a.[x, y]", "[1,2]"},
    {R"({"a":{"x":1,"y":2}})", "a.{k: x, \"l-m\": y}", R"({"k":1,"l-m":2})"},
    {R"({"a":null,"b":"x"})", "a || b", R"("x")"},
    {R"({"a":"y","b":"x"})", "a && b", R"("x")"},
    {R"({"a":false})", "!a", "true"},
    {R"({"a":"b"})", "@.a", R"("b")"},
    {R"({"a":[3,1,2]})", "sort(a)", "[1,2,3]"},
    {R"({"a":[3,1,2]})", "max(a)", "3"},
    {R"({"a":[3,1,2]})", "sum(a)", "6"},
    {R"({"a":[3,1,2]})", "avg(a)", "2"},
    {R"({"a":[3,1,2]})", "length(a)", "3"},
    {R"({"a":"héllo"})", "length(a)", "5"},
    {R"({"a":"abc"})", "reverse(a)", R"("cba")"},
    {R"({"a":["x","y"]})", "join('-', a)", R"("x-y")"},
    {R"({"a":"foobar"})", "starts_with(a, 'foo') && ends_with(a, 'bar')", "true"},
    {R"({"a":["x"]})", "contains(a, 'x')", "true"},
    {R"({"a":[{"n":2},{"n":1}]})", "sort_by(a, &n)[0].n", "1"},
    {R"({"a":[{"n":2},{"n":1}]})", "max_by(a, &n).n", "2"},
    {R"({"a":[{"n":2},{"n":1}]})", "map(&n, a)", "[2,1]"},
    {R"({"a":{"x":1},"b":{"x":2,"y":3}})", "merge(a, b)", R"({"x":2,"y":3})"},
    {R"({"a":null,"b":1})", "not_null(a, b)", "1"},
    {R"({"a":"12.5"})", "to_number(a)", "12.5"},
    {R"({"a":12})", "to_string(a)", R"("12")"},
    {R"({"a":12})", "to_array(a)", "[12]"},
    {R"({"a":12})", "type(a)", R"("number")"},
    {R"({"a":{"x":1,"y":2}})", "keys(a)", R"(["x","y"])"},
    {R"({"a":{"x":1,"y":2}})", "values(a)", "[1,2]"},
    {R"({"a":-1.5})", "[abs(a), ceil(a), floor(a)]", "[1.5,-1,-2]"},
    {R"({"a":"x"})", "abs(a)", "error"},
    {R"({"a":"x"})", "`[1, 2]`", "[1,2]"},
    {R"({"a":"x"})", "a == 'x'", "true"},
    {R"({"a":[1]})", "a[?@ == `1`] | length(@)", "1"},
};

TEST(JmesPath, FollowsTheSpecification) {
  for (const PathCase& c : kPathCases) {
    auto data = parse_json_tree(c.data);
    ASSERT_TRUE(data.ok()) << c.data;
    auto path = JmesPath::compile(c.expression);
    ASSERT_TRUE(path.ok()) << c.expression << ": " << path.status().to_string();
    auto found = path->search(*data);
    std::string text = "error";
    if (found.ok()) {
      text.clear();
      append_json(*found, text);
    }
    EXPECT_EQ(text, c.expected) << c.expression;
  }
}

TEST(JmesPath, RefusesWhatIsNoExpression) {
  for (const char* text :
       {"", "a.", "a-b", ".a", "a[", "a[x]", "a]", "a b", "a.1", "foo(", "foo(a)", "length(a, b)",
        "{a}", "a[?", "\"a", "a | ", "a..b", "[::0]", "&a.b)"}) {
    EXPECT_FALSE(JmesPath::compile(text).ok()) << text;
  }
  EXPECT_FALSE(JmesPath::compile(std::string(5000, '(')).ok());
}

TEST(JmesPath, KnowsPlainPaths) {
  EXPECT_EQ(JmesPath::compile("a.\"b-c\".d")->plain_path(),
            (std::vector<std::string>{"a", "b-c", "d"}));
  EXPECT_EQ(JmesPath::compile("a | b")->plain_path(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(JmesPath::compile("a[0]")->plain_path(), std::nullopt);
}

TEST(JmesPath, WorkIsBounded) {
  std::string text = "[";
  for (int i = 0; i < 2'000; ++i) text += i > 0 ? ",1" : "1";
  auto data = parse_json_tree(text + "]");
  auto path = JmesPath::compile("map(&map(&@, `[1,2,3,4,5,6,7,8,9,10]`), @)[].[@,@,@,@,@,@,@,@][]");
  ASSERT_TRUE(path.ok());
  EXPECT_TRUE(path->search(*data).ok());
}

}  // namespace
}  // namespace skald::agent
