#include <algorithm>
#include <cmath>
#include <set>

#include "proto/base/utf8.h"
#include "proto/gotext/limits.h"
#include "proto/gotext/number.h"
#include "proto/gotext/quote.h"
#include "proto/gotext/template_lex.h"
#include "proto/gotext/template_tree.h"
#include "proto/model/labels.h"

namespace skald::gotext {
namespace {

bool is_blank_text(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); });
}

bool is_empty_tree(const NodeList& list) {
  return std::all_of(list.begin(), list.end(), [](const NodePtr& node) {
    return node->kind == NodeKind::kText && is_blank_text(node->text);
  });
}

// A float without a fraction serves as an integer too.
void promote_whole(Number& n) {
  if (!(std::fabs(n.f) < 0x1p63) || std::trunc(n.f) != n.f) return;
  n.is_int = true;
  n.i = static_cast<std::int64_t>(n.f);
}

// Without an imaginary part it serves as a float too.
Number complex_number(std::complex<double> value) {
  Number n;
  n.is_complex = true;
  n.c = value;
  if (value.imag() != 0) return n;
  n.is_float = true;
  n.f = value.real();
  promote_whole(n);
  return n;
}

// Of "1+2i" the sign of the second part: the last one that belongs to no exponent.
std::size_t imaginary_sign(std::string_view text) {
  for (std::size_t i = text.size(); i-- > 1;) {
    if (text[i] != '+' && text[i] != '-') continue;
    const bool hex = text.substr(0, i).find_first_of("xX") != std::string_view::npos;
    const char before = text[i - 1];
    const bool exponent = hex ? before == 'p' || before == 'P' : before == 'e' || before == 'E';
    if (!exponent) return i;
  }
  return std::string_view::npos;
}

// "1+2i" as fmt.Sscan reads it.
base::Result<std::complex<double>> parse_complex(std::string_view text) {
  const std::size_t sign = imaginary_sign(text);
  if (sign == std::string_view::npos || !text.ends_with('i'))
    return base::invalid_argument("syntax error scanning complex number");
  SKALD_TRY_ASSIGN(const double real, parse_float(text.substr(0, sign)));
  SKALD_TRY_ASSIGN(const double imaginary, parse_float(text.substr(sign, text.size() - sign - 1)));
  return std::complex<double>(real, imaginary);
}

// Recursive descent with three tokens of look-ahead. The first error ends the parse: every step
// asks failed() before it goes on.
class Parser {
 public:
  Parser(Template::Program& program, const FunctionTable& functions)
      : program_(program),
        functions_(functions),
        lexer_(program.text, {.break_ok = !functions.contains("break"),
                              .continue_ok = !functions.contains("continue")}) {}

  base::Status run() {
    NodeList root;
    parse_root(root);
    if (!failed()) add_tree(program_.name, std::move(root));
    if (failed()) return base::invalid_argument(std::move(error_));
    return {};
  }

 private:
  bool failed() const { return !error_.empty(); }

  void fail(std::string_view message) {
    if (failed()) return;
    error_ = "template: " + program_.name + ":" + std::to_string(tokens_[0].line) + ": ";
    error_ += message;
  }

  NodePtr make_node(NodeKind kind, std::uint32_t pos, std::string_view text = {}) {
    if (++program_.nodes > kTemplateNodesMax)
      fail("template has more than " + std::to_string(kTemplateNodesMax) + " parts");
    auto node = std::make_unique<Node>();
    node->kind = kind;
    node->pos = pos;
    node->text = text;
    return node;
  }

