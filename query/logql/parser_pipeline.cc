#include <re2/re2.h>

#include <algorithm>

#include "query/logql/parser_impl.h"
#include "query/logql/pattern.h"
#include "query/logql/regex.h"

namespace skald::query::logql {
namespace {

std::optional<LineMatch> line_match(Token token) {
  switch (token) {
    case Token::kPipeExact: return LineMatch::kContains;
    case Token::kNeq: return LineMatch::kNotContains;
    case Token::kPipeMatch: return LineMatch::kRegex;
    case Token::kNre: return LineMatch::kNotRegex;
    case Token::kPipePattern: return LineMatch::kPattern;
    case Token::kNpa: return LineMatch::kNotPattern;
    default: return std::nullopt;
  }
}

std::optional<Compare> compare(Token token) {
  switch (token) {
    case Token::kEq:
    case Token::kCmpEq: return Compare::kEqual;
    case Token::kNeq: return Compare::kNotEqual;
    case Token::kGt: return Compare::kGreater;
    case Token::kGte: return Compare::kGreaterEqual;
    case Token::kLt: return Compare::kLess;
    case Token::kLte: return Compare::kLessEqual;
    default: return std::nullopt;
  }
}

std::optional<model::Matcher::Op> matcher_op(Token token) {
  switch (token) {
    case Token::kEq: return model::Matcher::Op::kEqual;
    case Token::kNeq: return model::Matcher::Op::kNotEqual;
    case Token::kRe: return model::Matcher::Op::kRegex;
    case Token::kNre: return model::Matcher::Op::kNotRegex;
    default: return std::nullopt;
  }
}

}  // namespace

base::Status check_regexp_parser(std::string_view regex) {
  SKALD_TRY_ASSIGN(const auto compiled, compile_regex(regex));
  if (!compiled->NamedCapturingGroups().empty()) return {};
  if (const auto twice = repeated_group(regex))
    return base::invalid_argument("duplicate extracted label name '" + *twice + "'");
  return base::invalid_argument("at least one named capture must be supplied");
}

base::Status Parser::spend_item() {
  if (++items_ <= kItemsMax) return {};
  return parse_error("the query has too many stages and labels");
}

base::Status Parser::spend_test() {
  if (++tests_ <= kTestsMax) return {};
  return parse_error("the query has too many regular expressions and patterns");
}

base::Status Parser::spend_regex(std::string_view regex, bool groups_matter) {
  const auto too_much = [] {
    return base::invalid_argument("the query's regular expressions need too much memory");
  };
  if (regexes_.exhausted) return too_much();
  const auto compiled = compile_regex(regex);
  constexpr std::int64_t kInstructionBytes = 16;
  // Refusing a large one costs as much as compiling it.
  regexes_.programs += static_cast<std::int64_t>(regex.size()) +
                       (compiled.ok() ? compiled->get()->ProgramSize() * kInstructionBytes
                                      : regexes_.programs_max / kRefusedRegexesMax);
  regexes_.exhausted = regexes_.programs > regexes_.programs_max;
  if (regexes_.exhausted) return too_much();
  if (!compiled.ok()) return compiled.status();
  if (groups_matter && compiled->get()->NumberOfCapturingGroups() > kRegexGroupsMax)
    return base::invalid_argument("more than " + std::to_string(kRegexGroupsMax) + " groups");
  return {};
}

// ---- selectors ----

base::Result<std::shared_ptr<const model::Matcher>> Parser::make_matcher(std::string name,
                                                                         model::Matcher::Op op,
                                                                         std::string value) {
  const bool regex = op == model::Matcher::Op::kRegex || op == model::Matcher::Op::kNotRegex;
  if (regex) {
    SKALD_TRY(spend_test());
    const auto status = spend_regex(value);
    if (!status.ok()) return parse_error(status.message());
  }
  auto matcher = model::Matcher::create(std::move(name), op, std::move(value));
  if (!matcher.ok()) return parse_error(matcher.status().message());
  return std::make_shared<const model::Matcher>(std::move(*matcher));
}

base::Result<LogSelector> Parser::selector() {
  if (!at(Token::kOpenBrace)) return unexpected({Token::kOpenBrace});
  advance();
  LogSelector out;
  if (at(Token::kCloseBrace)) return advance(), std::move(out);
  for (;;) {
    if (!at(Token::kIdentifier)) {
      if (out.matchers.empty()) return unexpected({Token::kIdentifier, Token::kCloseBrace});
      return unexpected({Token::kIdentifier});
    }
    std::string name = std::move(lexer_.text);
    advance();
    SKALD_TRY_ASSIGN(auto matcher, matcher_after(std::move(name)));
    out.matchers.push_back(std::move(matcher));
    if (at(Token::kCloseBrace)) return advance(), std::move(out);
    if (!at(Token::kComma)) return unexpected({Token::kCloseBrace, Token::kComma});
    advance();
  }
}

base::Result<std::shared_ptr<const model::Matcher>> Parser::matcher_after(std::string name) {
  const auto op = matcher_op(token_);
  if (!op) return unexpected({Token::kEq, Token::kRe, Token::kNre, Token::kNeq});
  advance();
  SKALD_TRY_ASSIGN(std::string value, expect_text(Token::kString));
  return make_matcher(std::move(name), *op, std::move(value));
}

// ---- stages ----

base::Status Parser::pipeline(Pipeline& out, std::optional<Unwrap>* unwrap) {
  for (;;) {
    if (const auto match = line_match(token_)) {
      advance();
      LineFilters* filters = out.empty() ? nullptr : std::get_if<LineFilters>(&out.back());
      if (filters == nullptr) filters = &std::get<LineFilters>(out.emplace_back(LineFilters{}));
      SKALD_TRY(line_filter(*match, filters->filters));
      continue;
    }
    if (!at(Token::kPipe)) return {};
    advance();
    if (at(Token::kUnwrap) && unwrap != nullptr) {
      advance();
      SKALD_TRY(unwrap_clause(unwrap->emplace()));
      return {};
    }
    SKALD_TRY(spend_item());
    SKALD_TRY_ASSIGN(Stage next, stage());
    out.push_back(std::move(next));
  }
}

base::Status Parser::unwrap_clause(Unwrap& out) {
  const Token token = token_;
  if (token == Token::kBytesConv || token == Token::kDurationConv ||
      token == Token::kDurationSecondsConv) {
    out.convert = token == Token::kBytesConv      ? Unwrap::Convert::kBytes
                  : token == Token::kDurationConv ? Unwrap::Convert::kDuration
                                                  : Unwrap::Convert::kDurationSeconds;
    advance();
    SKALD_TRY(expect(Token::kOpenParen));
    SKALD_TRY_ASSIGN(out.label, expect_text(Token::kIdentifier));
    SKALD_TRY(expect(Token::kCloseParen));
  } else if (at(Token::kIdentifier)) {
    SKALD_TRY_ASSIGN(out.label, expect_text(Token::kIdentifier));
  } else {
    return unexpected(
        {Token::kIdentifier, Token::kBytesConv, Token::kDurationConv, Token::kDurationSecondsConv});
  }
  while (at(Token::kPipe)) {
    advance();
    if (!at(Token::kIdentifier) && !at(Token::kOpenParen))
      return unexpected({Token::kIdentifier, Token::kOpenParen});
    SKALD_TRY(spend_item());
    SKALD_TRY_ASSIGN(auto filter, label_filter(0));
    out.post_filters.push_back(std::move(filter));
  }
  return {};
}

base::Result<LineText> Parser::line_text() {
  LineText out;
  if (at(Token::kIp)) {
    advance();
    SKALD_TRY(expect(Token::kOpenParen));
    SKALD_TRY_ASSIGN(out.text, expect_text(Token::kString));
    SKALD_TRY(expect(Token::kCloseParen));
    out.ip = true;
    return out;
  }
  if (!at(Token::kString)) return unexpected({Token::kString, Token::kIp});
  SKALD_TRY_ASSIGN(out.text, expect_text(Token::kString));
  return out;
}

// What follows one `or`: texts joined by further ors; an ip() ends the chain.
base::Status Parser::or_chain(std::vector<LineText>& out) {
  for (;;) {
    SKALD_TRY_ASSIGN(LineText text, line_text());
    const bool last = text.ip;
    out.push_back(std::move(text));
    if (last || !at(Token::kOr)) return {};
    advance();
  }
}

base::Status Parser::line_filter(LineMatch match, std::vector<LineFilter>& out) {
  SKALD_TRY_ASSIGN(LineText first, line_text());
  std::vector<LineText> texts;
  texts.push_back(std::move(first));
  while (at(Token::kOr)) {
    advance();
    std::vector<LineText> more;
    SKALD_TRY(or_chain(more));
    // Loki's tree has one slot for alternatives: a second chain (after an ip()) replaces the first.
    if (!is_negated(match)) texts.resize(1);
    std::move(more.begin(), more.end(), std::back_inserter(texts));
  }
  const bool contains = match == LineMatch::kContains || match == LineMatch::kNotContains;
  const bool regex = match == LineMatch::kRegex || match == LineMatch::kNotRegex;
  for (const LineText& text : texts) {
    if (!contains) SKALD_TRY(spend_test());
    // One that does not compile is the stage's error, as in Loki; here only the budget counts.
    if (!regex) continue;
    if (const auto status = spend_regex(text.text); !status.ok() && regexes_.exhausted)
      return parse_error(status.message());
  }
  if (!is_negated(match)) {
    out.push_back({match, std::move(texts)});
    return {};
  }
  for (LineText& text : texts) out.push_back({match, {std::move(text)}});
  return {};
}

base::Result<Stage> Parser::stage() {
  const Token token = token_;
  switch (token) {
    case Token::kLogfmt: return logfmt_stage();
    case Token::kJson: {
      advance();
      if (!at(Token::kIdentifier)) return Stage(JsonParser{});
      SKALD_TRY_ASSIGN(auto list, extractions());
      return Stage(JsonExpressions{std::move(list)});
    }
    case Token::kRegexp: {
      advance();
      SKALD_TRY_ASSIGN(std::string text, expect_text(Token::kString));
      SKALD_TRY(spend_test());
      base::Status status = spend_regex(text, true);
      if (status.ok()) status = check_regexp_parser(text);
      if (!status.ok())
        return parse_error("invalid regexp parser: " + std::string(status.message()));
      return Stage(RegexpParser{std::move(text)});
    }
    case Token::kPattern: {
      advance();
      SKALD_TRY_ASSIGN(std::string text, expect_text(Token::kString));
      SKALD_TRY(spend_test());
      const auto parsed = Pattern::for_parser(text);
      if (!parsed.ok())
        return parse_error("invalid pattern parser: " + std::string(parsed.status().message()));
      return Stage(PatternParser{std::move(text)});
    }
    case Token::kUnpack: return advance(), Stage(UnpackParser{});
    case Token::kDecolorize: return advance(), Stage(Decolorize{});
    case Token::kLineFmt: {
      advance();
      SKALD_TRY_ASSIGN(std::string text, expect_text(Token::kString));
      return Stage(LineFormat{std::move(text)});
    }
    case Token::kLabelFmt: return label_format();
    case Token::kDrop:
    case Token::kKeep: {
      advance();
      SKALD_TRY_ASSIGN(auto list, named_matchers());
      if (token == Token::kDrop) return Stage(DropLabels{std::move(list)});
      return Stage(KeepLabels{std::move(list)});
    }
    case Token::kIdentifier:
    case Token::kOpenParen: {
      SKALD_TRY_ASSIGN(auto filter, label_filter(0));
      return Stage(LabelFilterStage{LabelFilterPtr(std::move(filter))});
    }
    default: return unexpected();
  }
}

base::Result<Stage> Parser::logfmt_stage() {
  advance();
  bool strict = false, keep_empty = false;
  for (; at(Token::kFlag); advance()) (lexer_.text == "--strict" ? strict : keep_empty) = true;
  if (!at(Token::kIdentifier)) return Stage(LogfmtParser{strict, keep_empty});
  SKALD_TRY_ASSIGN(auto list, extractions());
  return Stage(LogfmtExpressions{std::move(list), strict, keep_empty});
}

base::Result<std::vector<Extraction>> Parser::extractions() {
  std::vector<Extraction> out;
  for (;;) {
    SKALD_TRY(spend_item());
    Extraction next;
    SKALD_TRY_ASSIGN(next.identifier, expect_text(Token::kIdentifier));
    if (at(Token::kEq)) {
      advance();
      SKALD_TRY_ASSIGN(next.expression, expect_text(Token::kString));
    } else {
      next.expression = next.identifier;
    }
    out.push_back(std::move(next));
    if (!at(Token::kComma)) return out;
    advance();
  }
}

base::Result<Stage> Parser::label_format() {
  advance();
  LabelFormat out;
  for (;;) {
    SKALD_TRY(spend_item());
    LabelFormat::Item item;
    SKALD_TRY_ASSIGN(item.name, expect_text(Token::kIdentifier));
    SKALD_TRY(expect(Token::kEq));
    if (!at(Token::kIdentifier) && !at(Token::kString))
      return unexpected({Token::kIdentifier, Token::kString});
    item.rename = at(Token::kIdentifier);
    item.value = std::move(lexer_.text);
    advance();
    out.items.push_back(std::move(item));
    if (!at(Token::kComma)) return Stage(std::move(out));
    advance();
  }
}

base::Result<std::vector<NamedMatcher>> Parser::named_matchers() {
  std::vector<NamedMatcher> out;
  for (;;) {
    SKALD_TRY(spend_item());
    NamedMatcher next;
    SKALD_TRY_ASSIGN(std::string name, expect_text(Token::kIdentifier));
    if (matcher_op(token_)) {
      SKALD_TRY_ASSIGN(next.matcher, matcher_after(std::move(name)));
    } else {
      next.name = std::move(name);
    }
    out.push_back(std::move(next));
    if (!at(Token::kComma)) return out;
    advance();
  }
}

// ---- label filters ----

// The grammar gives precedence to `and` (2) over `or` (1), but none to a comma or to filters side
// by side: after those the yacc tables always read on. So `a, b or c` is `a and (b or c)`, while
// `a and b or c` is `(a and b) or c`. `open_precedence` is that of the operator to our left.
base::Result<std::unique_ptr<LabelFilter>> Parser::label_filter(int open_precedence) {
  SKALD_TRY_ASSIGN(auto left, label_condition());
  for (;;) {
    LabelFilter::Kind kind = LabelFilter::Kind::kAnd;
    int precedence = 0;
    if (at(Token::kOr)) {
      if (open_precedence >= 1) return left;
      kind = LabelFilter::Kind::kOr;
      precedence = 1;
      advance();
    } else if (at(Token::kAnd)) {
      if (open_precedence >= 2) return left;
      precedence = 2;
      advance();
    } else if (at(Token::kComma)) {
      advance();
    } else if (!at(Token::kIdentifier) && !at(Token::kOpenParen)) {
      return left;
    }
    if (++chain_ > kChainMax) return parse_error("the query has too many label filters");
    SKALD_TRY_ASSIGN(auto right, label_filter(precedence));
    auto both = std::make_unique<LabelFilter>();
    both->kind = kind;
    both->left = std::move(left);
    both->right = std::move(right);
    left = std::move(both);
  }
}

base::Result<std::unique_ptr<LabelFilter>> Parser::label_condition() {
  if (at(Token::kOpenParen)) {
    const Level level(*this);
    if (!level.ok()) return parse_error("the query is nested too deeply");
    advance();
    SKALD_TRY_ASSIGN(auto inner, label_filter(0));
    if (!at(Token::kCloseParen)) return unexpected();
    advance();
    return inner;
  }
  if (!at(Token::kIdentifier)) return unexpected({Token::kIdentifier, Token::kOpenParen});
  auto out = std::make_unique<LabelFilter>();
  SKALD_TRY_ASSIGN(out->label, expect_text(Token::kIdentifier));
  if (at(Token::kRe) || at(Token::kNre)) {
    SKALD_TRY_ASSIGN(out->matcher, matcher_after(out->label));
    return out;
  }
  const auto op = compare(token_);
  if (!op) return unexpected();
  const Token op_token = token_;
  out->compare = *op;
  advance();
  const bool equality = op_token == Token::kEq || op_token == Token::kNeq;
  switch (token_) {
    case Token::kDuration:
      out->kind = LabelFilter::Kind::kDuration;
      out->duration_ns = lexer_.duration;
      advance();
      return out;
    case Token::kBytes:
      out->kind = LabelFilter::Kind::kBytes;
      out->bytes = lexer_.bytes;
      advance();
      return out;
    case Token::kNumber:
    case Token::kAdd:
    case Token::kSub: {
      out->kind = LabelFilter::Kind::kNumber;
      SKALD_TRY_ASSIGN(out->number, literal_value(true));
      return out;
    }
    case Token::kString: {
      if (!equality) return unexpected();
      std::string value = std::move(lexer_.text);
      advance();
      SKALD_TRY_ASSIGN(out->matcher,
                       make_matcher(out->label, *matcher_op(op_token), std::move(value)));
      return out;
    }
    case Token::kIp: {
      if (!equality) return unexpected();
      advance();
      SKALD_TRY(expect(Token::kOpenParen));
      out->kind = LabelFilter::Kind::kIp;
      SKALD_TRY_ASSIGN(out->ip, expect_text(Token::kString));
      SKALD_TRY(expect(Token::kCloseParen));
      return out;
    }
    default: return unexpected();
  }
}

}  // namespace skald::query::logql
