#include "query/logql/parser.h"

#include <cmath>

#include "proto/gotext/number.h"
#include "query/logql/fold.h"
#include "query/logql/parser_impl.h"
#include "query/logql/printer.h"
#include "query/logql/regex.h"

namespace skald::query::logql {
namespace {

struct BinaryToken {
  Token token;
  BinaryOp op;
  int precedence;
};
constexpr BinaryToken kBinaryTokens[] = {
    {Token::kOr, BinaryOp::kOr, 1},
    {Token::kAnd, BinaryOp::kAnd, 2},
    {Token::kUnless, BinaryOp::kUnless, 2},
    {Token::kCmpEq, BinaryOp::kEqual, 3},
    {Token::kNeq, BinaryOp::kNotEqual, 3},
    {Token::kLt, BinaryOp::kLess, 3},
    {Token::kLte, BinaryOp::kLessEqual, 3},
    {Token::kGt, BinaryOp::kGreater, 3},
    {Token::kGte, BinaryOp::kGreaterEqual, 3},
    {Token::kAdd, BinaryOp::kAdd, 4},
    {Token::kSub, BinaryOp::kSub, 4},
    {Token::kMul, BinaryOp::kMul, 5},
    {Token::kDiv, BinaryOp::kDiv, 5},
    {Token::kMod, BinaryOp::kMod, 5},
    {Token::kPow, BinaryOp::kPow, 6},
};
const BinaryToken* binary_token(Token token) {
  for (const BinaryToken& entry : kBinaryTokens)
    if (entry.token == token) return &entry;
  return nullptr;
}

std::optional<RangeOp> range_op(Token token) {
  switch (token) {
    case Token::kCountOverTime: return RangeOp::kCount;
    case Token::kRate: return RangeOp::kRate;
    case Token::kRateCounter: return RangeOp::kRateCounter;
    case Token::kBytesOverTime: return RangeOp::kBytes;
    case Token::kBytesRate: return RangeOp::kBytesRate;
    case Token::kAvgOverTime: return RangeOp::kAvg;
    case Token::kSumOverTime: return RangeOp::kSum;
    case Token::kMinOverTime: return RangeOp::kMin;
    case Token::kMaxOverTime: return RangeOp::kMax;
    case Token::kStdvarOverTime: return RangeOp::kStdvar;
    case Token::kStddevOverTime: return RangeOp::kStddev;
    case Token::kQuantileOverTime: return RangeOp::kQuantile;
    case Token::kFirstOverTime: return RangeOp::kFirst;
    case Token::kLastOverTime: return RangeOp::kLast;
    case Token::kAbsentOverTime: return RangeOp::kAbsent;
    default: return std::nullopt;
  }
}

std::optional<VectorOp> vector_op(Token token) {
  switch (token) {
    case Token::kSum: return VectorOp::kSum;
    case Token::kAvg: return VectorOp::kAvg;
    case Token::kCount: return VectorOp::kCount;
    case Token::kMax: return VectorOp::kMax;
    case Token::kMin: return VectorOp::kMin;
    case Token::kStddev: return VectorOp::kStddev;
    case Token::kStdvar: return VectorOp::kStdvar;
    case Token::kBottomK: return VectorOp::kBottomK;
    case Token::kTopK: return VectorOp::kTopK;
    case Token::kSort: return VectorOp::kSort;
    case Token::kSortDesc: return VectorOp::kSortDesc;
    case Token::kApproxTopK: return VectorOp::kApproxTopK;
    default: return std::nullopt;
  }
}

template <typename Node>
ExprPtr make(Node node) {
  auto out = std::make_unique<Expr>();
  out->node = std::move(node);
  return out;
}

// Why the operation cannot be, or empty.
std::string range_fault(const RangeAggregation& e) {
  const std::string name(to_string(e.op));
  if (e.grouping) {
    switch (e.op) {
      case RangeOp::kAvg:
      case RangeOp::kStddev:
      case RangeOp::kStdvar:
      case RangeOp::kQuantile:
      case RangeOp::kMax:
      case RangeOp::kMin:
      case RangeOp::kFirst:
      case RangeOp::kLast: break;
      default: return "grouping not allowed for " + name + " aggregation";
    }
  }
  const bool lines_only =
      e.op == RangeOp::kBytes || e.op == RangeOp::kBytesRate || e.op == RangeOp::kCount;
  const bool either = e.op == RangeOp::kRate || e.op == RangeOp::kAbsent;
  if (e.range.unwrap) return lines_only ? "invalid aggregation " + name + " with unwrap" : "";
  return lines_only || either ? "" : "invalid aggregation " + name + " without unwrap";
}

// Reads the parameter. Why the operation cannot be, or empty.
std::string vector_fault(VectorAggregation& e, const std::optional<Grouping>& by,
                         const std::optional<std::string>& parameter) {
  const std::string name(to_string(e.op));
  if (e.op != VectorOp::kBottomK && e.op != VectorOp::kTopK && e.op != VectorOp::kApproxTopK) {
    if (parameter) return "unsupported parameter for operation " + name + "(" + *parameter + ",";
    const bool sorts = e.op == VectorOp::kSort || e.op == VectorOp::kSortDesc;
    return sorts && by && !by->labels.empty() ? "sort and sort_desc doesn't allow grouping by "
                                              : "";
  }
  if (!parameter) return "parameter required for operation " + name;
  if (gotext::read_int(*parameter, 10, 64, e.parameter) != gotext::NumberError::kNone)
    return "invalid parameter " + name + "(" + *parameter + ",";
  if (e.parameter <= 0)
    return "invalid parameter (must be greater than 0) " + name + "(" + *parameter;
  if (e.op == VectorOp::kApproxTopK && by)
    return "grouping not allowed for " + name + " aggregation";
  return "";
}

base::Status check_selector(const LogSelector& selector) {
  for (const auto& matcher : selector.matchers)
    if (!matcher->matches_empty()) return {};
  return parse_error(
      "queries require at least one regexp or equality matcher that does not have an "
      "empty-compatible value. For instance, app=~\".*\" does not meet this requirement, but "
      "app=~\".+\" will");
}

base::Status check_selectors(const Expr& expr) {
  if (const auto* selector = expr.as<LogSelector>()) return check_selector(*selector);
  base::Status status;
  for_each_range(expr, [&](const LogRange& range) {
    if (status.ok()) status = check_selector(range.selector);
  });
  return status;
}

}  // namespace

base::Status Parser::unexpected(std::initializer_list<Token> expected) const {
  if (lexer_.error()) return *lexer_.error();
  std::string message = "syntax error: unexpected " + std::string(token_name(token_));
  const char* separator = ", expecting ";
  if (expected.size() <= 4) {
    for (const Token token : expected) {
      message += separator;
      message += token_name(token);
      separator = " or ";
    }
  }
  return parse_error(message, lexer_.line, lexer_.column);
}

base::Status Parser::expect(Token token) {
  if (!at(token)) return unexpected({token});
  advance();
  return {};
}

base::Result<std::string> Parser::expect_text(Token token) {
  if (!at(token)) return unexpected({token});
  std::string out = std::move(lexer_.text);
  advance();
  return out;
}

void Parser::note(const std::string& message) {
  if (!note_) note_ = parse_error(message);
}

void Parser::note_over(const std::optional<base::Status>& before, const std::string& message) {
  note_ = before ? before : parse_error(message);
}

base::Status Parser::variants() {
  advance();
  SKALD_TRY(expect(Token::kOpenParen));
  for (bool more = true; more;) {
    SKALD_TRY_ASSIGN(const ExprPtr variant, expression(1));
    more = at(Token::kComma);
    if (variant->is_log() || (!more && !at(Token::kCloseParen))) return unexpected();
    advance();
  }
  SKALD_TRY(expect(Token::kOf));
  SKALD_TRY(expect(Token::kOpenParen));
  SKALD_TRY(log_range());
  SKALD_TRY(expect(Token::kCloseParen));
  return at(Token::kEnd) ? base::Status() : unexpected();
}

base::Result<ExprPtr> Parser::parse() {
  if (at(Token::kVariants)) {
    SKALD_TRY(variants());
    if (note_) return *note_;
    return base::invalid_argument("multi variant queries are disabled for this instance");
  }
  SKALD_TRY_ASSIGN(ExprPtr out, expression(1));
  if (!at(Token::kEnd)) return unexpected();
  if (lexer_.error()) return *lexer_.error();
  if (note_) return *note_;
  return out;
}

base::Result<ExprPtr> Parser::expression(int precedence_min) {
  const Level level(*this);
  if (!level.ok()) return parse_error("the query is nested too deeply");
  const std::optional<base::Status> before = note_;
  SKALD_TRY_ASSIGN(ExprPtr left, operand());
  for (std::size_t operands = 1;; ++operands) {
    const BinaryToken* entry = binary_token(token_);
    if (entry == nullptr || entry->precedence < precedence_min) return left;
    if (operands > kChainMax) return parse_error("the query has too many operands");
    advance();
    Binary binary;
    binary.op = entry->op;
    SKALD_TRY(binary_modifier(binary));
    const bool right_associative = entry->op == BinaryOp::kPow;
    SKALD_TRY_ASSIGN(ExprPtr right, expression(entry->precedence + (right_associative ? 0 : 1)));
    binary.left = std::move(left);
    binary.right = std::move(right);
    left = make_binary(std::move(binary), before);
  }
}

base::Result<ExprPtr> Parser::operand() {
  if (at(Token::kOpenParen)) {
    advance();
    SKALD_TRY_ASSIGN(ExprPtr inner, expression(1));
    if (!at(Token::kCloseParen)) return unexpected();
    advance();
    return inner;
  }
  if (at(Token::kOpenBrace)) return log_expression();
  if (at(Token::kNumber) || at(Token::kAdd) || at(Token::kSub)) return literal();
  if (at(Token::kLabelReplace)) return label_replace();
  if (at(Token::kVector)) return vector_literal();
  if (const auto op = range_op(token_)) return range_aggregation(*op);
  if (const auto op = vector_op(token_)) return vector_aggregation(*op);
  return unexpected();
}

base::Result<ExprPtr> Parser::log_expression() {
  SKALD_TRY_ASSIGN(LogSelector out, selector());
  SKALD_TRY(pipeline(out.pipeline, nullptr));
  return make(std::move(out));
}

base::Result<double> Parser::literal_value(bool tolerant) {
  bool negative = false;
  if (at(Token::kAdd) || at(Token::kSub)) {
    negative = at(Token::kSub);
    advance();
  }
  SKALD_TRY_ASSIGN(std::string text, expect_text(Token::kNumber));
  std::erase(text, '_');
  double value = 0;
  if (gotext::read_float(text, value) != gotext::NumberError::kNone && !tolerant)
    note("unable to parse literal as a float: " +
         std::string(gotext::parse_float(text).status().message()));
  return negative ? -value : value;
}

base::Result<ExprPtr> Parser::literal() {
  SKALD_TRY_ASSIGN(const double value, literal_value());
  return make(Literal{value});
}

base::Result<ExprPtr> Parser::vector_literal() {
  advance();
  SKALD_TRY(expect(Token::kOpenParen));
  SKALD_TRY_ASSIGN(std::string text, expect_text(Token::kNumber));
  SKALD_TRY(expect(Token::kCloseParen));
  std::erase(text, '_');
  const auto value = gotext::parse_float(text);
  if (!value.ok())
    note("unable to parse vectorExpr as a float: " + std::string(value.status().message()));
  return make(VectorLiteral{value.ok() ? *value : 0});
}

// A metric expression up to `end`, which stays ahead.
base::Result<ExprPtr> Parser::metric_argument(Token end) {
  SKALD_TRY_ASSIGN(ExprPtr inner, expression(1));
  if (inner->is_log() || !at(end)) return unexpected();
  return inner;
}

base::Result<ExprPtr> Parser::label_replace() {
  advance();
  SKALD_TRY(expect(Token::kOpenParen));
  const std::optional<base::Status> before = note_;
  LabelReplace out;
  SKALD_TRY_ASSIGN(out.inner, metric_argument(Token::kComma));
  for (std::string* text : {&out.destination, &out.replacement, &out.source, &out.regex}) {
    SKALD_TRY(expect(Token::kComma));
    SKALD_TRY_ASSIGN(*text, expect_text(Token::kString));
  }
  SKALD_TRY(expect(Token::kCloseParen));
  SKALD_TRY(spend_test());
  if (const auto status = spend_regex("^(?:" + out.regex + ")$", true); !status.ok())
    note_over(before, "invalid regex in label_replace: " + std::string(status.message()));
  return make(std::move(out));
}

base::Result<ExprPtr> Parser::range_aggregation(RangeOp op) {
  const Level level(*this);
  advance();
  SKALD_TRY(expect(Token::kOpenParen));
  if (++ranges_ > kRangesMax) return parse_error("the query has too many range aggregations");
  RangeAggregation out;
  out.op = op;
  std::string parameter;
  if (at(Token::kNumber)) {
    parameter = std::move(lexer_.text);
    advance();
    SKALD_TRY(expect(Token::kComma));
  } else if (!at(Token::kOpenBrace) && !at(Token::kOpenParen)) {
    return unexpected({Token::kNumber, Token::kOpenBrace, Token::kOpenParen});
  }
  SKALD_TRY_ASSIGN(out.range, log_range());
  if (!at(Token::kCloseParen)) return unexpected({Token::kCloseParen});
  advance();
  if (at(Token::kBy) || at(Token::kWithout)) {
    SKALD_TRY_ASSIGN(out.grouping, grouping());
  }
  const std::string name(to_string(op));
  if (!parameter.empty() && op != RangeOp::kQuantile) {
    note("parameter " + parameter + " not supported for operation " + name);
  } else if (!parameter.empty()) {
    std::erase(parameter, '_');
    const auto value = gotext::parse_float(parameter);
    if (!value.ok())
      note("invalid parameter for operation " + name + ": " +
           std::string(value.status().message()));
    else
      out.parameter = *value;
  } else if (op == RangeOp::kQuantile) {
    note("parameter required for operation " + name);
  }
  if (const std::string fault = range_fault(out); !fault.empty()) note(fault);
  if (const auto status = check_selector(out.range.selector); !status.ok() && !note_)
    note_ = status;
  return make(std::move(out));
}

base::Result<ExprPtr> Parser::vector_aggregation(VectorOp op) {
  advance();
  const std::optional<base::Status> before = note_;
  VectorAggregation out;
  out.op = op;
  std::optional<Grouping> by;
  if (at(Token::kBy) || at(Token::kWithout)) {
    SKALD_TRY_ASSIGN(by, grouping());
  }
  if (!at(Token::kOpenParen)) {
    if (by) return unexpected({Token::kOpenParen});
    return unexpected({Token::kOpenParen, Token::kBy, Token::kWithout});
  }
  advance();
  std::optional<std::string> parameter;
  if (at(Token::kNumber)) {
    // A number is the parameter if a comma follows, else it begins the operand.
    Parser ahead = *this;
    ahead.advance();
    if (ahead.at(Token::kComma)) {
      parameter = std::move(lexer_.text);
      advance();
      advance();
    }
  }
  SKALD_TRY_ASSIGN(out.inner, metric_argument(Token::kCloseParen));
  advance();
  if (!by && (at(Token::kBy) || at(Token::kWithout))) {
    SKALD_TRY_ASSIGN(by, grouping());
  }
  if (const std::string fault = vector_fault(out, by, parameter); !fault.empty())
    note_over(before, fault);
  if (by) out.grouping = std::move(*by);
  return make(std::move(out));
}

base::Result<std::vector<std::string>> Parser::label_list() {
  std::vector<std::string> out;
  if (at(Token::kCloseParen)) return advance(), out;
  for (;;) {
    if (!at(Token::kIdentifier)) {
      if (out.empty()) return unexpected({Token::kIdentifier, Token::kCloseParen});
      return unexpected({Token::kIdentifier});
    }
    SKALD_TRY(spend_item());
    out.push_back(std::move(lexer_.text));
    advance();
    if (at(Token::kCloseParen)) return advance(), out;
    if (!at(Token::kComma)) return unexpected({Token::kComma, Token::kCloseParen});
    advance();
  }
}

base::Result<Grouping> Parser::grouping() {
  Grouping out;
  out.without = at(Token::kWithout);
  advance();
  SKALD_TRY(expect(Token::kOpenParen));
  SKALD_TRY_ASSIGN(out.labels, label_list());
  return out;
}

base::Status Parser::binary_modifier(Binary& binary) {
  if (at(Token::kBool)) {
    binary.return_bool = true;
    advance();
  }
  if (!at(Token::kOn) && !at(Token::kIgnoring)) return {};
  VectorMatching& matching = binary.matching;
  matching.on = at(Token::kOn);
  advance();
  SKALD_TRY(expect(Token::kOpenParen));
  SKALD_TRY_ASSIGN(matching.labels, label_list());
  if (!at(Token::kGroupLeft) && !at(Token::kGroupRight)) return {};
  matching.card =
      at(Token::kGroupLeft) ? VectorMatching::Card::kManyToOne : VectorMatching::Card::kOneToMany;
  advance();
  // A parenthesis here always opens the list of labels, never the right operand.
  if (!at(Token::kOpenParen)) return {};
  advance();
  SKALD_TRY_ASSIGN(matching.include, label_list());
  return {};
}

ExprPtr Parser::make_binary(Binary binary, const std::optional<base::Status>& before) {
  const std::string op(to_string(binary.op));
  const auto placeholder = [] { return make(VectorLiteral{0}); };
  for (const bool left : {true, false}) {
    const Expr& side = left ? *binary.left : *binary.right;
    const auto* selector = side.as<LogSelector>();
    if (selector == nullptr) continue;
    note_over(before, "unexpected type for " + std::string(left ? "left" : "right") +
                          " leg of binary operation (" + op + "): *syntax." +
                          (selector->pipeline.empty() ? "MatchersExpr" : "PipelineExpr"));
    return placeholder();
  }
  const auto* left = binary.left->as<Literal>();
  const auto* right = binary.right->as<Literal>();
  if (is_set_op(binary.op) && (left != nullptr || right != nullptr)) {
    note_over(before,
              "unexpected literal for " + std::string(left != nullptr ? "left" : "right") +
                  " leg of logical/set binary operation (" + op + "): " +
                  gotext::format_float(left != nullptr ? left->value : right->value, 'f', 6));
    return placeholder();
  }
  if (left != nullptr && right != nullptr)
    return make(Literal{fold(binary.op, left->value, right->value)});
  return make(std::move(binary));
}

// After the selector and what may stand between it and the range: `[5m] offset 1m | ...`.
base::Status Parser::range_tail(LogRange& range, bool pipeline_allowed, bool unwrap_allowed,
                                std::initializer_list<Token> expected) {
  if (!at(Token::kRange)) return unexpected(expected);
  range.interval_ns = lexer_.duration;
  advance();
  if (at(Token::kOffset)) {
    advance();
    if (!at(Token::kDuration)) return unexpected({Token::kDuration});
    range.offset_ns = lexer_.duration;
    advance();
  }
  if (pipeline_allowed) return pipeline(range.selector.pipeline, &range.unwrap);
  if (unwrap_allowed && at(Token::kPipe)) {
    advance();
    if (!at(Token::kUnwrap)) return unexpected({Token::kUnwrap});
    advance();
    return unwrap_clause(range.unwrap.emplace());
  }
  return {};
}

base::Result<LogRange> Parser::log_range() {
  const Level level(*this);
  if (!level.ok()) return parse_error("the query is nested too deeply");
  // What may follow an unwrap; after other stages more than an error lists.
  static constexpr std::initializer_list<Token> kOpen = {};
  static constexpr std::initializer_list<Token> kUnwrapped = {Token::kRange, Token::kPipe};
  static constexpr std::initializer_list<Token> kUnwrappedInParens = {
      Token::kRange, Token::kCloseParen, Token::kPipe};
  LogRange out;
  if (!at(Token::kOpenParen)) {
    if (!at(Token::kOpenBrace)) return unexpected({Token::kOpenBrace, Token::kOpenParen});
    SKALD_TRY_ASSIGN(out.selector, selector());
    const bool bare = at(Token::kRange);
    if (!bare) SKALD_TRY(pipeline(out.selector.pipeline, &out.unwrap));
    SKALD_TRY(range_tail(out, bare, false, out.unwrap ? kUnwrapped : kOpen));
    return out;
  }
  advance();
  if (at(Token::kOpenParen)) {
    SKALD_TRY_ASSIGN(out, log_range());
    SKALD_TRY(expect(Token::kCloseParen));
    return out;
  }
  if (!at(Token::kOpenBrace)) return unexpected({Token::kOpenBrace, Token::kOpenParen});
  SKALD_TRY_ASSIGN(out.selector, selector());
  const bool bare = at(Token::kRange) || at(Token::kCloseParen);
  if (!bare) SKALD_TRY(pipeline(out.selector.pipeline, &out.unwrap));
  if (at(Token::kRange)) {
    SKALD_TRY(range_tail(out, bare, false, {}));
    SKALD_TRY(expect(Token::kCloseParen));
    return out;
  }
  if (!at(Token::kCloseParen)) return unexpected(out.unwrap ? kUnwrappedInParens : kOpen);
  advance();
  SKALD_TRY(range_tail(out, false, bare, {Token::kRange}));
  return out;
}

base::Result<ExprPtr> parse(std::string_view text, RegexBudget* regexes) {
  if (text.size() >= kQueryBytesMax)
    return parse_error("input size too long (" + std::to_string(text.size()) + " > " +
                       std::to_string(kQueryBytesMax) + ")");
  if (text.empty()) return parse_error("syntax error: unexpected $end");  // Loki names no place
  SKALD_TRY_ASSIGN(ExprPtr out, Parser(text, regexes).parse());
  SKALD_TRY(check_selectors(*out));
  return out;
}

base::Result<model::Matchers> parse_matchers(std::string_view text, bool validate,
                                             RegexBudget* regexes) {
  if (text.size() >= kQueryBytesMax)
    return parse_error("input size too long (" + std::to_string(text.size()) + " > " +
                       std::to_string(kQueryBytesMax) + ")");
  SKALD_TRY_ASSIGN(const ExprPtr out, Parser(text, regexes).parse());
  if (validate) SKALD_TRY(check_selectors(*out));
  const auto* selector = out->as<LogSelector>();
  if (selector == nullptr || !selector->pipeline.empty())
    return base::invalid_argument("only label matchers are supported");
  return copy_matchers(*selector);
}

}  // namespace skald::query::logql
