#pragma once
// LogQL tokens. Works like Loki's lexer, which sits on Go's text/scanner: keywords in any case,
// function names are identifiers unless `(`, by or without follows, any other character is an
// identifier of its own, comments are `#`, `//` and `/* */`.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "proto/base/status.h"

namespace skald::query::logql {

// In the order of Loki's grammar: error messages list what was expected in this order.
enum class Token : std::uint8_t {
  kEnd,
  kBytes,
  kIdentifier,
  kString,
  kNumber,
  kFlag,
  kDuration,
  kRange,
  kEq,
  kRe,
  kNre,
  kNpa,
  kOpenBrace,
  kCloseBrace,
  kOpenBracket,
  kCloseBracket,
  kComma,
  kDot,
  kPipeMatch,
  kPipeExact,
  kPipePattern,
  kOpenParen,
  kCloseParen,
  kBy,
  kWithout,
  kCountOverTime,
  kRate,
  kRateCounter,
  kSum,
  kSort,
  kSortDesc,
  kAvg,
  kMax,
  kMin,
  kCount,
  kStddev,
  kStdvar,
  kBottomK,
  kTopK,
  kApproxTopK,
  kBytesOverTime,
  kBytesRate,
  kBool,
  kJson,
  kRegexp,
  kLogfmt,
  kPipe,
  kLineFmt,
  kLabelFmt,
  kUnwrap,
  kAvgOverTime,
  kSumOverTime,
  kMinOverTime,
  kMaxOverTime,
  kStdvarOverTime,
  kStddevOverTime,
  kQuantileOverTime,
  kBytesConv,
  kDurationConv,
  kDurationSecondsConv,
  kFirstOverTime,
  kLastOverTime,
  kAbsentOverTime,
  kVector,
  kLabelReplace,
  kUnpack,
  kOffset,
  kPattern,
  kIp,
  kOn,
  kIgnoring,
  kGroupLeft,
  kGroupRight,
  kDecolorize,
  kDrop,
  kKeep,
  kVariants,
  kOf,
  kOr,
  kAnd,
  kUnless,
  kCmpEq,
  kNeq,
  kLt,
  kLte,
  kGt,
  kGte,
  kAdd,
  kSub,
  kMul,
  kDiv,
  kMod,
  kPow,
};
std::string_view token_name(Token token);  // as error messages show it: "STRING", "|=", "$end"

// One-line form of a parse error; line 0 and col 0 both: no position.
base::Status parse_error(std::string_view message, int line = 0, int column = 0);

class Lexer {
 public:
  explicit Lexer(std::string_view query) : text_(query) { load(); }

  // The next token; kEnd after the text or after an error. Its value is in the fields below.
  Token next();

  std::string text;           // kIdentifier, kString, kNumber
  std::int64_t duration = 0;  // kDuration, kRange; nanoseconds
  std::uint64_t bytes = 0;    // kBytes
  // Where the last token began, as Loki's messages count: line is 0 after tokens that its lexer
  // reads past the scanner (two-character operators, durations, ranges).
  int line = 0, column = 0;
  const std::optional<base::Status>& error() const { return error_; }  // the first

 private:
  struct Cursor {
    std::size_t offset = 0;  // of the character ahead
    int line = 1, column = 0;
    bool last_was_character = false;
  };
  static constexpr std::int32_t kEof = -1;

  void load();          // decodes the character at the cursor
  void advance();       // the scanner's next()
  std::int32_t take();  // Scanner.Next(): forgets the token's position
  void report(std::string_view message);
  Token scan();  // one raw token, without Loki's rules on top
  // `at_once`: nothing was skipped before it.
  Token scan_number(bool seen_dot, bool at_once);
  int scan_digits(int base, std::int32_t& invalid);
  void scan_string(std::int32_t quote, int* count);
  void scan_escape(std::int32_t quote);
  void scan_raw_string();
  bool skip_comment();
  std::optional<Token> number_with_unit(std::string_view number);
  std::optional<std::string> flag();
  Token range();
  Token word();
  bool is_function_at(std::size_t offset) const;
  void consume(std::size_t end_offset);

  enum class Raw : std::uint8_t { kEof, kIdent, kNumber, kString, kRawString, kChar, kOther };

  std::string_view text_;
  Cursor cursor_;
  std::int32_t ch_ = kEof;  // the character ahead
  int ch_width_ = 0;
  std::string_view token_text_;
  Raw raw_ = Raw::kEof;
  std::optional<base::Status> error_;
};

}  // namespace skald::query::logql