  Token next() {
    if (peek_count_ > 0)
      --peek_count_;
    else
      tokens_[0] = lexer_.next();
    return tokens_[peek_count_];
  }
  void backup() { ++peek_count_; }
  void backup2(const Token& t1) {
    tokens_[1] = t1;
    peek_count_ = 2;
  }
  void backup3(const Token& t2, const Token& t1) {
    tokens_[1] = t1;
    tokens_[2] = t2;
    peek_count_ = 3;
  }
  const Token& peek() {
    if (peek_count_ > 0) return tokens_[peek_count_ - 1];
    peek_count_ = 1;
    tokens_[0] = lexer_.next();
    return tokens_[0];
  }
  Token next_non_space() {
    Token token = next();
    while (token.type == Tok::kSpace) token = next();
    return token;
  }
  const Token& peek_non_space() {
    next_non_space();
    backup();
    return tokens_[peek_count_ - 1];
  }

  void unexpected(const Token& token, std::string_view context) {
    if (token.type == Tok::kError) {
      std::string message = token.error;
      if (action_line_ != 0 && action_line_ != token.line) {
        message += token.error.ends_with(" action") ? " started at " : " in action started at ";
        message += program_.name + ":" + std::to_string(action_line_);
      }
      return fail(message);
    }
    fail("unexpected " + token.describe() + " in " + std::string(context));
  }

  Token expect(Tok type, std::string_view context) {
    Token token = next_non_space();
    if (token.type != type) unexpected(token, context);
    return token;
  }

  void add_tree(const std::string& name, NodeList tree) {
    auto [at, inserted] = program_.trees.try_emplace(name);
    if (inserted || is_empty_tree(at->second))
      at->second = std::move(tree);
    else if (!is_empty_tree(tree))
      fail("template: multiple definition of template " + quote(name));
  }

  void parse_root(NodeList& root) {
    while (!failed() && peek().type != Tok::kEof) {
      if (peek().type == Tok::kLeftDelim) {
        const Token delimiter = next();
        if (next_non_space().type == Tok::kDefine) {
          parse_definition();
          continue;
        }
        backup2(delimiter);
      }
      NodePtr node = text_or_action();
      if (failed()) return;
      if (node->kind == NodeKind::kEnd || node->kind == NodeKind::kElse)
        return fail("unexpected " + node->to_string());
      root.push_back(std::move(node));
    }
  }

  void parse_definition() {
    const Token name = next_non_space();
    if (name.type != Tok::kString && name.type != Tok::kRawString)
      return unexpected(name, "define clause");
    std::string unquoted = unquote(name);
    if (failed()) return;
    expect(Tok::kRightDelim, "define clause");
    if (failed()) return;
    parse_body(unquoted, "define clause");
  }

  // The body of a define or block up to its end, as a tree of its own with its own variables.
  void parse_body(const std::string& name, std::string_view context) {
    std::vector<std::string> outer = {"$"};
    std::swap(outer, variables_);
    const int outer_ranges = std::exchange(range_depth_, 0);
    NodeList body;
    NodePtr end = item_list(body);
    range_depth_ = outer_ranges;
    variables_ = std::move(outer);
    if (failed()) return;
    if (end->kind != NodeKind::kEnd)
      return fail("unexpected " + end->to_string() + " in " + std::string(context));
    add_tree(name, std::move(body));
  }

  // Until {{end}} or {{else}}, which is returned.
  NodePtr item_list(NodeList& list) {
    if (++nesting_ > kTemplateNestingMax) {
      fail("template nests too deeply");
      return nullptr;
    }
    while (!failed() && peek_non_space().type != Tok::kEof) {
      NodePtr node = text_or_action();
      if (failed()) return nullptr;
      if (node->kind == NodeKind::kEnd || node->kind == NodeKind::kElse) {
        --nesting_;
        return node;
      }
      list.push_back(std::move(node));
    }
    fail("unexpected EOF");
    return nullptr;
  }

  NodePtr text_or_action() {
    const Token token = next_non_space();
    switch (token.type) {
      case Tok::kText: return make_node(NodeKind::kText, token.pos, token.text);
      case Tok::kLeftDelim: {
        action_line_ = token.line;
        NodePtr node = action();
        action_line_ = 0;
        return node;
      }
      default: unexpected(token, "input"); return nullptr;
    }
  }

