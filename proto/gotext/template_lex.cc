#include "proto/gotext/template_lex.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "proto/base/utf8.h"
#include "proto/gotext/quote.h"
#include "proto/gotext/unicode.h"

namespace skald::gotext {
namespace {

constexpr std::string_view kLeft = "{{", kRight = "}}";
constexpr std::string_view kSpaces = " \t\r\n";
constexpr std::size_t kTrimMarkerSize = 2;  // '-' and the space beside it

bool is_blank(char32_t r) { return r == ' ' || r == '\t' || r == '\r' || r == '\n'; }
bool is_word(char32_t r) { return r == '_' || is_letter(r) || is_digit_rune(r); }

bool has_left_trim(std::string_view text) {
  return text.size() >= 2 && text[0] == '-' && is_blank(static_cast<unsigned char>(text[1]));
}
bool has_right_trim(std::string_view text) {
  return text.size() >= 2 && is_blank(static_cast<unsigned char>(text[0])) && text[1] == '-';
}

constexpr std::array<std::pair<std::string_view, Tok>, 12> kKeywords = {{
    {".", Tok::kDot},
    {"block", Tok::kBlock},
    {"break", Tok::kBreak},
    {"continue", Tok::kContinue},
    {"define", Tok::kDefine},
    {"else", Tok::kElse},
    {"end", Tok::kEnd},
    {"if", Tok::kIf},
    {"range", Tok::kRange},
    {"nil", Tok::kNil},
    {"template", Tok::kTemplate},
    {"with", Tok::kWith},
}};

// Go's %#U: U+0041 'A'
std::string unicode_name(char32_t r) {
  if (r == 0xFFFFFFFF) return "U+FFFFFFFFFFFFFFFF";  // the end of input is rune -1
  char buffer[16];
  std::snprintf(buffer, sizeof buffer, "U+%04X", static_cast<unsigned>(r));
  std::string out = buffer;
  if (is_print(r)) {
    out += " '";
    base::append_rune(out, r);
    out += '\'';
  }
  return out;
}

}  // namespace

std::string Token::describe() const {
  if (type == Tok::kEof) return "EOF";
  if (type == Tok::kError) return error;
  if (type > Tok::kKeyword) return "<" + std::string(text) + ">";
  if (text.size() > 10) {  // %.10q...: ten runes
    std::size_t at = 0;
    for (int i = 0; i < 10 && at < text.size(); ++i) at += base::decode_rune(text.substr(at)).width;
    return quote(text.substr(0, at)) + "...";
  }
  return quote(text);
}

char32_t Lexer::take() {
  if (pos_ >= input_.size()) return kEnd;
  const base::Rune rune = base::decode_rune(input_.substr(pos_));
  pos_ += rune.width;
  if (rune.value == '\n') ++line_;
  return rune.value;
}

char32_t Lexer::peek() const {
  return pos_ >= input_.size() ? kEnd : base::decode_rune(input_.substr(pos_)).value;
}

bool Lexer::accept(std::string_view set) {
  const char32_t r = peek();
  if (r >= 0x80 || set.find(static_cast<char>(r)) == std::string_view::npos) return false;
  take();
  return true;
}

void Lexer::accept_run(std::string_view set) {
  while (accept(set)) {
  }
}

Token Lexer::emit(Tok type) {
  Token token;
  token.type = type;
  token.pos = static_cast<std::uint32_t>(start_);
  token.text = input_.substr(start_, pos_ - start_);
  token.line = start_line_;
  start_ = pos_;
  start_line_ = line_;
  return token;
}

void Lexer::ignore() {
  line_ += static_cast<int>(std::count(input_.begin() + static_cast<std::ptrdiff_t>(start_),
                                       input_.begin() + static_cast<std::ptrdiff_t>(pos_), '\n'));
  start_ = pos_;
  start_line_ = line_;
}

Token Lexer::fail(std::string message) {
  Token token;
  token.type = Tok::kError;
  token.pos = static_cast<std::uint32_t>(start_);
  token.error = std::move(message);
  token.line = start_line_;
  failed_ = true;
  return token;
}

Token Lexer::next() {
  if (failed_) {
    Token token;
    token.line = start_line_;
    return token;
  }
  if (inside_) return lex_inside();
  Token token;
  while (!lex_text(token)) {
  }
  return token;
}

bool Lexer::lex_text(Token& out) {
  const auto found = input_.find(kLeft, pos_);
  if (found == std::string_view::npos) {
    pos_ = input_.size();
    if (pos_ > start_) {
      line_ += static_cast<int>(
          std::count(input_.begin() + static_cast<std::ptrdiff_t>(start_), input_.end(), '\n'));
      out = emit(Tok::kText);
    } else {
      out = emit(Tok::kEof);
    }
    return true;
  }
  if (found > pos_) {
    std::string_view text = input_.substr(start_, found - start_);
    if (has_left_trim(input_.substr(found + kLeft.size()))) {
      const auto last = text.find_last_not_of(kSpaces);
      text = text.substr(0, last == std::string_view::npos ? 0 : last + 1);
    }
    pos_ = start_ + text.size();
    line_ += static_cast<int>(std::count(text.begin(), text.end(), '\n'));
    Token token = emit(Tok::kText);
    pos_ = found;
    ignore();
    if (!token.text.empty()) {
      out = std::move(token);
      return true;
    }
  }
  return lex_left_delim(out);
}

bool Lexer::lex_left_delim(Token& out) {
  pos_ += kLeft.size();
  const std::size_t after = has_left_trim(input_.substr(pos_)) ? kTrimMarkerSize : 0;
  if (input_.substr(pos_ + after).starts_with("/*")) {
    pos_ += after;
    ignore();
    return lex_comment(out);
  }
  out = emit(Tok::kLeftDelim);
  inside_ = true;
  pos_ += after;
  ignore();
  paren_depth_ = 0;
  return true;
}

bool Lexer::lex_comment(Token& out) {
  pos_ += 2;
  const auto close = input_.find("*/", pos_);
  if (close == std::string_view::npos) {
    out = fail("unclosed comment");
    return true;
  }
  pos_ = close + 2;
  bool trim = false;
  if (!at_right_delim(trim)) {
    out = fail("comment ends before closing delimiter");
    return true;
  }
  if (trim) pos_ += kTrimMarkerSize;
  pos_ += kRight.size();
  if (trim) pos_ = std::min(input_.find_first_not_of(kSpaces, pos_), input_.size());
  ignore();
  return false;
}

bool Lexer::at_right_delim(bool& trim) const {
  const std::string_view rest = input_.substr(pos_);
  trim = has_right_trim(rest) && rest.substr(kTrimMarkerSize).starts_with(kRight);
  return trim || rest.starts_with(kRight);
}

Token Lexer::lex_right_delim() {
  bool trim = false;
  at_right_delim(trim);
  if (trim) {
    pos_ += kTrimMarkerSize;
    ignore();
  }
  pos_ += kRight.size();
  Token token = emit(Tok::kRightDelim);
  if (trim) {
    pos_ = std::min(input_.find_first_not_of(kSpaces, pos_), input_.size());
    ignore();
  }
  inside_ = false;
  return token;
}

Token Lexer::lex_inside() {
  bool trim = false;
  if (at_right_delim(trim))
    return paren_depth_ == 0 ? lex_right_delim() : fail("unclosed left paren");
  const char32_t r = peek();
  if (r == kEnd) return fail("unclosed action");
  if (is_blank(r)) return lex_space();
  if (r == '+' || r == '-' || (r >= '0' && r <= '9')) return lex_number();
  if (r == '.') {
    const char after = pos_ + 1 < input_.size() ? input_[pos_ + 1] : '0';
    if (pos_ + 1 < input_.size() && (after < '0' || after > '9')) {
      take();
      return lex_field_or_variable(Tok::kField);
    }
    return lex_number();
  }
  if (is_word(r)) return lex_identifier();
  take();
  switch (r) {
    case '=': return emit(Tok::kAssign);
    case ':':
      if (take() != '=') return fail("expected :=");
      return emit(Tok::kDeclare);
    case '|': return emit(Tok::kPipe);
    case '"': return lex_quoted('"', Tok::kString, "unterminated quoted string");
    case '\'': return lex_quoted('\'', Tok::kCharConstant, "unterminated character constant");
    case '`': return lex_raw();
    case '$':
      if (at_terminator()) return emit(Tok::kVariable);
      return lex_field_or_variable(Tok::kVariable);
    case '(': ++paren_depth_; return emit(Tok::kLeftParen);
    case ')':
      if (--paren_depth_ < 0) return fail("unexpected right paren");
      return emit(Tok::kRightParen);
    default:
      if (r < 0x80 && is_print(r)) return emit(Tok::kChar);
      return fail("unrecognized character in action: " + unicode_name(r));
  }
}

Token Lexer::lex_space() {
  int count = 0;
  while (is_blank(peek())) {
    take();
    ++count;
  }
  // A closing delimiter with a trim marker starts with the last of these spaces.
  const std::string_view rest = input_.substr(pos_ - 1);
  if (has_right_trim(rest) && rest.substr(kTrimMarkerSize).starts_with(kRight)) {
    --pos_;
    if (input_[pos_] == '\n') --line_;
    if (count == 1) return lex_right_delim();
  }
  return emit(Tok::kSpace);
}

bool Lexer::at_terminator() const {
  const char32_t r = peek();
  if (is_blank(r)) return true;
  switch (r) {
    case kEnd:
    case '.':
    case ',':
    case '|':
    case ':':
    case ')':
    case '(': return true;
    default: return input_.substr(pos_).starts_with(kRight);
  }
}

Token Lexer::lex_identifier() {
  while (is_word(peek())) take();
  if (!at_terminator()) return fail("bad character " + unicode_name(peek()));
  const std::string_view word = input_.substr(start_, pos_ - start_);
  for (const auto& [name, type] : kKeywords) {
    if (name != word) continue;
    const bool shadowed = (type == Tok::kBreak && !options_.break_ok) ||
                          (type == Tok::kContinue && !options_.continue_ok);
    return emit(shadowed ? Tok::kIdentifier : type);
  }
  return emit(word == "true" || word == "false" ? Tok::kBool : Tok::kIdentifier);
}

Token Lexer::lex_field_or_variable(Tok type) {
  if (at_terminator()) return emit(type == Tok::kVariable ? Tok::kVariable : Tok::kDot);
  while (is_word(peek())) take();
  if (!at_terminator()) return fail("bad character " + unicode_name(peek()));
  return emit(type);
}

Token Lexer::lex_quoted(char delimiter, Tok type, const char* error) {
  while (true) {
    char32_t r = take();
    if (r == '\\') {
      r = take();
      if (r != kEnd && r != '\n') continue;
    }
    if (r == kEnd || r == '\n') return fail(error);
    if (r == static_cast<unsigned char>(delimiter)) return emit(type);
  }
}

Token Lexer::lex_raw() {
  while (true) {
    const char32_t r = take();
    if (r == kEnd) return fail("unterminated raw quoted string");
    if (r == '`') return emit(Tok::kRawString);
  }
}

Token Lexer::lex_number() {
  const auto bad = [&] {
    return fail("bad number syntax: " + quote(input_.substr(start_, pos_ - start_)));
  };
  if (!scan_number()) return bad();
  if (const char32_t sign = peek(); sign == '+' || sign == '-') {
    if (!scan_number() || input_[pos_ - 1] != 'i') return bad();
    return emit(Tok::kComplex);
  }
  return emit(Tok::kNumber);
}

bool Lexer::scan_number() {
  accept("+-");
  std::string_view digits = "0123456789_";
  bool decimal = true, hex = false;
  if (accept("0")) {
    if (accept("xX")) {
      digits = "0123456789abcdefABCDEF_";
      decimal = false;
      hex = true;
    } else if (accept("oO")) {
      digits = "01234567_";
      decimal = false;
    } else if (accept("bB")) {
      digits = "01_";
      decimal = false;
    }
  }
  accept_run(digits);
  if (accept(".")) accept_run(digits);
  if ((decimal && accept("eE")) || (hex && accept("pP"))) {
    accept("+-");
    accept_run("0123456789_");
  }
  accept("i");
  if (is_word(peek())) {
    take();
    return false;
  }
  return true;
}

}  // namespace skald::gotext
