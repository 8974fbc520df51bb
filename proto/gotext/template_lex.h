#pragma once
// Tokens of a template. Internal to the room.

#include <cstdint>
#include <string>
#include <string_view>

namespace skald::gotext {

enum class Tok : std::uint8_t {
  kError,
  kBool,
  kChar,
  kCharConstant,
  kComplex,
  kAssign,
  kDeclare,
  kEof,
  kField,
  kIdentifier,
  kLeftDelim,
  kLeftParen,
  kNumber,
  kPipe,
  kRawString,
  kRightDelim,
  kRightParen,
  kSpace,
  kString,
  kText,
  kVariable,
  kKeyword,  // separates the keywords
  kBlock,
  kBreak,
  kContinue,
  kDot,
  kDefine,
  kElse,
  kEnd,
  kIf,
  kNil,
  kRange,
  kTemplate,
  kWith,
};

struct Token {
  Tok type = Tok::kEof;
  std::uint32_t pos = 0;
  std::string_view text;  // borrows from the input
  std::string error;      // kError: the message
  int line = 1;
  std::string describe() const;  // for `unexpected %s in ...`
};

// Pull lexer over the input, which outlives it.
class Lexer {
 public:
  struct Options {
    bool break_ok = true, continue_ok = true;  // false where a function has that name
  };
  Lexer(std::string_view input, Options options) : input_(input), options_(options) {}
  Token next();

 private:
  static constexpr char32_t kEnd = 0xFFFFFFFF;
  char32_t take();
  char32_t peek() const;
  bool accept(std::string_view set);
  void accept_run(std::string_view set);
  bool at_right_delim(bool& trim) const;
  bool at_terminator() const;
  void ignore();
  Token emit(Tok type);
  Token fail(std::string message);

  bool lex_text(Token& out);  // false: nothing to emit, go on
  bool lex_left_delim(Token& out);
  bool lex_comment(Token& out);
  Token lex_right_delim();
  Token lex_inside();
  Token lex_space();
  Token lex_identifier();
  Token lex_field_or_variable(Tok type);
  Token lex_quoted(char quote, Tok type, const char* error);
  Token lex_raw();
  Token lex_number();
  bool scan_number();

  std::string_view input_;
  Options options_;
  std::size_t pos_ = 0;
  std::size_t start_ = 0;
  int line_ = 1;
  int start_line_ = 1;
  int paren_depth_ = 0;
  bool inside_ = false;
  bool failed_ = false;
};

}  // namespace skald::gotext