  NodePtr action() {
    const Token token = next_non_space();
    switch (token.type) {
      case Tok::kBlock: return block_control();
      case Tok::kBreak: return loop_control(NodeKind::kBreak, "{{break}}", token);
      case Tok::kContinue: return loop_control(NodeKind::kContinue, "{{continue}}", token);
      case Tok::kElse: return else_control();
      case Tok::kEnd: return make_node(NodeKind::kEnd, expect(Tok::kRightDelim, "end").pos);
      case Tok::kIf: return control(NodeKind::kIf, "if");
      case Tok::kRange: return control(NodeKind::kRange, "range");
      case Tok::kTemplate: return template_control();
      case Tok::kWith: return control(NodeKind::kWith, "with");
      default: break;
    }
    backup();
    NodePtr node = make_node(NodeKind::kAction, peek().pos);
    node->pipe = pipeline("command", Tok::kRightDelim);
    return node;
  }

  NodePtr loop_control(NodeKind kind, std::string_view name, const Token& keyword) {
    const Token token = next_non_space();
    if (token.type != Tok::kRightDelim)
      unexpected(token, name);
    else if (range_depth_ == 0)
      fail(std::string(name) + " outside {{range}}");
    return make_node(kind, keyword.pos);
  }

  NodePtr else_control() {
    const Token ahead = peek_non_space();
    if (ahead.type == Tok::kIf || ahead.type == Tok::kWith)
      return make_node(NodeKind::kElse, ahead.pos);
    return make_node(NodeKind::kElse, expect(Tok::kRightDelim, "else").pos);
  }

  NodePtr control(NodeKind kind, std::string_view context) {
    const std::size_t variables = variables_.size();
    NodePtr node = make_node(kind, 0);
    node->pipe = pipeline(context, Tok::kRightDelim);
    if (failed()) return nullptr;
    node->pos = node->pipe->pos;
    if (kind == NodeKind::kRange) ++range_depth_;
    NodePtr end = item_list(node->list);
    if (kind == NodeKind::kRange) --range_depth_;
    if (failed()) return nullptr;
    if (end->kind == NodeKind::kElse) {
      node->has_else = true;
      const Tok chained = kind == NodeKind::kIf     ? Tok::kIf
                          : kind == NodeKind::kWith ? Tok::kWith
                                                    : Tok::kEof;
      if (chained != Tok::kEof && peek().type == chained) {  // the inner one eats the {{end}}
        next();
        if (++nesting_ > kTemplateNestingMax) fail("template nests too deeply");
        if (failed()) return nullptr;
        NodePtr inner = control(kind, context);
        --nesting_;
        if (failed()) return nullptr;
        node->else_list.push_back(std::move(inner));
      } else {
        end = item_list(node->else_list);
        if (failed()) return nullptr;
        if (end->kind != NodeKind::kEnd) fail("expected end; found " + end->to_string());
      }
    }
    variables_.resize(variables);
    return node;
  }

  NodePtr block_control() {
    const Token token = next_non_space();
    const std::string name = template_name(token, "block clause");
    if (failed()) return nullptr;
    NodePtr node = make_node(NodeKind::kTemplate, token.pos, name);
    node->pipe = pipeline("block clause", Tok::kRightDelim);
    if (failed()) return nullptr;
    parse_body(name, "block clause");
    return node;
  }

  NodePtr template_control() {
    const Token token = next_non_space();
    NodePtr node =
        make_node(NodeKind::kTemplate, token.pos, template_name(token, "template clause"));
    if (failed()) return nullptr;
    if (next_non_space().type != Tok::kRightDelim) {
      backup();
      node->pipe = pipeline("template clause", Tok::kRightDelim);
    }
    return node;
  }

  std::string template_name(const Token& token, std::string_view context) {
    if (token.type == Tok::kString || token.type == Tok::kRawString) return unquote(token);
    unexpected(token, context);
    return {};
  }

