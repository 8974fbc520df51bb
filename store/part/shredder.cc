#include "store/part/shredder.h"

#include <emmintrin.h>

#include <algorithm>
#include <cstring>

#include "proto/base/utf8.h"
#include "store/part/hex.h"
#include "store/part/limits.h"

namespace skald::store::part {
namespace {

constexpr std::size_t kShapesKnownMax = 4096;  // of one shredder; bounds the tree's memory
constexpr std::size_t kChildrenMax = 64;       // of one node: beyond, keys are data

bool is_space(char c) noexcept { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

int hex4(const char* p) noexcept {
  int value = 0;
  for (int i = 0; i < 4; ++i) {
    const int nibble =
        hex_nibble(p[i] >= 'A' && p[i] <= 'F' ? static_cast<char>(p[i] | 0x20) : p[i]);
    if (nibble < 0) return -1;
    value = value * 16 + nibble;
  }
  return value;
}

// Size of the escape at `p` (which is a backslash), 0 if it is none that JSON knows.
std::size_t escape_size(const char* p, const char* end) noexcept {
  if (end - p < 2) return 0;
  switch (p[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't': return 2;
    case 'u': break;
    default: return 0;
  }
  if (end - p < 6) return 0;
  const int unit = hex4(p + 2);
  if (unit < 0 || (unit >= 0xDC00 && unit <= 0xDFFF)) return 0;
  if (unit < 0xD800 || unit > 0xDBFF) return 6;
  if (end - p < 12 || p[6] != '\\' || p[7] != 'u') return 0;
  const int low = hex4(p + 8);
  return low >= 0xDC00 && low <= 0xDFFF ? 12 : 0;
}

// The closing quote of the string whose body starts at `p`; null if there is no valid one.
const char* scan_string(const char* p, const char* end) noexcept {
  const char* const start = p;
  bool ascii = true;
  const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\');
  const __m128i control = _mm_set1_epi8(0x1F);
  while (true) {
    unsigned mask = 0;
    if (end - p >= 16) {
      const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
      const __m128i special =
          _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, slash)),
                       _mm_cmpeq_epi8(_mm_min_epu8(bytes, control), bytes));
      mask = static_cast<unsigned>(_mm_movemask_epi8(special));
      auto high = static_cast<unsigned>(_mm_movemask_epi8(bytes));
      if (mask == 0) {
        ascii &= high == 0;
        p += 16;
        continue;
      }
      const int at = __builtin_ctz(mask);
      ascii &= (high & ((1U << at) - 1)) == 0;
      p += at;
    } else {
      while (p != end && *p != '"' && *p != '\\' && static_cast<unsigned char>(*p) >= 0x20) {
        ascii &= static_cast<unsigned char>(*p) < 0x80;
        ++p;
      }
      if (p == end) return nullptr;
    }
    if (*p == '"') break;
    if (*p != '\\') return nullptr;
    const std::size_t size = escape_size(p, end);
    if (size == 0) return nullptr;
    p += size;
  }
  if (!ascii && !base::is_valid_utf8(std::string_view(start, static_cast<std::size_t>(p - start))))
    return nullptr;
  return p;
}

// The end of the number, true, false or null at `p`; null if there is none.
const char* scan_token(const char* p, const char* end) noexcept {
  const auto word = [&](std::string_view text) {
    return static_cast<std::size_t>(end - p) >= text.size() &&
                   std::memcmp(p, text.data(), text.size()) == 0
               ? p + text.size()
               : nullptr;
  };
  if (p == end) return nullptr;
  if (*p == 't') return word("true");
  if (*p == 'f') return word("false");
  if (*p == 'n') return word("null");
  if (*p == '-' && ++p == end) return nullptr;
  if (!is_digit(*p)) return nullptr;
  if (*p == '0')
    ++p;
  else
    while (p != end && is_digit(*p)) ++p;
  if (p != end && *p == '.') {
    if (++p == end || !is_digit(*p)) return nullptr;
    while (p != end && is_digit(*p)) ++p;
  }
  if (p != end && (*p | 0x20) == 'e') {
    if (++p != end && (*p == '+' || *p == '-')) ++p;
    if (p == end || !is_digit(*p)) return nullptr;
    while (p != end && is_digit(*p)) ++p;
  }
  return p;
}

// A full parse with an explicit stack; records where values lie and their paths.
class FullParser {
 public:
  explicit FullParser(std::string_view line)
      : line_(line), p_(line.data()), end_(p_ + line.size()) {}

