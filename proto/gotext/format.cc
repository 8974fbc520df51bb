#include "proto/gotext/format.h"

#include <algorithm>
#include <optional>

#include "proto/base/utf8.h"
#include "proto/gotext/duration.h"
#include "proto/gotext/limits.h"
#include "proto/gotext/number.h"
#include "proto/gotext/quote.h"
#include "proto/gotext/unicode.h"

namespace skald::gotext {
namespace {

constexpr int kPrintDepthMax = 100;  // nested lists and maps; deeper ones are cut

std::size_t rune_count(std::string_view text) {
  std::size_t count = 0;
  while (!text.empty()) {
    text.remove_prefix(base::decode_rune(text).width);
    ++count;
  }
  return count;
}

std::string named_text(const Value& value) {
  static const TimeLayout month("January"), weekday("Monday");
  constexpr std::int64_t kDay = 86400;  // 4 January 1970 was a Sunday
  const std::int64_t n = value.as_int();
  return value.int_type() == Value::IntType::kWeekday
             ? weekday.format({(n + 3) * kDay, 0, nullptr})
             : month.format({(n - 1) * 31 * kDay, 0, nullptr});
}

// One verb's flags, width and precision.
struct Spec {
  bool sharp = false, zero = false, plus = false, minus = false, space = false;
  bool sharp_v = false, plus_v = false;
  std::optional<int> width, precision;
};

// Go's package fmt over Values: pp and fmt in one.
class Printer {
 public:
  explicit Printer(std::string& out) : out_(out) {}

  Spec spec;

  void print(const Value& value, char32_t verb, int depth = 0) {
    if (value.is_none()) {
      if (depth > 0)  // inside a list or map
        out_ += spec.sharp_v ? "interface {}(nil)" : "<nil>";
      else if (verb == 'T' || verb == 'v')
        pad("<nil>");
      else
        bad_verb(verb, value);
      return;
    }
    if (verb == 'T' && depth == 0) return print_string(value.type_name(), 's', value);
    if (verb == 'w') return bad_verb(verb, value);
    if (depth > kPrintDepthMax) return pad("...");
    switch (value.kind()) {
      case Value::Kind::kBool:
        if (verb != 't' && verb != 'v') return bad_verb(verb, value);
        return pad(value.as_bool() ? "true" : "false");
      case Value::Kind::kInt:
        if (is_named_integer(value) && stringable(verb))
          return print_string(named_text(value), verb, value);
        return print_integer(value.as_int(), verb, value);
      case Value::Kind::kComplex: return print_complex(value.as_complex(), verb, value);
      case Value::Kind::kFloat: return print_float(value.as_float(), verb, value);
      case Value::Kind::kString: return print_string(value.as_string(), verb, value);
      case Value::Kind::kTime:
        if (stringable(verb)) return print_string(value.as_time().to_string(), verb, value);
        if (verb == 'v') return pad(time_go_syntax(value.as_time()));
        return bad_verb(verb, value);
      case Value::Kind::kDuration:
        if (stringable(verb)) return print_string(format_duration(value.as_int()), verb, value);
        return print_integer(value.as_int(), verb, value);
      case Value::Kind::kList: return print_list(value, verb, depth);
      case Value::Kind::kObject: return print_object(value, verb, depth);
      default: return;
    }
  }

  void bad_verb(char32_t verb, const Value& value) {
    out_ += "%!";
    base::append_rune(out_, verb);
    out_ += '(';
    if (value.is_none()) {
      out_ += "<nil>";
    } else {
      out_ += value.type_name();
      out_ += '=';
      if (value.is(Value::Kind::kDuration) || is_named_integer(value))
        print_integer(value.as_int(), 'v', value);  // methods are off while reporting
      else
        print(value, 'v', 1);
    }
    out_ += ')';
  }

 private:
  bool stringable(char32_t verb) const {
    return !spec.sharp_v &&
           (verb == 'v' || verb == 's' || verb == 'x' || verb == 'X' || verb == 'q');
  }

  void write_padding(std::size_t count, bool allow_zero = true) {
    out_.append(count, spec.zero && !spec.minus && allow_zero ? '0' : ' ');
  }