  std::string unquote(const Token& token) {
    // Go reads characters between double quotes, and bytes between back quotes.
    auto value = model::go_unquote(token.type == Tok::kString ? base::to_valid_utf8(token.text)
                                                              : std::string(token.text));
    if (!value.ok()) {
      fail("invalid syntax");
      return {};
    }
    return std::move(value).value();
  }

  // $x := or $x = or, in range, $i, $x :=
  void declarations(Node& pipe, std::string_view context) {
    while (!failed() && peek_non_space().type == Tok::kVariable) {
      const Token variable = next();
      const Token after = peek();
      const Token ahead = peek_non_space();
      const bool assigns = ahead.type == Tok::kAssign || ahead.type == Tok::kDeclare;
      const bool comma = ahead.type == Tok::kChar && ahead.text == ",";
      if (!assigns && !comma) {
        if (after.type == Tok::kSpace)
          backup3(variable, after);
        else
          backup2(variable);
        return;
      }
      next_non_space();
      NodePtr declared = make_node(NodeKind::kVariable, variable.pos);
      declared->idents.emplace_back(variable.text);
      pipe.decls.push_back(std::move(declared));
      variables_.emplace_back(variable.text);
      if (assigns) {
        pipe.is_assign = ahead.type == Tok::kAssign;
        return;
      }
      if (context != "range" || pipe.decls.size() >= 2)
        return fail("too many declarations in " + std::string(context));
      const Tok second = peek_non_space().type;
      if (second != Tok::kVariable && second != Tok::kRightDelim && second != Tok::kRightParen)
        return fail("range can only initialize variables");
    }
  }

  NodePtr pipeline(std::string_view context, Tok end) {
    NodePtr pipe = make_node(NodeKind::kPipe, peek_non_space().pos);
    declarations(*pipe, context);
    while (!failed()) {
      const Token token = next_non_space();
      if (token.type == end) {
        check_pipeline(*pipe, context);
        return pipe;
      }
      switch (token.type) {
        case Tok::kBool:
        case Tok::kCharConstant:
        case Tok::kComplex:
        case Tok::kDot:
        case Tok::kField:
        case Tok::kIdentifier:
        case Tok::kNumber:
        case Tok::kNil:
        case Tok::kRawString:
        case Tok::kString:
        case Tok::kVariable:
        case Tok::kLeftParen:
          backup();
          pipe->kids.push_back(command());
          break;
        default: unexpected(token, context);
      }
    }
    return pipe;
  }

  void check_pipeline(const Node& pipe, std::string_view context) {
    if (pipe.kids.empty()) return fail("missing value for " + std::string(context));
    for (std::size_t i = 1; i < pipe.kids.size(); ++i) {
      switch (pipe.kids[i]->kids[0]->kind) {
        case NodeKind::kBool:
        case NodeKind::kDot:
        case NodeKind::kNil:
        case NodeKind::kNumber:
        case NodeKind::kString:
          return fail("non executable command in pipeline stage " + std::to_string(i + 1));
        default: break;
      }
    }
  }

  NodePtr command() {
    NodePtr node = make_node(NodeKind::kCommand, peek_non_space().pos);
    while (!failed()) {
      peek_non_space();
      if (NodePtr part = operand()) node->kids.push_back(std::move(part));
      if (failed()) return node;
      const Token token = next();
      if (token.type == Tok::kSpace) continue;
      if (token.type == Tok::kRightDelim || token.type == Tok::kRightParen)
        backup();
      else if (token.type != Tok::kPipe)
        unexpected(token, "operand");
      break;
    }
    if (!failed() && node->kids.empty()) fail("empty command");
    return node;
  }