  bool run() {
    skip();
    if (p_ == end_ || *p_ != '{') return false;
    return value() && (skip(), p_ == end_) && spans.size() <= kShapeFieldsMax;
  }

  std::vector<ValueSpan> spans;
  std::vector<Field> fields;

 private:
  void skip() {
    while (p_ != end_ && is_space(*p_)) ++p_;
  }
  bool take(char c) {
    skip();
    if (p_ == end_ || *p_ != c) return false;
    ++p_;
    return true;
  }
  void scalar(const char* start, const char* stop, Field::Syntax syntax) {
    spans.push_back({static_cast<std::uint32_t>(start - line_.data()),
                     static_cast<std::uint32_t>(stop - start)});
    fields.push_back({path_, syntax});
  }

  bool value() {  // recursion is bounded by kJsonDepthMax
    skip();
    if (p_ == end_ || spans.size() > kShapeFieldsMax) return false;
    if (*p_ == '{' || *p_ == '[') {
      if (path_.size() >= kJsonDepthMax) return false;
      return *p_++ == '{' ? members() : elements();
    }
    if (*p_ == '"') {
      const char* const start = ++p_;
      const char* const stop = scan_string(p_, end_);
      if (stop == nullptr) return false;
      scalar(start, stop, Field::Syntax::kString);
      p_ = stop + 1;
      return true;
    }
    const char* const stop = scan_token(p_, end_);
    if (stop == nullptr) return false;
    scalar(p_, stop, Field::Syntax::kToken);
    p_ = stop;
    return true;
  }

  bool members() {
    if (take('}')) return true;
    do {
      if (!take('"')) return false;
      const char* const stop = scan_string(p_, end_);
      if (stop == nullptr) return false;
      path_.push_back({std::string(p_, stop), -1});
      p_ = stop + 1;
      if (!take(':') || !value()) return false;
      path_.pop_back();
    } while (take(','));
    return take('}');
  }

  bool elements() {
    if (take(']')) return true;
    std::int32_t index = 0;
    do {
      path_.push_back({std::string(), index++});
      if (!value()) return false;
      path_.pop_back();
    } while (take(','));
    return take(']');
  }

  std::string_view line_;
  const char* p_;
  const char* end_;
  std::vector<PathSegment> path_;
};

JsonShape make_shape(std::string_view line, const std::vector<ValueSpan>& spans,
                     std::vector<Field> fields) {
  JsonShape out;
  std::size_t at = 0;
  for (const ValueSpan& span : spans) {
    out.pieces.literals.emplace_back(line.substr(at, span.offset - at));
    at = span.offset + span.size;
  }
  out.pieces.literals.emplace_back(line.substr(at));
  out.shape.kind = Shape::Kind::kJson;
  out.shape.fields = std::move(fields);
  std::uint64_t id = kTableSeed;  // nobody shall make two shapes of one id
  for (std::size_t i = 0; i < out.pieces.literals.size(); ++i) {
    id = hash_bytes(out.pieces.literals[i], id);
    if (i < out.shape.fields.size())
      id = mix_hash(id, static_cast<std::uint64_t>(out.shape.fields[i].syntax) + 1);
  }
  out.shape.id = id;
  return out;
}

}  // namespace