  void pad(std::string_view text, bool allow_zero = true) {
    const std::size_t width = static_cast<std::size_t>(spec.width.value_or(0));
    const std::size_t have = width == 0 ? 0 : rune_count(text);
    if (width <= have) {
      out_ += text;
      return;
    }
    if (!spec.minus) write_padding(width - have, allow_zero);
    out_ += text;
    if (spec.minus) write_padding(width - have, false);
  }

  std::string_view truncate(std::string_view text) const {
    if (!spec.precision) return text;
    std::size_t at = 0;
    for (int n = *spec.precision; n > 0 && at < text.size(); --n)
      at += base::decode_rune(text.substr(at)).width;
    return text.substr(0, at);
  }

  void print_string(std::string_view text, char32_t verb, const Value& value) {
    switch (verb) {
      case 'v':
        if (spec.sharp_v) return print_quoted(text);
        [[fallthrough]];
      case 's': return pad(truncate(text));
      case 'x': return print_hex(text, "0123456789abcdefx");
      case 'X': return print_hex(text, "0123456789ABCDEFX");
      case 'q': return print_quoted(text);
      default: return bad_verb(verb, value);
    }
  }

  void print_quoted(std::string_view text) {
    text = truncate(text);
    if (spec.sharp && can_backquote(text)) return pad("`" + std::string(text) + "`");
    pad(quote(text, {.quote = '"', .ascii_only = spec.plus}));
  }

  void print_hex(std::string_view text, const char* digits) {
    std::size_t length = text.size();
    if (spec.precision) length = std::min(length, static_cast<std::size_t>(*spec.precision));
    std::string hex;
    for (std::size_t i = 0; i < length; ++i) {
      if (spec.space && i > 0) hex += ' ';
      if (spec.sharp && (spec.space || i == 0)) {
        hex += '0';
        hex += digits[16];
      }
      const auto byte = static_cast<unsigned char>(text[i]);
      hex += digits[byte >> 4];
      hex += digits[byte & 15];
    }
    pad(hex);
  }

  void print_integer(std::int64_t v, char32_t verb, const Value& value) {
    const bool is_signed = value.int_type() != Value::IntType::kUint8;
    const auto u = static_cast<std::uint64_t>(v);
    switch (verb) {
      case 'v':
        if (spec.sharp_v && !is_signed) {
          const bool sharp = spec.sharp;
          spec.sharp = true;
          format_integer(v, 16, verb, "0123456789abcdefx");
          spec.sharp = sharp;
          return;
        }
        [[fallthrough]];
      case 'd': return format_integer(v, 10, verb, "0123456789abcdefx");
      case 'b': return format_integer(v, 2, verb, "0123456789abcdefx");
      case 'o':
      case 'O': return format_integer(v, 8, verb, "0123456789abcdefx");
      case 'x': return format_integer(v, 16, verb, "0123456789abcdefx");
      case 'X': return format_integer(v, 16, verb, "0123456789ABCDEFX");
      case 'c': {
        std::string text;
        base::append_rune(text, u > 0x10FFFF ? base::kReplacementRune : static_cast<char32_t>(u));
        return pad(text);
      }
      case 'q':
        return pad(quote_rune(u > 0x10FFFF ? base::kReplacementRune : static_cast<char32_t>(u),
                              spec.plus));
      case 'U': return format_unicode(u);
      default: return bad_verb(verb, value);
    }
  }

  void format_unicode(std::uint64_t u) {
    std::string digits;
    for (std::uint64_t rest = u; rest > 0 || digits.empty(); rest >>= 4)
      digits.insert(digits.begin(), "0123456789ABCDEF"[rest & 15]);
    const auto precision = static_cast<std::size_t>(std::max(spec.precision.value_or(4), 4));
    if (digits.size() < precision) digits.insert(0, precision - digits.size(), '0');
    std::string text = "U+" + digits;
    if (spec.sharp && u <= 0x10FFFF && is_print(static_cast<char32_t>(u))) {
      text += " '";
      base::append_rune(text, static_cast<char32_t>(u));
      text += '\'';
    }
    pad(text, false);
  }