  NodePtr operand() {
    NodePtr node = term();
    if (!node || failed() || peek().type != Tok::kField) return node;
    const std::uint32_t pos = peek().pos;
    std::vector<std::string> fields;
    while (peek().type == Tok::kField) fields.emplace_back(next().text.substr(1));
    switch (node->kind) {
      case NodeKind::kField:
      case NodeKind::kVariable:
        node->pos = pos;
        for (auto& field : fields) node->idents.push_back(std::move(field));
        return node;
      case NodeKind::kBool:
      case NodeKind::kString:
      case NodeKind::kNumber:
      case NodeKind::kNil:
      case NodeKind::kDot:
        fail("unexpected . after term " + quote(node->to_string()));
        return nullptr;
      default: break;
    }
    NodePtr chain = make_node(NodeKind::kChain, pos);
    chain->idents = std::move(fields);
    chain->kids.push_back(std::move(node));
    return chain;
  }

  NodePtr term() {
    const Token token = next_non_space();
    switch (token.type) {
      case Tok::kIdentifier: return identifier(token);
      case Tok::kDot: return make_node(NodeKind::kDot, token.pos);
      case Tok::kNil: return make_node(NodeKind::kNil, token.pos);
      case Tok::kVariable: {
        if (std::find(variables_.begin(), variables_.end(), token.text) == variables_.end()) {
          fail("undefined variable " + quote(token.text));
          return nullptr;
        }
        NodePtr node = make_node(NodeKind::kVariable, token.pos);
        node->idents.emplace_back(token.text);
        return node;
      }
      case Tok::kField: {
        NodePtr node = make_node(NodeKind::kField, token.pos);
        node->idents.emplace_back(token.text.substr(1));
        return node;
      }
      case Tok::kBool: {
        NodePtr node = make_node(NodeKind::kBool, token.pos);
        node->flag = token.text == "true";
        return node;
      }
      case Tok::kCharConstant:
      case Tok::kComplex:
      case Tok::kNumber: return number(token);
      case Tok::kLeftParen: {
        if (++nesting_ > kTemplateNestingMax) {
          fail("max expression depth exceeded");
          return nullptr;
        }
        NodePtr node = pipeline("parenthesized pipeline", Tok::kRightParen);
        --nesting_;
        return node;
      }
      case Tok::kString:
      case Tok::kRawString: {
        NodePtr node = make_node(NodeKind::kString, token.pos, token.text);
        node->value = unquote(token);
        return node;
      }
      default: backup(); return nullptr;
    }
  }

  NodePtr identifier(const Token& token) {
    NodePtr node = make_node(NodeKind::kIdentifier, token.pos, token.text);
    if (const auto at = functions_.find(token.text); at != functions_.end()) {
      node->function = &at->second;
    } else if (const auto builtin = builtin_functions().find(token.text);
               builtin != builtin_functions().end()) {
      node->function = &builtin->second;
      node->builtin = true;
    } else {
      fail("function " + quote(token.text) + " not defined");
    }
    return node;
  }

  NodePtr number(const Token& token) {
    NodePtr node = make_node(NodeKind::kNumber, token.pos, token.text);
    Number& n = node->number;
    if (token.type == Tok::kCharConstant) {
      auto rune = parse_char_constant(token.text);
      if (!rune.ok()) {
        fail(rune.status().message());
        return nullptr;
      }
      n = {.is_int = true,
           .is_float = true,
           .is_char = true,
           .i = static_cast<std::int64_t>(*rune),
           .f = static_cast<double>(*rune)};
      return node;
    }
    if (token.type == Tok::kComplex) {
      auto parsed = parse_complex(token.text);
      if (!parsed.ok()) {
        fail(parsed.status().message());
        return nullptr;
      }
      n = complex_number(*parsed);
      return node;
    }
    if (double imaginary = 0;
        token.text.ends_with('i') &&
        read_float(token.text.substr(0, token.text.size() - 1), imaginary) == NumberError::kNone) {
      n = complex_number({0, imaginary});
      return node;
    }
    std::uint64_t u = 0;
    const bool is_uint = read_uint(token.text, 0, 64, u) == NumberError::kNone;
    n.is_int = read_int(token.text, 0, 64, n.i) == NumberError::kNone;
    if (n.is_int || is_uint) {
      n.is_float = true;
      n.overflows_int = !n.is_int;
      n.f = n.is_int ? static_cast<double>(n.i) : static_cast<double>(u);
      return node;
    }
    if (read_float(token.text, n.f) != NumberError::kNone) {
      fail("illegal number syntax: " + quote(token.text));
      return nullptr;
    }
    if (token.text.find_first_of(".eEpP") == std::string_view::npos) {
      fail("integer overflow: " + quote(token.text));
      return nullptr;
    }
    n.is_float = true;
    promote_whole(n);
    return node;
  }

