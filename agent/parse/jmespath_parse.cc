// JMESPath's grammar as a top-down operator precedence parser, with the binding powers of the
// specification's reference implementation.

#include <algorithm>
#include <charconv>

#include "agent/parse/jmespath_ast.h"
#include "agent/parse/json_scan.h"
#include "agent/parse/limits.h"

namespace skald::agent {

namespace {

using Expr = JmesPath::Expr;
using Kind = Expr::Kind;
using Ptr = Expr::Ptr;

struct Token {
  enum class Type : unsigned char {
    kEnd,
    kName,
    kQuoted,
    kNumber,
    kLiteral,
    kRaw,
    kDot,
    kStar,
    kPipe,
    kOr,
    kAnd,
    kNot,
    kCompare,
    kCurrent,
    kReference,
    kComma,
    kColon,
    kOpenParen,
    kCloseParen,
    kOpenBrace,
    kCloseBrace,
    kOpenBracket,
    kCloseBracket,
    kFilter,
    kFlatten,
  };
  Type type = Type::kEnd;
  std::string text;
  long long number = 0;
  std::size_t at = 0;
};
using Type = Token::Type;

int power(Type type) {
  switch (type) {
    case Type::kPipe: return 1;
    case Type::kOr: return 2;
    case Type::kAnd: return 3;
    case Type::kCompare: return 5;
    case Type::kFlatten: return 9;
    case Type::kStar: return 20;
    case Type::kFilter: return 21;
    case Type::kDot: return 40;
    case Type::kNot: return 45;
    case Type::kOpenBrace: return 50;
    case Type::kOpenBracket: return 55;
    case Type::kOpenParen: return 60;
    default: return 0;
  }
}

Ptr make(Kind kind) {
  auto expr = std::make_unique<Expr>();
  expr->kind = kind;
  return expr;
}

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}
  base::Status run(std::vector<Token>& out) {
    for (;;) {
      while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' ||
                                    text_[at_] == '\r')) {
        ++at_;
      }
      Token token;
      token.at = at_;
      if (at_ < text_.size()) SKALD_TRY(read(token));
      const bool end = token.type == Type::kEnd;
      out.push_back(std::move(token));
      if (end) return {};
    }
  }

 private:
  base::Status fail(std::string_view what) const {
    return base::invalid_argument("column " + std::to_string(at_ + 1) + ": " + std::string(what));
  }
  bool take(std::string_view text) {
    if (!text_.substr(at_).starts_with(text)) return false;
    at_ += text.size();
    return true;
  }
  static bool is_name_start(char c) {
    return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  }
  static bool is_digit(char c) { return c >= '0' && c <= '9'; }

  base::Status read(Token& token) {
    const char c = text_[at_];
    if (is_name_start(c)) {
      const std::size_t start = at_;
      while (at_ < text_.size() && (is_name_start(text_[at_]) || is_digit(text_[at_]))) ++at_;
      token.type = Type::kName;
      token.text = text_.substr(start, at_ - start);
      return {};
    }
    if (c == '-' || is_digit(c)) {
      const char* begin = text_.data() + at_;
      auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), token.number);
      if (error != std::errc()) return fail("a number is expected");
      at_ += static_cast<std::size_t>(end - begin);
      token.type = Type::kNumber;
      return {};
    }
    if (c == '"' || c == '\'' || c == '`') return read_quoted(token, c);
    struct Symbol {
      std::string_view text;
      Type type;
    };
    static constexpr Symbol kSymbols[] = {
        {"||", Type::kOr},        {"&&", Type::kAnd},        {"[?", Type::kFilter},
        {"[]", Type::kFlatten},   {"==", Type::kCompare},    {"!=", Type::kCompare},
        {"<=", Type::kCompare},   {">=", Type::kCompare},    {"<", Type::kCompare},
        {">", Type::kCompare},    {".", Type::kDot},         {"*", Type::kStar},
        {"|", Type::kPipe},       {"!", Type::kNot},         {"@", Type::kCurrent},
        {"&", Type::kReference},  {",", Type::kComma},       {":", Type::kColon},
        {"(", Type::kOpenParen},  {")", Type::kCloseParen},  {"{", Type::kOpenBrace},
        {"}", Type::kCloseBrace}, {"[", Type::kOpenBracket}, {"]", Type::kCloseBracket}};
    for (const Symbol& symbol : kSymbols) {
      if (!take(symbol.text)) continue;
      token.type = symbol.type;
      token.text = symbol.text;
      return {};
    }
    return fail(std::string("unexpected `") + c + "`");
  }

  base::Status read_quoted(Token& token, char quote) {
    const std::size_t start = ++at_;
    while (at_ < text_.size() && text_[at_] != quote) at_ += text_[at_] == '\\' ? 2 : 1;
    if (at_ >= text_.size()) return fail("the quote does not end");
    const std::string_view body = text_.substr(start, at_ - start);
    ++at_;
    if (quote == '"') {
      if (!is_json_value("\"" + std::string(body) + "\"")) return fail("a wrong escape");
      append_unescaped(body, token.text);
      token.type = Type::kQuoted;
      return {};
    }
    // Raw strings and literals: only the quote itself can be escaped here.
    for (std::size_t i = 0; i < body.size(); ++i) {
      if (body[i] == '\\' && i + 1 < body.size() && body[i + 1] == quote) ++i;
      token.text += body[i];
    }
    token.type = quote == '`' ? Type::kLiteral : Type::kRaw;
    return {};
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

// The first error stays; every parse function returns a usable (if meaningless) tree.
class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  base::Result<Ptr> run() {
    Ptr root = expression(0);
    if (status_.ok() && peek() != Type::kEnd) fail("`" + tokens_[at_].text + "` is not expected");
    if (!status_.ok()) return status_;
    return root;
  }

 private:
  Type peek(std::size_t ahead = 0) const {
    const std::size_t i = std::min(at_ + ahead, tokens_.size() - 1);
    return tokens_[i].type;
  }
  const Token& next() {
    const Token& token = tokens_[at_];
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }
  void fail(const std::string& what) {
    if (!status_.ok()) return;
    status_ = base::invalid_argument("column " + std::to_string(tokens_[at_].at + 1) + ": " + what);
  }
  bool take(Type type) {
    if (peek() != type) return false;
    next();
    return true;
  }
  void expect(Type type, const char* what) {
    if (!take(type)) fail(std::string("`") + what + "` is expected");
  }

  Ptr expression(int binding) {
    if (++depth_ > kJmesPathDepthMax) fail("nested too deeply");
    Ptr left = status_.ok() ? prefix() : make(Kind::kCurrent);
    while (status_.ok() && binding < power(peek())) left = infix(std::move(left));
    --depth_;
    return left;
  }

  Ptr prefix() {
    const Token token = next();
    switch (token.type) {
      case Type::kName: {
        if (peek() == Type::kOpenParen) return function(token.text);
        return field(token.text);
      }
      case Type::kQuoted: return field(token.text);
      case Type::kRaw: {
        Ptr expr = make(Kind::kLiteral);
        expr->literal.type = JsonValue::Type::kString;
        expr->literal.string = token.text;
        return expr;
      }
      case Type::kLiteral: return literal(token.text);
      case Type::kCurrent: return make(Kind::kCurrent);
      case Type::kReference: {
        Ptr expr = make(Kind::kReference);
        expr->left = expression(0);
        return expr;
      }
      case Type::kNot: {
        Ptr expr = make(Kind::kNot);
        expr->left = expression(power(Type::kNot));
        return expr;
      }
      case Type::kOpenParen: {
        Ptr expr = expression(0);
        expect(Type::kCloseParen, ")");
        return expr;
      }
      case Type::kStar: return object_projection(make(Kind::kCurrent));
      case Type::kFlatten: return flatten(make(Kind::kCurrent));
      case Type::kFilter: return filter(make(Kind::kCurrent));
      case Type::kOpenBrace: return multi_hash();
      case Type::kOpenBracket:
        if (peek() == Type::kNumber || peek() == Type::kColon) {
          return index_or_slice(make(Kind::kCurrent));
        }
        if (peek() == Type::kStar && peek(1) == Type::kCloseBracket) {
          next();
          next();
          return list_projection(make(Kind::kCurrent));
        }
        return multi_list();
      default: break;
    }
    fail(token.type == Type::kEnd ? "the expression ends too early"
                                  : "`" + token.text + "` is not expected here");
    return make(Kind::kCurrent);
  }

  Ptr infix(Ptr left) {
    const Token token = next();
    switch (token.type) {
      case Type::kDot:
        if (peek() == Type::kStar) {
          next();
          return object_projection(std::move(left));
        }
        return binary(Kind::kSub, std::move(left), dot_right(power(Type::kDot)));
      case Type::kPipe: return binary(Kind::kPipe, std::move(left), expression(1));
      case Type::kOr: return binary(Kind::kOr, std::move(left), expression(2));
      case Type::kAnd: return binary(Kind::kAnd, std::move(left), expression(3));
      case Type::kCompare: {
        Ptr expr = binary(Kind::kCompare, std::move(left), expression(5));
        expr->text = token.text;
        return expr;
      }
      case Type::kFlatten: return flatten(std::move(left));
      case Type::kFilter: return filter(std::move(left));
      case Type::kOpenBracket:
        if (peek() == Type::kNumber || peek() == Type::kColon) {
          return index_or_slice(std::move(left));
        }
        expect(Type::kStar, "*");
        expect(Type::kCloseBracket, "]");
        return list_projection(std::move(left));
      default: break;
    }
    fail("`" + token.text + "` is not expected here");
    return left;
  }

  Ptr binary(Kind kind, Ptr left, Ptr right) {
    Ptr expr = make(kind);
    expr->left = std::move(left);
    expr->right = std::move(right);
    return expr;
  }
  Ptr field(const std::string& name) {
    Ptr expr = make(Kind::kField);
    expr->text = name;
    return expr;
  }
  Ptr literal(const std::string& text) {
    Ptr expr = make(Kind::kLiteral);
    auto value = parse_json_tree(text);
    if (value.ok()) {
      expr->literal = std::move(value).value();
    } else {  // `foo`: the old form of a string
      expr->literal.type = JsonValue::Type::kString;
      expr->literal.string = text;
    }
    return expr;
  }

  Ptr dot_right(int binding) {
    switch (peek()) {
      case Type::kName:
      case Type::kQuoted:
      case Type::kStar: return expression(binding);
      case Type::kOpenBracket: next(); return multi_list();
      case Type::kOpenBrace: next(); return multi_hash();
      default: fail("after `.` a name, *, [ or { is expected"); return make(Kind::kCurrent);
    }
  }
  // What follows a projection applies to each of its elements.
  Ptr projection_right(int binding) {
    if (power(peek()) < 10) return make(Kind::kCurrent);
    if (peek() == Type::kOpenBracket || peek() == Type::kFilter)
      return expression_on_current(binding);
    if (peek() == Type::kDot) {
      next();
      return continue_infix(dot_right(binding), binding);
    }
    fail("`" + tokens_[at_].text + "` is not expected here");
    return make(Kind::kCurrent);
  }
  Ptr expression_on_current(int binding) { return continue_infix(make(Kind::kCurrent), binding); }
  Ptr continue_infix(Ptr left, int binding) {
    while (status_.ok() && binding < power(peek())) left = infix(std::move(left));
    return left;
  }

  Ptr object_projection(Ptr left) {
    return binary(Kind::kObjectProjection, std::move(left), projection_right(power(Type::kStar)));
  }
  Ptr list_projection(Ptr left) {
    return binary(Kind::kListProjection, std::move(left), projection_right(power(Type::kStar)));
  }
  Ptr flatten(Ptr left) {
    Ptr flat = make(Kind::kFlatten);
    flat->left = std::move(left);
    return binary(Kind::kListProjection, std::move(flat), projection_right(power(Type::kFlatten)));
  }
  Ptr filter(Ptr left) {
    Ptr condition = expression(0);
    expect(Type::kCloseBracket, "]");
    Ptr expr = binary(
        Kind::kFilter, std::move(left),
        peek() == Type::kFlatten ? make(Kind::kCurrent) : projection_right(power(Type::kFilter)));
    expr->third = std::move(condition);
    return expr;
  }

  Ptr index_or_slice(Ptr left) {
    if (peek() == Type::kNumber && peek(1) == Type::kCloseBracket) {
      Ptr index = make(Kind::kIndex);
      index->number = next().number;
      next();
      return binary(Kind::kSub, std::move(left), std::move(index));
    }
    Ptr slice = make(Kind::kSlice);
    std::optional<long long>* parts[] = {&slice->start, &slice->stop, &slice->step};
    for (int part = 0; part < 3; ++part) {
      if (peek() == Type::kNumber) *parts[part] = next().number;
      if (peek() == Type::kCloseBracket) break;
      if (part == 2) break;
      expect(Type::kColon, ":");
    }
    expect(Type::kCloseBracket, "]");
    if (slice->step == 0) fail("a slice's step cannot be 0");
    Ptr sub = binary(Kind::kSub, std::move(left), std::move(slice));
    return binary(Kind::kListProjection, std::move(sub), projection_right(power(Type::kStar)));
  }

  Ptr multi_list() {
    Ptr expr = make(Kind::kMultiList);
    do {
      expr->children.push_back(expression(0));
    } while (status_.ok() && take(Type::kComma));
    expect(Type::kCloseBracket, "]");
    return expr;
  }
  Ptr multi_hash() {
    Ptr expr = make(Kind::kMultiHash);
    do {
      if (peek() != Type::kName && peek() != Type::kQuoted) fail("a key is expected");
      expr->names.push_back(next().text);
      expect(Type::kColon, ":");
      expr->children.push_back(expression(0));
    } while (status_.ok() && take(Type::kComma));
    expect(Type::kCloseBrace, "}");
    return expr;
  }
  Ptr function(const std::string& name) {
    Ptr expr = make(Kind::kFunction);
    expr->text = name;
    next();  // (
    if (peek() != Type::kCloseParen) {
      do {
        expr->children.push_back(expression(0));
      } while (status_.ok() && take(Type::kComma));
    }
    expect(Type::kCloseParen, ")");
    std::string problem;
    if (!is_jmespath_function(name, expr->children.size(), problem)) fail(problem);
    return expr;
  }

  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  int depth_ = 0;
  base::Status status_;
};

bool collect_plain(const Expr& expr, std::vector<std::string>& path) {
  if (expr.kind == Kind::kField) {
    path.push_back(expr.text);
    return true;
  }
  // Pipes between plain paths are plain too.
  return (expr.kind == Kind::kSub || expr.kind == Kind::kPipe) && collect_plain(*expr.left, path) &&
         collect_plain(*expr.right, path);
}

}  // namespace

base::Result<JmesPath::Expr::Ptr> parse_jmespath(std::string_view text) {
  if (text.size() > kJmesPathTextMax) return base::invalid_argument("the expression is too long");
  std::vector<Token> tokens;
  SKALD_TRY(Lexer(text).run(tokens));
  return Parser(std::move(tokens)).run();
}

base::Result<JmesPath> JmesPath::compile(std::string_view expression) {
  SKALD_TRY_ASSIGN(Ptr root, parse_jmespath(expression));
  JmesPath path;
  std::vector<std::string> plain;
  if (collect_plain(*root, plain)) path.plain_ = std::move(plain);
  path.root_ = std::move(root);
  return path;
}

}  // namespace skald::agent