  void format_integer(std::int64_t v, unsigned radix, char32_t verb, const char* digits) {
    const bool negative = v < 0;
    std::uint64_t u = negative ? ~static_cast<std::uint64_t>(v) + 1 : static_cast<std::uint64_t>(v);
    int precision = 0;
    if (spec.precision) {
      precision = *spec.precision;
      if (precision == 0 && u == 0) {
        out_.append(static_cast<std::size_t>(spec.width.value_or(0)), ' ');
        return;
      }
    } else if (spec.zero && !spec.minus && spec.width) {
      precision = *spec.width;
      if (negative || spec.plus || spec.space) --precision;
    }
    std::string text;
    do {
      text += digits[u % radix];
      u /= radix;
    } while (u > 0);
    if (text.size() < static_cast<std::size_t>(std::max(precision, 0)))
      text.append(static_cast<std::size_t>(precision) - text.size(), '0');
    if (spec.sharp) {
      if (radix == 2) text += "b0";
      if (radix == 8 && text.back() != '0') text += '0';
      if (radix == 16) {
        text += digits[16];
        text += '0';
      }
    }
    if (verb == 'O') text += "o0";
    if (negative)
      text += '-';
    else if (spec.plus)
      text += '+';
    else if (spec.space)
      text += ' ';
    std::reverse(text.begin(), text.end());
    pad(text, false);
  }

  void print_float(double v, char32_t verb, const Value& value) {
    switch (verb) {
      case 'v': return format_float_verb(v, 'g', -1);
      case 'g':
      case 'G':
      case 'b':
      case 'x':
      case 'X': return format_float_verb(v, static_cast<char>(verb), -1);
      case 'f':
      case 'e':
      case 'E': return format_float_verb(v, static_cast<char>(verb), 6);
      case 'F': return format_float_verb(v, 'f', 6);
      default: return bad_verb(verb, value);
    }
  }

  void print_complex(const std::complex<double>& v, char32_t verb, const Value& value) {
    if (verb >= 0x80 ||
        std::string_view("vbgGxXfFeE").find(static_cast<char>(verb)) == std::string_view::npos)
      return bad_verb(verb, value);
    out_ += '(';
    print_float(v.real(), verb, value);
    const bool plus = std::exchange(spec.plus, true);
    print_float(v.imag(), verb, value);
    spec.plus = plus;
    out_ += "i)";
  }

  void format_float_verb(double v, char verb, int precision) {
    if (spec.precision) precision = *spec.precision;
    std::string text = format_float(v, verb, precision);
    if (text[0] != '-' && text[0] != '+') text.insert(0, "+");
    if (spec.space && text[0] == '+' && !spec.plus) text[0] = ' ';
    if (text[1] == 'I' || text[1] == 'N') {
      if (text[1] == 'N' && !spec.space && !spec.plus) text.erase(0, 1);
      return pad(text, false);
    }
    if (spec.sharp && verb != 'b') keep_point(text, verb, precision);
    if (!spec.plus && text[0] == '+') return pad(std::string_view(text).substr(1));
    if (spec.zero && !spec.minus && spec.width &&
        static_cast<std::size_t>(*spec.width) > text.size()) {
      out_ += text[0];
      write_padding(static_cast<std::size_t>(*spec.width) - text.size());
      out_.append(text, 1);
      return;
    }
    pad(text);
  }

  // '#': a decimal point always, and %g keeps its trailing zeros.
  static void keep_point(std::string& text, char verb, int precision) {
    int digits = 0;
    if (verb == 'g' || verb == 'G' || verb == 'x') digits = precision < 0 ? 6 : precision;
    const bool hex = verb == 'x' || verb == 'X';
    std::size_t end = 1;
    bool point = false, nonzero = false;
    for (; end < text.size(); ++end) {
      const char c = text[end];
      if (c == 'p' || c == 'P' || (!hex && (c == 'e' || c == 'E'))) break;
      if (c == '.') {
        point = true;
        continue;
      }
      if (c != '0') nonzero = true;
      if (nonzero) --digits;
    }
    const std::string tail = text.substr(end);
    text.resize(end);
    if (!point) {
      if (text.size() == 2 && text[1] == '0') --digits;
      text += '.';
    }
    if (digits > 0) text.append(static_cast<std::size_t>(digits), '0');
    text += tail;
  }

