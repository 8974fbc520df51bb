#pragma once
// Recursive descent over Loki's grammar; private to the parser's two source files. The grammar is
// ambiguous in places and Loki's yacc tables decide: comments at those places say how.

#include <initializer_list>

#include "query/logql/ast.h"
#include "query/logql/lexer.h"
#include "query/logql/limits.h"
#include "query/logql/parser.h"

namespace skald::query::logql {

class Parser {
 public:
  Parser(std::string_view text, RegexBudget* regexes)
      : lexer_(text), regexes_(regexes != nullptr ? *regexes : own_regexes_) {
    advance();
  }
  base::Result<ExprPtr> parse();

 private:
  // Counts open levels; ok() is false beyond kNestingMax.
  class Level {
   public:
    explicit Level(Parser& parser) : parser_(parser) { ++parser_.depth_; }
    ~Level() { --parser_.depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;
    bool ok() const { return parser_.depth_ <= kNestingMax; }

   private:
    Parser& parser_;
  };

  void advance() { token_ = lexer_.next(); }
  bool at(Token token) const { return token_ == token; }
  // "syntax error: unexpected X[, expecting A or B]": the list only when it has at most four.
  base::Status unexpected(std::initializer_list<Token> expected = {}) const;
  base::Status expect(Token token);                    // and advance
  base::Result<std::string> expect_text(Token token);  // its text
  // Not OK: the query has too many stages, or names in lists.
  base::Status spend_item();
  // Not OK: the expression does not compile, or the query's are too much together.
  // `groups_matter`: what the groups found is asked for.
  base::Status spend_regex(std::string_view regex, bool groups_matter = false);
  // Not OK: the query has too many expressions and patterns.
  base::Status spend_test();
  // Errors of meaning are reported only if the whole text has no syntax error.
  void note(const std::string& message);
  // The fault of an expression hides those of its operands, but not what was noted `before` it.
  void note_over(const std::optional<base::Status>& before, const std::string& message);

  base::Status variants();  // read to refuse what is no such query in Loki's words
  base::Result<ExprPtr> expression(int precedence_min);
  base::Result<ExprPtr> operand();
  base::Result<ExprPtr> log_expression();
  base::Result<ExprPtr> range_aggregation(RangeOp op);
  base::Result<ExprPtr> vector_aggregation(VectorOp op);
  base::Result<ExprPtr> label_replace();
  base::Result<ExprPtr> vector_literal();
  base::Result<ExprPtr> literal();
  // `tolerant`: what cannot be read is the number that Go gives beside its error.
  base::Result<double> literal_value(bool tolerant = false);
  base::Result<ExprPtr> metric_argument(Token end);
  base::Result<LogRange> log_range();
  base::Status range_tail(LogRange& range, bool pipeline_allowed, bool unwrap_allowed,
                          std::initializer_list<Token> expected);
  base::Result<Grouping> grouping();
  base::Result<std::vector<std::string>> label_list();  // after '(', up to and with ')'
  base::Status binary_modifier(Binary& binary);
  ExprPtr make_binary(Binary binary, const std::optional<base::Status>& before);

  base::Result<LogSelector> selector();
  base::Result<std::shared_ptr<const model::Matcher>> matcher_after(std::string name);
  base::Result<std::shared_ptr<const model::Matcher>> make_matcher(std::string name,
                                                                   model::Matcher::Op op,
                                                                   std::string value);
  // Stages up to the first token that begins none. `unwrap` non-null: `| unwrap` may follow, and
  // is read with its filters.
  base::Status pipeline(Pipeline& out, std::optional<Unwrap>* unwrap);
  base::Status unwrap_clause(Unwrap& out);  // after "| unwrap"
  base::Status line_filter(LineMatch match, std::vector<LineFilter>& out);
  base::Result<LineText> line_text();
  base::Status or_chain(std::vector<LineText>& out);
  base::Result<Stage> stage();  // after '|'
  base::Result<Stage> logfmt_stage();
  base::Result<std::vector<Extraction>> extractions();
  base::Result<Stage> label_format();
  base::Result<std::vector<NamedMatcher>> named_matchers();
  base::Result<std::unique_ptr<LabelFilter>> label_filter(int open_precedence);
  base::Result<std::unique_ptr<LabelFilter>> label_condition();

  Lexer lexer_;
  Token token_ = Token::kEnd;
  RegexBudget own_regexes_;
  RegexBudget& regexes_;
  std::size_t depth_ = 0;
  std::size_t chain_ = 0;
  std::size_t tests_ = 0, items_ = 0, ranges_ = 0;
  std::optional<base::Status> note_;
};

// The error of a stage that a regular expression of this text makes, if any. Also checks its size.
base::Status check_regexp_parser(std::string_view regex);

}  // namespace skald::query::logql