std::optional<JsonShape> parse_json_shape(std::string_view line, std::vector<ValueSpan>* spans) {
  if (line.size() > kLineBytesMax) return std::nullopt;
  FullParser parser(line);
  if (!parser.run()) return std::nullopt;
  JsonShape shape = make_shape(line, parser.spans, std::move(parser.fields));
  if (spans != nullptr) spans->insert(spans->end(), parser.spans.begin(), parser.spans.end());
  return shape;
}

std::optional<JsonShape> shape_of_literals(Pieces pieces,
                                           const std::vector<Field::Syntax>& syntaxes) {
  if (syntaxes.size() != pieces.values()) return std::nullopt;
  std::string line = pieces.literals[0];
  for (std::size_t i = 0; i < syntaxes.size(); ++i) {
    if (syntaxes[i] == Field::Syntax::kToken) line += '0';
    line += pieces.literals[i + 1];
  }
  std::optional<JsonShape> shape = parse_json_shape(line, nullptr);
  if (!shape || shape->pieces.literals != pieces.literals) return std::nullopt;
  for (std::size_t i = 0; i < syntaxes.size(); ++i)
    if (shape->shape.fields[i].syntax != syntaxes[i]) return std::nullopt;
  return shape;
}

void unescape_json(std::string_view raw, std::string& out) {
  out.clear();
  for (std::size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] != '\\' || i + 1 == raw.size()) {
      out.push_back(raw[i]);
      continue;
    }
    switch (const char c = raw[++i]) {
      case 'b': out.push_back('\b'); break;
      case 'f': out.push_back('\f'); break;
      case 'n': out.push_back('\n'); break;
      case 'r': out.push_back('\r'); break;
      case 't': out.push_back('\t'); break;
      case 'u': {
        int rune = i + 5 <= raw.size() ? hex4(raw.data() + i + 1) : -1;
        i = std::min(i + 4, raw.size() - 1);
        if (rune >= 0xD800 && rune <= 0xDBFF && i + 7 <= raw.size() && raw[i + 1] == '\\') {
          const int low = hex4(raw.data() + i + 3);
          rune = 0x10000 + ((rune - 0xD800) << 10) + (low - 0xDC00);
          i += 6;
        }
        base::append_rune(out, static_cast<char32_t>(rune));
        break;
      }
      default: out.push_back(c); break;
    }
  }
}

struct Shredder::Impl {
  struct Child {
    std::string literal;
    char head[16] = {};  // of the literal, zeros behind it
    Field::Syntax syntax = Field::Syntax::kString;
    std::uint32_t node = 0;          // after the value
    std::uint32_t shape = kNoShape;  // the literal ends the line
  };
  struct Node {
    std::vector<Child> children;  // the one that matched last comes first
  };
  std::vector<Node> nodes{1};
  std::vector<std::unique_ptr<JsonShape>> shapes;
  std::size_t refused = 0;  // lines of new shapes that found no place

  static bool starts_with(const char* p, const char* end, const Child& child) noexcept;
  std::uint32_t match(std::string_view line, std::vector<ValueSpan>& spans);
  std::uint32_t learn(std::string_view line, std::vector<ValueSpan>& spans);
  bool add(const JsonShape& shape, std::uint32_t number);
};

// Most literals are shorter than 16 bytes: one comparison without a call.
inline bool Shredder::Impl::starts_with(const char* p, const char* end,
                                        const Child& child) noexcept {
  const std::size_t size = child.literal.size(), left = static_cast<std::size_t>(end - p);
  if (left < size) return false;
  if (left < 16) return std::memcmp(p, child.literal.data(), size) == 0;
  const __m128i have = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  const __m128i want = _mm_loadu_si128(reinterpret_cast<const __m128i*>(child.head));
  const auto differ = ~static_cast<unsigned>(_mm_movemask_epi8(_mm_cmpeq_epi8(have, want)));
  if (size <= 16) return (differ & ((1U << size) - 1)) == 0;
  return (differ & 0xFFFF) == 0 && std::memcmp(p + 16, child.literal.data() + 16, size - 16) == 0;
}