  void print_list(const Value& value, char32_t verb, int depth) {
    const bool go_syntax = spec.sharp_v;
    if (go_syntax) out_ += value.type_name();
    out_ += go_syntax ? '{' : '[';
    bool first = true;
    for (const Value& item : value.as_list()) {
      if (!first) out_ += go_syntax ? ", " : " ";
      first = false;
      print(item, verb, depth + 1);
    }
    out_ += go_syntax ? '}' : ']';
  }

  void print_object(const Value& value, char32_t verb, int depth) {
    const Object& object = value.as_object();
    const bool go_syntax = spec.sharp_v;
    const bool is_map = object.is_map();
    if (go_syntax)
      out_ += value.type_name();
    else if (is_map)
      out_ += "map";
    out_ += is_map && !go_syntax ? '[' : '{';
    bool first = true;
    for (const auto& [key, item] : object.entries()) {
      if (!first) out_ += go_syntax ? ", " : " ";
      first = false;
      if (is_map) {
        print(Value::borrow(key), verb, depth + 1);
        out_ += ':';
      } else if (spec.plus_v || go_syntax) {
        out_.append(key).append(":");
      }
      print(item, verb, depth + 1);
    }
    out_ += is_map && !go_syntax ? ']' : '}';
  }

  std::string& out_;
};

// The format string of one sprintf call.
class Formatter {
 public:
  Formatter(std::string_view format, std::span<const Value> args)
      : format_(format), args_(args), printer_(out_) {}

  std::string run() {
    while (at_ < format_.size() && out_.size() <= kTemplateOutputMax) {
      const auto percent = std::min(format_.find('%', at_), format_.size());
      out_ += format_.substr(at_, percent - at_);
      at_ = percent;
      if (at_ < format_.size() && !verb()) break;
    }
    if (!reordered_ && arg_ < args_.size()) extra();
    return std::move(out_);
  }

 private:
  // Reads and prints one verb; false at the end of the format.
  bool verb() {
    ++at_;
    printer_.spec = {};
    good_arg_ = true;
    Spec& spec = printer_.spec;
    for (; at_ < format_.size(); ++at_) {
      const char c = format_[at_];
      if (c == '#')
        spec.sharp = true;
      else if (c == '0')
        spec.zero = true;
      else if (c == '+')
        spec.plus = true;
      else if (c == '-')
        spec.minus = true;
      else if (c == ' ')
        spec.space = true;
      else
        break;
    }
    bool after_index = arg_index();
    read_width(after_index);
    read_precision(after_index);
    if (!after_index) arg_index();
    if (at_ >= format_.size()) {
      out_ += "%!(NOVERB)";
      return false;
    }
    const base::Rune rune = base::decode_rune(format_.substr(at_));
    at_ += rune.width;
    emit(rune.value);
    return true;
  }

  void emit(char32_t verb) {
    if (verb == '%') {
      out_ += '%';
      return;
    }
    if (!good_arg_ || arg_ >= args_.size()) {
      out_ += "%!";
      base::append_rune(out_, verb);
      out_ += good_arg_ ? "(MISSING)" : "(BADINDEX)";
      return;
    }
    Spec& spec = printer_.spec;
    if (verb == 'v') {
      spec.sharp_v = std::exchange(spec.sharp, false);
      spec.plus_v = std::exchange(spec.plus, false);
    }
    printer_.print(args_[arg_], verb);
    ++arg_;
  }

  void read_width(bool& after_index) {
    Spec& spec = printer_.spec;
    if (at_ < format_.size() && format_[at_] == '*') {
      ++at_;
      spec.width = int_from_arg();
      if (!spec.width) out_ += "%!(BADWIDTH)";
      if (spec.width && *spec.width < 0) {
        spec.width = -*spec.width;
        spec.minus = true;
        spec.zero = false;
      }
      after_index = false;
    } else {
      spec.width = number();
      if (after_index && spec.width) good_arg_ = false;
    }
  }

  void read_precision(bool& after_index) {
    Spec& spec = printer_.spec;
    if (at_ + 1 >= format_.size() || format_[at_] != '.') return;
    ++at_;
    if (after_index) good_arg_ = false;
    after_index = arg_index();
    if (at_ < format_.size() && format_[at_] == '*') {
      ++at_;
      spec.precision = int_from_arg();
      if (spec.precision && *spec.precision < 0) spec.precision.reset();
      if (!spec.precision) out_ += "%!(BADPREC)";
      after_index = false;
    } else {
      spec.precision = number();
      if (!spec.precision) spec.precision = 0;
    }
  }