  Template::Program& program_;
  const FunctionTable& functions_;
  Lexer lexer_;
  Token tokens_[3];
  std::size_t peek_count_ = 0;
  std::vector<std::string> variables_ = {"$"};
  std::string error_;
  int action_line_ = 0;
  int range_depth_ = 0;
  int nesting_ = 0;
};

void append_list(std::string& out, const NodeList& list) {
  for (const auto& node : list) out += node->to_string();
}

std::string join_idents(const std::vector<std::string>& idents, std::string_view first) {
  std::string out;
  for (std::size_t i = 0; i < idents.size(); ++i) {
    if (i > 0 || !first.empty()) out += '.';
    out += idents[i];
  }
  return out;
}

std::string control_text(const Node& node, std::string_view name) {
  std::string out = "{{" + std::string(name) + " " + node.pipe->to_string() + "}}";
  append_list(out, node.list);
  if (node.has_else) {
    out += "{{else}}";
    append_list(out, node.else_list);
  }
  return out += "{{end}}";
}

std::string pipe_text(const Node& node) {
  std::string out;
  for (std::size_t i = 0; i < node.decls.size(); ++i) {
    if (i > 0) out += ", ";
    out += node.decls[i]->to_string();
  }
  if (!node.decls.empty()) out += node.is_assign ? " = " : " := ";
  for (std::size_t i = 0; i < node.kids.size(); ++i) {
    if (i > 0) out += " | ";
    out += node.kids[i]->to_string();
  }
  return out;
}

std::string in_parentheses(const Node& node) {
  return node.kind == NodeKind::kPipe ? "(" + node.to_string() + ")" : node.to_string();
}

}  // namespace

std::string Node::to_string() const {
  switch (kind) {
    case NodeKind::kText: return text;
    case NodeKind::kAction: return "{{" + pipe->to_string() + "}}";
    case NodeKind::kIf: return control_text(*this, "if");
    case NodeKind::kWith: return control_text(*this, "with");
    case NodeKind::kRange: return control_text(*this, "range");
    case NodeKind::kTemplate:
      return "{{template " + quote(text) + (pipe ? " " + pipe->to_string() : "") + "}}";
    case NodeKind::kBreak: return "{{break}}";
    case NodeKind::kContinue: return "{{continue}}";
    case NodeKind::kEnd: return "{{end}}";
    case NodeKind::kElse: return "{{else}}";
    case NodeKind::kPipe: return pipe_text(*this);
    case NodeKind::kCommand: {
      std::string out;
      for (const auto& kid : kids) {
        if (!out.empty()) out += ' ';
        out += in_parentheses(*kid);
      }
      return out;
    }
    case NodeKind::kField: return join_idents(idents, ".");
    case NodeKind::kVariable: return join_idents(idents, "");
    case NodeKind::kChain: return in_parentheses(*kids[0]) + join_idents(idents, ".");
    case NodeKind::kDot: return ".";
    case NodeKind::kNil: return "nil";
    case NodeKind::kBool: return flag ? "true" : "false";
    case NodeKind::kIdentifier:
    case NodeKind::kNumber:
    case NodeKind::kString: return text;
  }
  return {};
}

base::Status parse_template(Template::Program& program, const FunctionTable& functions) {
  if (program.text.size() > kTemplateTextMax)
    return base::invalid_argument("template: " + program.name + ": text is longer than " +
                                  std::to_string(kTemplateTextMax) + " bytes");
  return Parser(program, functions).run();
}

}  // namespace skald::gotext