std::uint32_t Shredder::Impl::match(std::string_view line, std::vector<ValueSpan>& spans) {
  const char* const start = line.data();
  const char* const end = start + line.size();
  const char* p = start;
  std::uint32_t at = 0;
  while (true) {
    std::vector<Child>& children = nodes[at].children;
    std::size_t i = 0;
    const char* stop = nullptr;
    for (; i < children.size(); ++i) {
      const Child& child = children[i];
      const std::size_t size = child.literal.size();
      if (!starts_with(p, end, child)) continue;
      if (child.shape != kNoShape) {
        if (p + size == end) return child.shape;
        continue;
      }
      stop = child.syntax == Field::Syntax::kString ? scan_string(p + size, end)
                                                    : scan_token(p + size, end);
      if (stop != nullptr) break;
    }
    if (i == children.size()) return kNoShape;
    if (i > 0) std::swap(children[i], children[i / 2]);  // towards the front, without thrashing
    const Child& child = children[i / 2];
    p += child.literal.size();
    spans.push_back({static_cast<std::uint32_t>(p - start), static_cast<std::uint32_t>(stop - p)});
    p = stop;
    at = child.node;
  }
}

// Extends the tree by a shape's literals. False if a node would get too many children.
bool Shredder::Impl::add(const JsonShape& shape, std::uint32_t number) {
  std::uint32_t at = 0;
  const std::size_t values = shape.pieces.values();
  for (std::size_t i = 0; i <= values; ++i) {
    const std::string& literal = shape.pieces.literals[i];
    const bool last = i == values;
    auto& children = nodes[at].children;
    const auto found = std::find_if(children.begin(), children.end(), [&](const Child& child) {
      return child.literal == literal && (child.shape != kNoShape) == last &&
             (last || child.syntax == shape.shape.fields[i].syntax);
    });
    if (found != children.end() && !last) {
      at = found->node;
      continue;
    }
    if (children.size() >= kChildrenMax) return false;
    Child child;
    child.literal = literal;
    std::memcpy(child.head, literal.data(), std::min(literal.size(), sizeof(child.head)));
    if (!last) child.syntax = shape.shape.fields[i].syntax;
    if (last) child.shape = number;
    if (!last) child.node = static_cast<std::uint32_t>(nodes.size());
    children.push_back(std::move(child));
    if (!last) {
      at = static_cast<std::uint32_t>(nodes.size());
      nodes.emplace_back();
    }
  }
  return true;
}

std::uint32_t Shredder::Impl::learn(std::string_view line, std::vector<ValueSpan>& spans) {
  if (shapes.size() >= kShapesKnownMax || refused >= kShapesKnownMax) return kNoShape;
  const std::size_t before = spans.size();
  std::optional<JsonShape> shape = parse_json_shape(line, &spans);
  if (!shape) return kNoShape;
  const auto number = static_cast<std::uint32_t>(shapes.size());
  if (!add(*shape, number)) {
    spans.resize(before);
    ++refused;
    return kNoShape;
  }
  shapes.push_back(std::make_unique<JsonShape>(std::move(*shape)));
  return number;
}

Shredder::Shredder() : impl_(std::make_unique<Impl>()) {}
Shredder::~Shredder() = default;

std::uint32_t Shredder::shred(std::string_view line, std::vector<ValueSpan>& spans) {
  if (line.size() < 2 || line.size() > kLineBytesMax) return kNoShape;
  const std::size_t before = spans.size();
  const std::uint32_t known = impl_->match(line, spans);
  if (known != kNoShape) return known;
  spans.resize(before);
  return impl_->learn(line, spans);
}

const JsonShape& Shredder::shape(std::uint32_t number) const { return *impl_->shapes[number]; }
std::size_t Shredder::shapes_count() const noexcept { return impl_->shapes.size(); }

}  // namespace skald::store::part