  std::optional<int> number() {
    int value = 0;
    bool any = false;
    while (at_ < format_.size() && format_[at_] >= '0' && format_[at_] <= '9') {
      if (value > kFormatWidthMax) {
        at_ = format_.size();
        return std::nullopt;
      }
      value = value * 10 + (format_[at_] - '0');
      any = true;
      ++at_;
    }
    if (!any) return std::nullopt;
    return value;
  }

  std::optional<int> int_from_arg() {
    if (arg_ >= args_.size()) return std::nullopt;
    const Value& value = args_[arg_++];
    if (!value.is(Value::Kind::kInt) && !value.is(Value::Kind::kDuration)) return std::nullopt;
    const std::int64_t v = value.as_int();
    if (v > kFormatWidthMax || v < -kFormatWidthMax) return std::nullopt;
    return static_cast<int>(v);
  }

  // [n]: the next argument is the n-th.
  bool arg_index() {
    if (at_ >= format_.size() || format_[at_] != '[') return false;
    reordered_ = true;
    const std::string_view rest = format_.substr(at_);
    const auto close = rest.find(']');
    if (rest.size() < 3 || close == std::string_view::npos) {
      good_arg_ = false;
      at_ += 1;
      return false;
    }
    std::int64_t index = 0;
    const bool numeric = close > 1 && close < 10 &&
                         read_int(rest.substr(1, close - 1), 10, 32, index) == NumberError::kNone &&
                         rest[1] != '+' && rest[1] != '-';
    at_ += close + 1;
    if (numeric && index >= 1 && static_cast<std::size_t>(index) <= args_.size()) {
      arg_ = static_cast<std::size_t>(index - 1);
      return true;
    }
    good_arg_ = false;
    return numeric;
  }

  void extra() {
    printer_.spec = {};
    out_ += "%!(EXTRA ";
    for (std::size_t i = arg_; i < args_.size(); ++i) {
      if (i > arg_) out_ += ", ";
      if (args_[i].is_none()) {
        out_ += "<nil>";
      } else {
        out_.append(args_[i].type_name()).append("=");
        printer_.print(args_[i], 'v');
      }
    }
    out_ += ')';
  }

  std::string_view format_;
  std::span<const Value> args_;
  std::string out_;
  Printer printer_;
  std::size_t at_ = 0;
  std::size_t arg_ = 0;
  bool reordered_ = false;
  bool good_arg_ = true;
};

}  // namespace

std::string time_go_syntax(const Time& time) {
  static const TimeLayout layout(", time.January, 2, ");
  const CivilTime civil = civil_of(time);
  std::string out = "time.Date(" + std::to_string(civil.year) + layout.format(time);
  for (const int part : {civil.hour, civil.minute, civil.second, static_cast<int>(time.nanosecond)})
    out += std::to_string(part) + ", ";
  if (time.zone == nullptr) return out + "time.Local)";
  if (time.zone == utc()) return out + "time.UTC)";
  return out + "time.Location(" + quote(time.zone->name()) + "))";
}

bool is_named_integer(const Value& value) {
  return value.is(Value::Kind::kInt) && (value.int_type() == Value::IntType::kMonth ||
                                         value.int_type() == Value::IntType::kWeekday);
}

void append_value(std::string& out, const Value& value) {
  if (value.is(Value::Kind::kString)) {
    out += value.as_string();
    return;
  }
  Printer(out).print(value, 'v');
}

std::string sprint(std::span<const Value> values) {
  std::string out;
  bool string_before = false;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const bool is_string = values[i].is(Value::Kind::kString);
    if (i > 0 && !is_string && !string_before) out += ' ';
    append_value(out, values[i]);
    string_before = is_string;
  }
  return out;
}

std::string sprintln(std::span<const Value> values) {
  std::string out;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i > 0) out += ' ';
    append_value(out, values[i]);
  }
  return out += '\n';
}

std::string sprintf(std::string_view format, std::span<const Value> args) {
  return Formatter(format, args).run();
}

}  // namespace skald::gotext
