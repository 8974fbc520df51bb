#include "query/logql/lexer.h"

#include <array>
#include <unordered_map>

#include "proto/base/utf8.h"
#include "proto/gotext/duration.h"
#include "proto/gotext/unicode.h"
#include "proto/model/labels.h"

namespace skald::query::logql {
namespace {

struct Name {
  std::string_view text;
  Token token;
};

// Loki shows these by their text, all others by their name in the grammar.
constexpr Name kWords[] = {
    {",", Token::kComma},
    {".", Token::kDot},
    {"{", Token::kOpenBrace},
    {"}", Token::kCloseBrace},
    {"=", Token::kEq},
    {"!=", Token::kNeq},
    {"=~", Token::kRe},
    {"!~", Token::kNre},
    {"!>", Token::kNpa},
    {"|=", Token::kPipeExact},
    {"|~", Token::kPipeMatch},
    {"|>", Token::kPipePattern},
    {"|", Token::kPipe},
    {"unwrap", Token::kUnwrap},
    {"(", Token::kOpenParen},
    {")", Token::kCloseParen},
    {"by", Token::kBy},
    {"without", Token::kWithout},
    {"bool", Token::kBool},
    {"[", Token::kOpenBracket},
    {"]", Token::kCloseBracket},
    {"label_replace", Token::kLabelReplace},
    {"offset", Token::kOffset},
    {"on", Token::kOn},
    {"ignoring", Token::kIgnoring},
    {"group_left", Token::kGroupLeft},
    {"group_right", Token::kGroupRight},
    {"or", Token::kOr},
    {"and", Token::kAnd},
    {"unless", Token::kUnless},
    {"+", Token::kAdd},
    {"-", Token::kSub},
    {"*", Token::kMul},
    {"/", Token::kDiv},
    {"%", Token::kMod},
    {"^", Token::kPow},
    {"==", Token::kCmpEq},
    {">", Token::kGt},
    {">=", Token::kGte},
    {"<", Token::kLt},
    {"<=", Token::kLte},
    {"json", Token::kJson},
    {"regexp", Token::kRegexp},
    {"logfmt", Token::kLogfmt},
    {"unpack", Token::kUnpack},
    {"pattern", Token::kPattern},
    {"label_format", Token::kLabelFmt},
    {"line_format", Token::kLineFmt},
    {"ip", Token::kIp},
    {"decolorize", Token::kDecolorize},
    {"drop", Token::kDrop},
    {"keep", Token::kKeep},
    {"variants", Token::kVariants},
    {"of", Token::kOf},
};

constexpr Name kFunctions[] = {
    {"rate", Token::kRate},
    {"rate_counter", Token::kRateCounter},
    {"count_over_time", Token::kCountOverTime},
    {"bytes_rate", Token::kBytesRate},
    {"bytes_over_time", Token::kBytesOverTime},
    {"avg_over_time", Token::kAvgOverTime},
    {"sum_over_time", Token::kSumOverTime},
    {"min_over_time", Token::kMinOverTime},
    {"max_over_time", Token::kMaxOverTime},
    {"stdvar_over_time", Token::kStdvarOverTime},
    {"stddev_over_time", Token::kStddevOverTime},
    {"quantile_over_time", Token::kQuantileOverTime},
    {"first_over_time", Token::kFirstOverTime},
    {"last_over_time", Token::kLastOverTime},
    {"absent_over_time", Token::kAbsentOverTime},
    {"vector", Token::kVector},
    {"sum", Token::kSum},
    {"avg", Token::kAvg},
    {"max", Token::kMax},
    {"min", Token::kMin},
    {"count", Token::kCount},
    {"stddev", Token::kStddev},
    {"stdvar", Token::kStdvar},
    {"bottomk", Token::kBottomK},
    {"topk", Token::kTopK},
    {"sort", Token::kSort},
    {"sort_desc", Token::kSortDesc},
    {"label_replace", Token::kLabelReplace},
    {"approx_topk", Token::kApproxTopK},
    {"bytes", Token::kBytesConv},
    {"duration", Token::kDurationConv},
    {"duration_seconds", Token::kDurationSecondsConv},
    {"ip", Token::kIp},
};

constexpr Name kGrammarNames[] = {
    {"$end", Token::kEnd},
    {"BYTES", Token::kBytes},
    {"IDENTIFIER", Token::kIdentifier},
    {"STRING", Token::kString},
    {"NUMBER", Token::kNumber},
    {"FUNCTION_FLAG", Token::kFlag},
    {"DURATION", Token::kDuration},
    {"RANGE", Token::kRange},
    {"RATE", Token::kRate},
    {"RATE_COUNTER", Token::kRateCounter},
    {"COUNT_OVER_TIME", Token::kCountOverTime},
    {"BYTES_RATE", Token::kBytesRate},
    {"BYTES_OVER_TIME", Token::kBytesOverTime},
    {"AVG_OVER_TIME", Token::kAvgOverTime},
    {"SUM_OVER_TIME", Token::kSumOverTime},
    {"MIN_OVER_TIME", Token::kMinOverTime},
    {"MAX_OVER_TIME", Token::kMaxOverTime},
    {"STDVAR_OVER_TIME", Token::kStdvarOverTime},
    {"STDDEV_OVER_TIME", Token::kStddevOverTime},
    {"QUANTILE_OVER_TIME", Token::kQuantileOverTime},
    {"FIRST_OVER_TIME", Token::kFirstOverTime},
    {"LAST_OVER_TIME", Token::kLastOverTime},
    {"ABSENT_OVER_TIME", Token::kAbsentOverTime},
    {"VECTOR", Token::kVector},
    {"SUM", Token::kSum},
    {"AVG", Token::kAvg},
    {"MAX", Token::kMax},
    {"MIN", Token::kMin},
    {"COUNT", Token::kCount},
    {"STDDEV", Token::kStddev},
    {"STDVAR", Token::kStdvar},
    {"BOTTOMK", Token::kBottomK},
    {"TOPK", Token::kTopK},
    {"SORT", Token::kSort},
    {"SORT_DESC", Token::kSortDesc},
    {"APPROX_TOPK", Token::kApproxTopK},
    {"BYTES_CONV", Token::kBytesConv},
    {"DURATION_CONV", Token::kDurationConv},
    {"DURATION_SECONDS_CONV", Token::kDurationSecondsConv},
};

using Table = std::unordered_map<std::string_view, Token>;
template <std::size_t N>
Table make_table(const Name (&names)[N]) {
  Table table;
  for (const Name& name : names) table.emplace(name.text, name.token);
  return table;
}
const Table& words() {
  static const Table table = make_table(kWords);
  return table;
}
const Table& functions() {
  static const Table table = make_table(kFunctions);
  return table;
}

bool is_decimal(std::int32_t ch) { return ch >= '0' && ch <= '9'; }
std::int32_t lower(std::int32_t ch) { return ('a' - 'A') | ch; }
bool is_hex(std::int32_t ch) { return is_decimal(ch) || (lower(ch) >= 'a' && lower(ch) <= 'f'); }
bool is_letter(std::int32_t ch) { return ch > 0 && gotext::is_letter(static_cast<char32_t>(ch)); }
bool is_digit(std::int32_t ch) {
  return ch > 0 && gotext::is_digit_rune(static_cast<char32_t>(ch));
}
bool is_space(std::int32_t ch) {
  return ch == ' ' || (ch >= '\t' && ch <= '\r') || ch == 0x85 || ch == 0xA0 || ch == 0x1680 ||
         (ch >= 0x2000 && ch <= 0x200A) || ch == 0x2028 || ch == 0x2029 || ch == 0x202F ||
         ch == 0x205F || ch == 0x3000;
}
bool is_scanner_space(std::int32_t ch) {
  return ch == ' ' || ch == '\t' || ch == '\n' || ch == '\r';
}
std::string to_lower_ascii(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  return out;
}

// The first '_' that does not separate two digits, or npos.
std::size_t bad_separator(std::string_view x) {
  char prefix = ' ', d = '.';
  std::size_t i = 0;
  if (x.size() >= 2 && x[0] == '0') {
    prefix = static_cast<char>(lower(x[1]));
    if (prefix == 'x' || prefix == 'o' || prefix == 'b') d = '0', i = 2;
  }
  for (; i < x.size(); ++i) {
    const char before = d;
    d = x[i];
    if (d == '_') {
      if (before != '0') return i;
    } else if (is_decimal(d) || (prefix == 'x' && is_hex(d))) {
      d = '0';
    } else {
      if (before == '_') return i - 1;
      d = '.';
    }
  }
  return d == '_' ? x.size() - 1 : std::string_view::npos;
}

}  // namespace

std::string_view token_name(Token token) {
  static const auto names = [] {
    std::array<std::string_view, 256> out{};
    for (const Name& name : kGrammarNames) out[static_cast<std::size_t>(name.token)] = name.text;
    for (const Name& name : kWords) out[static_cast<std::size_t>(name.token)] = name.text;
    return out;
  }();
  return names[static_cast<std::size_t>(token)];
}

base::Status parse_error(std::string_view message, int line, int column) {
  if (line == 0 && column == 0)
    return base::invalid_argument("parse error : " + std::string(message));
  return base::invalid_argument("parse error at line " + std::to_string(line) + ", col " +
                                std::to_string(column) + ": " + std::string(message));
}

void Lexer::report(std::string_view message) {
  if (!error_) error_ = parse_error(message, line, column);
}

void Lexer::load() {
  cursor_ = Cursor{};
  // As the first character a byte order mark is ignored, but counted.
  if (text_.starts_with("\xEF\xBB\xBF")) {
    text_.remove_prefix(3);
    ++cursor_.column;
  }
  ch_width_ = 0;
  advance();
}

void Lexer::advance() {
  cursor_.offset += static_cast<std::size_t>(ch_width_);
  if (ch_ == '\n' && ch_width_ > 0) {
    ++cursor_.line;
    cursor_.column = 0;
  }
  if (cursor_.offset >= text_.size()) {
    if (ch_ != kEof || cursor_.column == 0) ++cursor_.column;
    ch_ = kEof;
    ch_width_ = 0;
    return;
  }
  ++cursor_.column;
  const auto byte = static_cast<unsigned char>(text_[cursor_.offset]);
  if (byte < 0x80) {
    ch_ = byte;
    ch_width_ = 1;
    if (byte == 0) report("invalid character NUL");
    return;
  }
  const base::Rune rune = base::decode_rune(text_.substr(cursor_.offset));
  ch_ = static_cast<std::int32_t>(rune.value);
  ch_width_ = rune.width;
  if (!rune.valid) report("invalid UTF-8 encoding");
}

std::int32_t Lexer::take() {
  line = 0;
  const std::int32_t ch = ch_;
  if (ch != kEof) advance();
  return ch;
}

void Lexer::consume(std::size_t end_offset) {
  while (cursor_.offset < end_offset) take();
}

int Lexer::scan_digits(int base, std::int32_t& invalid) {
  int seen = 0;  // bit 0: digits, bit 1: separators
  while (base <= 10 ? is_decimal(ch_) || ch_ == '_' : is_hex(ch_) || ch_ == '_') {
    if (ch_ == '_') {
      seen |= 2;
    } else {
      seen |= 1;
      if (base < 10 && ch_ >= '0' + base && invalid == 0) invalid = ch_;
    }
    advance();
  }
  return seen;
}

Token Lexer::scan_number(bool seen_dot, bool at_once) {
  const std::size_t begin = seen_dot ? cursor_.offset - 1 : cursor_.offset;
  int base = 10, seen = 0;
  char prefix = 0;
  bool is_float = false;
  std::int32_t invalid = 0;
  const auto literal = [&]() -> std::string {
    if (prefix == 'x') return "hexadecimal literal";
    if (prefix == 'o' || prefix == '0') return "octal literal";
    return prefix == 'b' ? "binary literal" : "decimal literal";
  };
  if (!seen_dot) {
    if (ch_ == '0') {
      advance();
      if (lower(ch_) == 'x') {
        advance(), base = 16, prefix = 'x';
      } else if (lower(ch_) == 'o') {
        advance(), base = 8, prefix = 'o';
      } else if (lower(ch_) == 'b') {
        // Loki means to leave 0B to sizes, but asks the character that the scanner began at: after
        // a space or a comment that is none of a number.
        if (at_once) advance(), base = 2, prefix = 'b';
      } else {
        base = 8, prefix = '0', seen = 1;
      }
    }
    seen |= scan_digits(base, invalid);
    if (ch_ == '.') advance(), seen_dot = true;
  }
  if (seen_dot) {
    is_float = true;
    if (prefix == 'o' || prefix == 'b') report("invalid radix point in " + literal());
    seen |= scan_digits(base, invalid);
  }
  if ((seen & 1) == 0) report(literal() + " has no digits");
  const std::int32_t e = lower(ch_);
  if (e == 'e' || e == 'p') {
    if (e == 'e' && prefix != 0 && prefix != '0')
      report("'" + std::string(1, static_cast<char>(ch_)) + "' exponent requires decimal mantissa");
    else if (e == 'p' && prefix != 'x')
      report("'" + std::string(1, static_cast<char>(ch_)) +
             "' exponent requires hexadecimal mantissa");
    advance();
    is_float = true;
    if (ch_ == '+' || ch_ == '-') advance();
    std::int32_t ignored = 0;
    const int digits = scan_digits(10, ignored);
    seen |= digits;
    if ((digits & 1) == 0) report("exponent has no digits");
  } else if (prefix == 'x' && is_float) {
    report("hexadecimal mantissa requires a 'p' exponent");
  }
  if (!is_float && invalid != 0)
    report("invalid digit '" + std::string(1, static_cast<char>(invalid)) + "' in " + literal());
  if ((seen & 2) != 0 &&
      bad_separator(text_.substr(begin, cursor_.offset - begin)) != std::string_view::npos)
    report("'_' must separate successive digits");
  raw_ = Raw::kNumber;
  return Token::kNumber;
}

void Lexer::scan_escape(std::int32_t quote) {
  advance();  // the backslash
  const auto digits = [&](int base, int count) {
    while (count > 0 && (base == 8 ? ch_ >= '0' && ch_ <= '7' : is_hex(ch_))) advance(), --count;
    if (count > 0) report("invalid char escape");
  };
  switch (ch_) {
    case 'a':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
    case 'v':
    case '\\': advance(); return;
    case 'x': advance(); return digits(16, 2);
    case 'u': advance(); return digits(16, 4);
    case 'U': advance(); return digits(16, 8);
    default:
      if (ch_ == quote) return advance();
      if (ch_ >= '0' && ch_ <= '7') return digits(8, 3);
      report("invalid char escape");
  }
}

void Lexer::scan_string(std::int32_t quote, int* count) {
  advance();
  while (ch_ != quote) {
    if (ch_ == '\n' || ch_ == kEof) return report("literal not terminated");
    if (ch_ == '\\')
      scan_escape(quote);
    else
      advance();
    ++*count;
  }
}

void Lexer::scan_raw_string() {
  advance();
  while (ch_ != '`') {
    if (ch_ == kEof) return report("literal not terminated");
    advance();
  }
}

// At the character after '/'. False if no comment begins here.
bool Lexer::skip_comment() {
  if (ch_ == '/') {
    while (ch_ != '\n' && ch_ != kEof) advance();
    return true;
  }
  if (ch_ != '*') return false;
  advance();
  for (std::int32_t before = 0;;) {
    if (ch_ == kEof) return report("comment not terminated"), true;
    before = ch_;
    advance();
    if (before == '*' && ch_ == '/') return advance(), true;
  }
}

Token Lexer::scan() {
  const std::size_t entry = cursor_.offset;
  for (;;) {
    line = 0;
    while (is_scanner_space(ch_)) advance();
    const std::size_t begin = cursor_.offset;
    line = cursor_.line;
    column = cursor_.column;
    raw_ = Raw::kOther;
    if (ch_ == '_' || is_letter(ch_)) {
      raw_ = Raw::kIdent;
      do advance();
      while (ch_ == '_' || is_letter(ch_) || is_digit(ch_));
    } else if (is_decimal(ch_)) {
      scan_number(false, begin == entry);
    } else if (ch_ == kEof) {
      raw_ = Raw::kEof;
    } else if (ch_ == '"') {
      int count = 0;
      raw_ = Raw::kString;
      scan_string('"', &count);
      advance();
    } else if (ch_ == '\'') {
      int count = 0;
      raw_ = Raw::kChar;
      scan_string('\'', &count);
      if (count != 1) report("invalid char literal");
      advance();
    } else if (ch_ == '`') {
      raw_ = Raw::kRawString;
      scan_raw_string();
      advance();
    } else if (ch_ == '.') {
      advance();
      if (is_decimal(ch_)) scan_number(true, false);
    } else if (ch_ == '/') {
      advance();
      if (skip_comment()) continue;
    } else {
      advance();
    }
    token_text_ = text_.substr(begin, cursor_.offset - begin);
    return Token::kEnd;
  }
}

std::optional<Token> Lexer::number_with_unit(std::string_view number) {
  const auto reach = [&](auto&& accepts) {
    std::size_t end = cursor_.offset;
    while (end < text_.size()) {
      const base::Rune rune = base::decode_rune(text_.substr(end));
      const auto r = static_cast<std::int32_t>(rune.value);
      if (!is_decimal(r) && r != '.' && !accepts(r)) break;
      end += rune.width;
    }
    return end;
  };
  const std::size_t begin = static_cast<std::size_t>(number.data() - text_.data());
  const std::size_t duration_end = reach([](std::int32_t r) {
    return r == 'n' || r == 'u' || r == 0xB5 || r == 'm' || r == 's' || r == 'h' || r == 'd' ||
           r == 'w' || r == 'y';
  });
  if (duration_end > cursor_.offset) {
    const auto parsed = gotext::parse_logql_duration(text_.substr(begin, duration_end - begin));
    if (parsed.ok()) {
      duration = *parsed;
      consume(duration_end);
      return Token::kDuration;
    }
  }
  if (number == "-") return std::nullopt;
  const std::size_t bytes_end = reach([](std::int32_t r) {
    return r == 'B' || r == 'i' || r == 'k' || r == 'K' || r == 'M' || r == 'G' || r == 'T' ||
           r == 'P';
  });
  if (bytes_end > cursor_.offset) {
    const auto parsed = gotext::parse_bytes(text_.substr(begin, bytes_end - begin));
    if (parsed.ok()) {
      bytes = *parsed;
      consume(bytes_end);
      return Token::kBytes;
    }
  }
  return std::nullopt;
}

std::optional<std::string> Lexer::flag() {
  std::size_t end = cursor_.offset;
  while (end < text_.size()) {
    const base::Rune rune = base::decode_rune(text_.substr(end));
    if (rune.value != '-' && !is_letter(static_cast<std::int32_t>(rune.value))) break;
    end += rune.width;
  }
  const std::string_view name = text_.substr(cursor_.offset - 1, end - cursor_.offset + 1);
  if (name != "--strict" && name != "--keep-empty") return std::nullopt;
  std::string out(name);
  consume(end);
  return out;
}

Token Lexer::range() {
  std::string inside;
  for (std::int32_t ch = take(); ch != kEof; ch = take()) {
    if (ch == ']') {
      const auto parsed = gotext::parse_prometheus_duration(inside);
      if (!parsed.ok()) {
        report(parsed.status().message());
        return Token::kEnd;
      }
      duration = *parsed;
      return Token::kRange;
    }
    base::append_rune(inside, static_cast<char32_t>(ch));
  }
  report("missing closing ']' in duration");
  return Token::kEnd;
}

// Whether `(`, or `by (` or `without (`, comes next.
bool Lexer::is_function_at(std::size_t offset) const {
  const auto trim = [&] {
    while (offset < text_.size()) {
      const base::Rune rune = base::decode_rune(text_.substr(offset));
      if (!is_space(static_cast<std::int32_t>(rune.value))) return;
      offset += rune.width;
    }
  };
  trim();
  if (offset < text_.size() && text_[offset] == '(') return true;
  const std::string ahead = to_lower_ascii(text_.substr(offset, 7));
  if (ahead.starts_with("by"))
    offset += 2;
  else if (ahead == "without")
    offset += 7;
  else
    return false;
  trim();
  return offset < text_.size() && text_[offset] == '(';
}

Token Lexer::word() {
  const std::string name = to_lower_ascii(token_text_);
  if (const auto found = functions().find(name); found != functions().end()) {
    if (is_function_at(cursor_.offset)) return found->second;
    text = token_text_;
    return Token::kIdentifier;
  }
  if (raw_ == Raw::kOther && ch_ > 0 && ch_ < 0x80) {
    const std::string two = name + static_cast<char>(ch_);
    if (const auto found = words().find(two); found != words().end()) {
      take();
      return found->second;
    }
  }
  if (const auto found = words().find(name); found != words().end()) return found->second;
  text = token_text_;
  return Token::kIdentifier;
}

Token Lexer::next() {
  for (;;) {
    scan();
    if (raw_ == Raw::kEof) return Token::kEnd;
    if (raw_ == Raw::kOther && token_text_ == "#") {
      for (std::int32_t ch = ch_; ch != '\n' && ch != kEof;) ch = take();
      continue;
    }
    break;
  }
  if (raw_ == Raw::kNumber) {
    if (const auto token = number_with_unit(token_text_)) return *token;
    text = token_text_;
    return Token::kNumber;
  }
  if (raw_ == Raw::kString || raw_ == Raw::kRawString) {
    if (!base::is_valid_utf8(token_text_)) return report("invalid UTF-8 rune"), Token::kEnd;
    if (raw_ == Raw::kRawString) {
      if (token_text_.size() < 2 || token_text_.back() != '`')
        return report("invalid syntax"), Token::kEnd;
      text = token_text_.substr(1, token_text_.size() - 2);
      return Token::kString;
    }
    auto unquoted = model::go_unquote(token_text_);
    if (!unquoted.ok()) return report("invalid syntax"), Token::kEnd;
    text = std::move(*unquoted);
    return Token::kString;
  }
  if (raw_ == Raw::kOther && token_text_ == "-") {
    if (ch_ == '-') {
      if (auto name = flag()) {
        text = std::move(*name);
        return Token::kFlag;
      }
    }
    if (const auto token = number_with_unit(token_text_)) return *token;
  }
  if (raw_ == Raw::kOther && token_text_ == "[") return range();
  return word();
}

}  // namespace skald::query::logql
