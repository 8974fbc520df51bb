#pragma once
// The tree of a LogQL query. Plain data, immutable once parsed, safe to share between threads.
//
// Two layers: Expr is what the query computes (a log selection or samples), Stage is one step of a
// pipeline. Stages are kept in the order they are written; run them in the order of
// execution_order(), which moves line filters in front of parsers as Loki does.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "proto/model/matcher.h"

namespace skald::query::logql {

// ---- pipeline stages ----

enum class LineMatch : std::uint8_t {
  kContains,     // |=
  kNotContains,  // !=
  kRegex,        // |~
  kNotRegex,     // !~
  kPattern,      // |>
  kNotPattern,   // !>
};
std::string_view to_string(LineMatch match);
constexpr bool is_negated(LineMatch match) { return (static_cast<unsigned>(match) & 1U) != 0; }

// One alternative of a line filter. `ip("10.0.0.0/8")` only counts as an address pattern when it
// is the only alternative; among several it is plain text (as in Loki).
struct LineText {
  std::string text;
  bool ip = false;
  friend bool operator==(const LineText&, const LineText&) = default;
};

// `|= "a" or "b"`. Negated filters have one alternative each: `!= "a" or "b"` parses to two.
struct LineFilter {
  LineMatch match = LineMatch::kContains;
  std::vector<LineText> alternatives;
  friend bool operator==(const LineFilter&, const LineFilter&) = default;
};

// Line filters written one after the other: all must hold.
struct LineFilters {
  std::vector<LineFilter> filters;
};

struct JsonParser {};    // | json
struct UnpackParser {};  // | unpack
struct Decolorize {};    // | decolorize
struct RegexpParser {
  std::string regex;
};  // | regexp "..." ; has >= 1 named group
struct PatternParser {
  std::string pattern;
};  // | pattern "..."
struct LogfmtParser {
  bool strict = false;
  bool keep_empty = false;
};

// identifier="expression"; written without "=", expression equals identifier.
struct Extraction {
  std::string identifier;
  std::string expression;
};
struct JsonExpressions {  // | json a="b.c", d
  std::vector<Extraction> extractions;
};
struct LogfmtExpressions {  // | logfmt --strict a="b"
  std::vector<Extraction> extractions;
  bool strict = false;
  bool keep_empty = false;
};

enum class Compare : std::uint8_t { kEqual, kNotEqual, kGreater, kGreaterEqual, kLess, kLessEqual };
std::string_view to_string(Compare compare);  // "==" for kEqual

// A condition on labels. kAnd and kOr have both children; every other kind is a leaf about `label`.
struct LabelFilter {
  enum class Kind : std::uint8_t { kAnd, kOr, kString, kNumber, kDuration, kBytes, kIp };
  Kind kind = Kind::kString;
  std::string label;                              // of leaves (kString: also matcher->name())
  std::shared_ptr<const model::Matcher> matcher;  // kString
  Compare compare = Compare::kEqual;         // kNumber, kDuration, kBytes; kIp: kEqual or kNotEqual
  double number = 0;                         // kNumber
  std::int64_t duration_ns = 0;              // kDuration
  std::uint64_t bytes = 0;                   // kBytes
  std::string ip;                            // kIp: address, range "a-b" or prefix "a/n"
  std::unique_ptr<LabelFilter> left, right;  // kAnd, kOr
};
using LabelFilterPtr = std::shared_ptr<const LabelFilter>;
struct LabelFilterStage {
  LabelFilterPtr filter;
};

struct LineFormat {
  std::string text;
};  // | line_format "..." (a Go template)

struct LabelFormat {  // | label_format a=b, c="{{.d}}"
  struct Item {
    std::string name;
    std::string value;  // rename: the source label; else a Go template
    bool rename = false;
  };
  std::vector<Item> items;
};

// `drop a, b="x"`: a name, or a matcher (then name is empty).
struct NamedMatcher {
  std::string name;
  std::shared_ptr<const model::Matcher> matcher;
};
struct DropLabels {
  std::vector<NamedMatcher> labels;
};
struct KeepLabels {
  std::vector<NamedMatcher> labels;
};

using Stage = std::variant<LineFilters, JsonParser, LogfmtParser, RegexpParser, PatternParser,
                           UnpackParser, JsonExpressions, LogfmtExpressions, LabelFilterStage,
                           LineFormat, LabelFormat, Decolorize, DropLabels, KeepLabels>;
using Pipeline = std::vector<Stage>;

// The stages in the order they run. Line filters move up to the last stage before them that can
// change the line in Loki's eyes (line_format, unpack) or is a label filter; filters that meet are
// merged. decolorize does not hold them back: `| decolorize |= "x"` looks at the coloured line.
Pipeline execution_order(const Pipeline& pipeline);

// ---- expressions ----

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

// {job="a"} | ...
struct LogSelector {
  std::vector<std::shared_ptr<const model::Matcher>> matchers;
  Pipeline pipeline;
};
model::Matchers copy_matchers(const LogSelector& selector);

struct Grouping {
  bool without = false;
  std::vector<std::string> labels;
};

struct Unwrap {
  enum class Convert : std::uint8_t { kNone, kBytes, kDuration, kDurationSeconds };
  std::string label;
  Convert convert = Convert::kNone;
  std::vector<LabelFilterPtr> post_filters;  // run after the value was converted
};

struct LogRange {
  LogSelector selector;
  std::int64_t interval_ns = 0;
  std::int64_t offset_ns = 0;
  std::optional<Unwrap> unwrap;
};

enum class RangeOp : std::uint8_t {
  kCount,
  kRate,
  kRateCounter,
  kBytes,
  kBytesRate,
  kAvg,
  kSum,
  kMin,
  kMax,
  kStdvar,
  kStddev,
  kQuantile,
  kFirst,
  kLast,
  kAbsent,
};
std::string_view to_string(RangeOp op);  // "count_over_time"

struct RangeAggregation {
  RangeOp op = RangeOp::kCount;
  LogRange range;
  std::optional<double> parameter;  // kQuantile
  std::optional<Grouping> grouping;
};

enum class VectorOp : std::uint8_t {
  kSum,
  kAvg,
  kCount,
  kMax,
  kMin,
  kStddev,
  kStdvar,
  kBottomK,
  kTopK,
  kSort,
  kSortDesc,
  kApproxTopK,
};
std::string_view to_string(VectorOp op);  // "sum"

struct VectorAggregation {
  VectorOp op = VectorOp::kSum;
  ExprPtr inner;
  std::int64_t parameter = 0;  // kTopK, kBottomK, kApproxTopK: > 0
  Grouping grouping;           // `sum(x)` is `sum by () (x)`
};

enum class BinaryOp : std::uint8_t {
  kOr,
  kAnd,
  kUnless,
  kAdd,
  kSub,
  kMul,
  kDiv,
  kMod,
  kPow,
  kEqual,
  kNotEqual,
  kGreater,
  kGreaterEqual,
  kLess,
  kLessEqual,
};
std::string_view to_string(BinaryOp op);  // "+"
constexpr bool is_set_op(BinaryOp op) { return op <= BinaryOp::kUnless; }
constexpr bool is_comparison(BinaryOp op) { return op >= BinaryOp::kEqual; }

struct VectorMatching {
  enum class Card : std::uint8_t { kOneToOne, kManyToOne, kOneToMany };  // group_left, group_right
  Card card = Card::kOneToOne;
  bool on = false;  // else: ignoring
  // Present when written with at least one label, even if it is `ignoring (a)`.
  std::vector<std::string> labels;
  std::vector<std::string> include;  // group_left(include...)
};

struct Binary {
  BinaryOp op = BinaryOp::kAdd;
  bool return_bool = false;
  VectorMatching matching;
  ExprPtr left, right;
};

struct Literal {
  double value = 0;
};  // operations on two literals are folded while parsing
struct VectorLiteral {
  double value = 0;
};  // vector(1)

struct LabelReplace {
  ExprPtr inner;
  std::string destination, replacement, source, regex;
};

struct Expr {
  std::variant<LogSelector, RangeAggregation, VectorAggregation, Binary, Literal, VectorLiteral,
               LabelReplace>
      node;

  template <typename T>
  const T* as() const {
    return std::get_if<T>(&node);
  }
  bool is_log() const { return std::holds_alternative<LogSelector>(node); }
};

// Calls visit(const LogRange&) for every range below `expr`, left to right.
void for_each_range(const Expr& expr, const std::function<void(const LogRange&)>& visit);

}  // namespace skald::query::logql
