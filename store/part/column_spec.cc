#include "store/part/column_spec.h"

#include <algorithm>
#include <cstring>

#include "store/part/bloom.h"
#include "store/part/limits.h"
#include "store/part/span_match.h"

namespace skald::store::part {
namespace {

constexpr std::uint64_t kWordsMax = 1U << 26;  // words of one column

base::Status parse_stamp(base::ByteReader& reader, ColumnSpec& out) {
  for (std::uint64_t& word : out.bytes.words()) word = reader.read_le<std::uint64_t>();
  out.longest = reader.read_varint();
  return {};
}

void add_to_stamp(std::string_view value, ColumnSpec& out) {
  out.bytes.add(value);
  out.longest = std::max<std::uint64_t>(out.longest, value.size());
}

// The stamp of a column that stores none, from what is known of it.
void derive_stamp(ColumnSpec& out) {
  switch (out.encoding) {
    case Encoding::kConstant: add_to_stamp(out.text, out); break;
    case Encoding::kTimestamp:
      out.bytes.add("0123456789-:");
      out.bytes.add(out.format.suffix);
      out.bytes.add(static_cast<unsigned char>(out.format.separator));
      out.bytes.add(static_cast<unsigned char>(out.format.point));
      out.longest = out.format.size();
      break;
    case Encoding::kUuid:
      out.bytes.add("0123456789abcdef-");
      out.longest = kUuidTextBytes;
      break;
    case Encoding::kHex:
      out.bytes.add("0123456789abcdef");
      out.longest = std::uint64_t{out.width} * 2;
      break;
    case Encoding::kIpv4:
      out.bytes.add("0123456789.");
      out.longest = 15;
      break;
    case Encoding::kDigits:
      out.bytes.add("0123456789");
      out.longest = out.width;
      break;
    case Encoding::kDerived:
      out.bytes = out.children[0].bytes;
      out.longest = out.children[0].longest;
      break;
    case Encoding::kTemplate:
      for (const TemplateSpec& spec : out.templates) {
        std::uint64_t size = 0;
        for (const std::string_view literal : spec.literals) {
          out.bytes.add(literal);
          size += literal.size();
        }
        for (std::size_t v = 0; v + 1 < spec.literals.size(); ++v) {
          const ColumnSpec& child = out.children[spec.first_child + v];
          out.bytes.add(child.bytes);
          size += std::min(child.longest, kLineBytesMax);
        }
        out.longest = std::max(out.longest, size);
      }
      break;
    default: break;
  }
}

base::Status parse_ints(base::ByteReader& reader, const GroupShared& shared, ColumnSpec& out) {
  SKALD_TRY_ASSIGN(out.ints, Ints::parse(reader, out.rows, shared.source));
  return {};
}

base::Status parse_decimal_spec(base::ByteReader& reader, const GroupShared& shared,
                                ColumnSpec& out) {
  out.scale = reader.read_le<std::uint8_t>();
  const auto rule = reader.read_le<std::uint8_t>();
  out.min = base::unzigzag(reader.read_varint());
  out.max = base::unzigzag(reader.read_varint());
  if (out.scale > kDecimalScaleMax || rule > 2 || out.min < -kDecimalMantissaMax ||
      out.max > kDecimalMantissaMax || out.min > out.max)
    return shared.source.damaged("decimal column header");
  out.rule = static_cast<DecimalRule>(rule);
  SKALD_TRY_ASSIGN(out.ints, Ints::parse(reader, out.rows, shared.source));
  const std::uint64_t exceptions = reader.read_varint();
  bool ok = exceptions <= out.rows;
  out.exceptions = static_cast<std::uint32_t>(exceptions);
  out.bytes.add("0123456789.-");
  out.longest = kDecimalTextMax;
  if (exceptions > 0) {
    ColumnSpec listed;
    SKALD_TRY(parse_stamp(reader, listed));
    out.page = PageRef::parse(reader, ok);
    out.exception_bytes = listed.bytes;
    out.bytes.add(listed.bytes);
    out.longest = std::max<std::uint64_t>(out.longest, listed.longest);
  }
  return ok ? base::Status() : shared.source.damaged("decimal exceptions");
}

base::Status parse_timestamp_spec(base::ByteReader& reader, const GroupShared& shared,
                                  ColumnSpec& out) {
  out.format.separator = static_cast<char>(reader.read_le<std::uint8_t>());
  out.format.point = static_cast<char>(reader.read_le<std::uint8_t>());
  out.format.fraction = reader.read_le<std::uint8_t>();
  out.format.suffix = reader.read_bytes();
  const bool known = (out.format.separator == 'T' || out.format.separator == ' ') &&
                     (out.format.point == '.' || out.format.point == ',');
  if (!known || out.format.fraction > 9 || out.format.suffix.size() > kTimestampSuffixMax)
    return shared.source.damaged("timestamp column header");
  SKALD_TRY_ASSIGN(out.ints, Ints::parse(reader, out.rows, shared.source));
  return {};
}

base::Status parse_templates(base::ByteReader& reader, const GroupShared& shared, unsigned depth,
                             ColumnSpec& out) {
  const std::uint64_t count = reader.read_varint();
  if (count == 0 || count > kTemplatesMax) return shared.source.damaged("template count");
  std::uint64_t rows = 0;
  std::uint32_t children = 0;
  for (std::uint64_t t = 0; t < count && !reader.failed(); ++t) {
    TemplateSpec spec;
    const std::uint64_t variables = reader.read_varint();
    if (variables > kTemplateVariablesMax) return shared.source.damaged("template variables");
    for (std::uint64_t i = 0; i <= variables; ++i) {
      spec.literals.push_back(reader.read_bytes());
      if (i > 0 && i < variables && spec.literals.back().empty())
        return shared.source.damaged("template without a literal between variables");
    }
    const std::uint64_t template_rows = reader.read_varint();
    rows += std::min<std::uint64_t>(template_rows, kRowGroupRowsMax + 1);
    spec.rows = static_cast<std::uint32_t>(template_rows);
    spec.first_child = children;
    children += static_cast<std::uint32_t>(variables);
    out.templates.push_back(std::move(spec));
  }
  if (reader.failed() || rows != out.rows) return shared.source.damaged("template rows");
  SKALD_TRY_ASSIGN(out.ints, Ints::parse(reader, out.rows, shared.source));
  out.children.reserve(children);
  for (const TemplateSpec& spec : out.templates)
    for (std::size_t v = 0; v + 1 < spec.literals.size(); ++v) {
      out.children.emplace_back();
      SKALD_TRY(parse_column(reader, spec.rows, shared, depth + 1, out.children.back()));
    }
  return {};
}

base::Status parse_words(base::ByteReader& reader, const GroupShared& shared, ColumnSpec& out) {
  SKALD_TRY(parse_entries(reader, shared, out));
  SKALD_TRY_ASSIGN(out.ints, Ints::parse(reader, out.rows, shared.source));
  const std::uint64_t total = reader.read_varint();
  if (total > std::min(kWordsMax, shared.line_bytes + out.rows))
    return shared.source.damaged("word count");
  SKALD_TRY_ASSIGN(Ints words,
                   Ints::parse(reader, static_cast<std::uint32_t>(total), shared.source));
  out.words = std::make_unique<Ints>(std::move(words));
  return {};
}

// Where a text may lie in values of one pattern ('d' a digit, 'x' a hex digit, else itself).
std::vector<std::uint32_t> places_in(std::string_view pattern, const TextTest& test) {
  std::vector<std::uint32_t> places;
  if (test.text.size() > pattern.size()) return places;
  const std::size_t last = pattern.size() - test.text.size();
  const auto fits = [&](std::size_t at) {
    for (std::size_t i = 0; i < test.text.size(); ++i) {
      const char want = pattern[at + i], c = test.text[i];
      const bool digit = c >= '0' && c <= '9';
      const bool ok = want == 'd'   ? digit
                      : want == 'x' ? digit || (c >= 'a' && c <= 'f')
                                    : c == (test.fold ? fold_byte(want) : want);
      if (!ok) return false;
    }
    return true;
  };
  using Op = TextTest::Op;
  for (std::size_t at = 0; at <= last; ++at) {
    if ((test.op == Op::kPrefix || test.op == Op::kEquals) && at != 0) break;
    if ((test.op == Op::kSuffix || test.op == Op::kEquals) && at != last) continue;
    if (fits(at)) places.push_back(static_cast<std::uint32_t>(at));
  }
  return places;
}

constexpr std::string_view kUuidPattern = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

bool may_be_uuid(const TextTest& test, const GroupShared& shared) {
  Uuid uuid;
  if (test.text.size() == kUuidTextBytes) {
    if (!parse_uuid(test.text.data(), uuid) || !shared.may_have_uuid(uuid)) return false;
    const auto passed = shared.uuids_passing(test);  // the filter may be wrong: look
    return !passed.ok() || *passed != nullptr;
  }
  return !places_in(kUuidPattern, test).empty();
}

bool may_be_hex(const ColumnSpec& column, const TextTest& test, const GroupShared& shared) {
  if (test.text.size() < column.longest) return test.op != TextTest::Op::kEquals;
  char bytes[kHexBytesMax];
  return hex_decode(test.text, bytes) && shared.may_have_hex({bytes, column.width});
}

// No run of more than three digits, at most three points.
bool may_be_address(std::string_view text) {
  std::size_t run = 0, points = 0;
  for (const char c : text) {
    run = c == '.' ? 0 : run + 1;
    points += c == '.';
    if (run > 3 || points > 3) return false;
  }
  return true;
}

bool may_be_timestamp(const ColumnSpec& column, const TextTest& test) {
  std::string pattern = "dddd-dd-dd*dd:dd:dd";
  pattern[10] = column.format.separator;
  if (column.format.fraction > 0) {
    pattern.push_back(column.format.point);
    pattern.append(column.format.fraction, 'd');
  }
  // Letters of the suffix must not be read as classes: what has them is not told apart.
  for (const char c : column.format.suffix)
    if (c == 'd' || c == 'x') return true;
  return !places_in(pattern + column.format.suffix, test).empty();
}

bool may_be_template(const ColumnSpec& column, const TextTest& test, const GroupShared& shared) {
  if (test.op != TextTest::Op::kContains && test.op != TextTest::Op::kPrefix) return true;
  for (const TemplateSpec& spec : column.templates) {
    if (spec.rows == 0) continue;
    const auto may = [&](std::uint32_t value, const TextTest& part) {
      return may_pass(column.children[spec.first_child + value], part, shared);
    };
    const SpanMatch match = find_spans(std::span<const std::string_view>(spec.literals), test, may);
    if (match.always || match.overflow || !match.ways.empty()) return true;
  }
  return false;
}

// Words hold no space; a needle's inner words are whole entries, its outer ones parts of some.
bool may_be_words(const ColumnSpec& column, const TextTest& test) {
  const auto some = [&](const TextTest& part) {
    if (!column.entries.inlined)
      return part.text.size() <= column.longest && column.bytes.covers(part.text, part.fold);
    return std::any_of(column.entries.entries.begin(), column.entries.entries.end(),
                       [&](std::string_view word) { return part.matches(word); });
  };
  using Op = TextTest::Op;
  const bool open_front = test.op == Op::kContains || test.op == Op::kSuffix;
  const bool open_back = test.op == Op::kContains || test.op == Op::kPrefix;
  std::size_t start = 0;
  while (true) {
    const std::size_t space = test.text.find(' ', start);
    const bool first = start == 0, last = space == std::string_view::npos;
    TextTest part{Op::kEquals, test.fold, test.text.substr(start, last ? space : space - start)};
    const bool front = first && open_front, back = last && open_back;
    part.op = front && back ? Op::kContains
              : front       ? Op::kSuffix
              : back        ? Op::kPrefix
                            : Op::kEquals;
    if (!some(part)) return false;
    if (last) return true;
    start = space + 1;
  }
}

}  // namespace

bool GroupShared::may_have_uuid(const Uuid& uuid) const {
  if (uuids_count == 0) return false;
  std::call_once(filter_once_,
                 [&] { filter_ = source.read(uuid_filter, kRowGroupBytesMax, nullptr); });
  return !filter_.ok() || bloom_has(filter_->view, bloom_hash(uuid));
}

bool GroupShared::may_have_hex(std::string_view bytes) const {
  if (bytes.size() < kFilteredHexBytesMin) return true;
  if (hex_count == 0) return false;
  std::call_once(hex_once_, [&] { hex_ = source.read(hex_filter, kRowGroupBytesMax, nullptr); });
  return !hex_.ok() || bloom_has(hex_->view, bloom_hash(bytes));
}

base::Status GroupShared::verify_filters() const {
  if (uuids_count > 0) SKALD_TRY(source.read(uuid_filter, kRowGroupBytesMax, nullptr));
  if (hex_count > 0) SKALD_TRY(source.read(hex_filter, kRowGroupBytesMax, nullptr));
  return {};
}

base::Result<std::string_view> GroupShared::uuid_bytes() const {
  std::call_once(table_once_, [&] {
    table_ = source.read(uuid_table, std::uint64_t{uuids_count} * sizeof(Uuid), nullptr);
    if (table_.ok() && table_->view.size() != std::uint64_t{uuids_count} * sizeof(Uuid))
      table_ = source.damaged("UUID table size");
  });
  if (!table_.ok()) return table_.status();
  return table_->view;
}

base::Result<GroupShared::Passed> GroupShared::uuids_passing(const TextTest& test) const {
  {
    const std::lock_guard lock(answer_mutex_);
    if (answer_ != nullptr && answer_->test.op == test.op && answer_->test.fold == test.fold &&
        answer_->text == test.text)
      return answer_->passed;
  }
  SKALD_TRY_ASSIGN(const std::string_view table, uuid_bytes());
  auto passed = std::make_shared<std::vector<std::uint8_t>>(uuids_count);
  bool any = false;
  Uuid wanted;
  const bool whole = test.text.size() == kUuidTextBytes && parse_uuid(test.text.data(), wanted);
  const std::vector<std::uint32_t> places = places_in(kUuidPattern, test);
  char text[kUuidTextBytes];
  for (std::uint32_t i = 0; i < uuids_count && !places.empty(); ++i) {
    const char* const entry = table.data() + std::size_t{i} * sizeof(Uuid);
    if (whole) {
      if (base::load_le<std::uint64_t>(entry) != wanted.high) continue;
      (*passed)[i] = base::load_le<std::uint64_t>(entry + 8) == wanted.low;
    } else {
      Uuid uuid;
      std::memcpy(&uuid, entry, sizeof(Uuid));
      write_uuid(uuid, text);
      for (const std::uint32_t at : places)
        if (std::memcmp(text + at, test.text.data(), test.text.size()) == 0) (*passed)[i] = 1;
    }
    any |= (*passed)[i] != 0;
  }
  auto answer = std::make_unique<Answer>();
  answer->test = test;
  answer->text = test.text;
  if (any) answer->passed = passed;
  const std::lock_guard lock(answer_mutex_);
  answer_ = std::move(answer);
  return answer_->passed;
}

base::Status split_entries(std::string_view list, std::uint32_t count, const PageSource& source,
                           std::vector<std::string_view>& out) {
  base::ByteReader reader(list);
  if (count > list.size()) return source.damaged("dictionary count");
  std::vector<std::uint64_t> sizes(count);
  for (std::uint64_t& size : sizes) size = reader.read_varint();
  out.reserve(count);
  for (const std::uint64_t size : sizes) out.push_back(reader.read(size));
  return reader.failed() || !reader.done() ? source.damaged("dictionary entries") : base::Status();
}

base::Status parse_entries(base::ByteReader& reader, const GroupShared& shared, ColumnSpec& out) {
  const std::uint64_t count = reader.read_varint();
  const auto inlined = reader.read_le<std::uint8_t>();
  if (count == 0 || count > kDictionaryMax || inlined > 1)
    return shared.source.damaged("dictionary header");
  out.entries.count = static_cast<std::uint32_t>(count);
  out.entries.inlined = inlined == 1;
  if (out.entries.inlined) {
    SKALD_TRY(
        split_entries(reader.read_bytes(), out.entries.count, shared.source, out.entries.entries));
    for (const std::string_view entry : out.entries.entries) add_to_stamp(entry, out);
    return {};
  }
  SKALD_TRY(parse_stamp(reader, out));
  bool ok = true;
  out.entries.page = PageRef::parse(reader, ok);
  return ok ? base::Status() : shared.source.damaged("dictionary page");
}

base::Status parse_column(base::ByteReader& reader, std::uint32_t rows, const GroupShared& shared,
                          unsigned depth, ColumnSpec& out) {
  const PageSource& source = shared.source;
  if (depth > kColumnDepthMax) return source.damaged("columns nested too deep");
  const auto encoding = reader.read_le<std::uint8_t>();
  if (reader.failed() || encoding > static_cast<std::uint8_t>(Encoding::kDerived))
    return source.damaged("column encoding");
  out.encoding = static_cast<Encoding>(encoding);
  out.rows = rows;
  bool ok = true;
  switch (out.encoding) {
    case Encoding::kConstant: out.text = reader.read_bytes(); break;
    case Encoding::kText:
      SKALD_TRY(parse_stamp(reader, out));
      SKALD_TRY(parse_ints(reader, shared, out));
      out.page = PageRef::parse(reader, ok);
      break;
    case Encoding::kDecimal: SKALD_TRY(parse_decimal_spec(reader, shared, out)); break;
    case Encoding::kTimestamp: SKALD_TRY(parse_timestamp_spec(reader, shared, out)); break;
    case Encoding::kHex:
      out.width =
          static_cast<std::uint32_t>(std::min<std::uint64_t>(reader.read_varint(), 1U << 20));
      ok = out.width >= 1 && out.width <= kHexBytesMax;
      out.page = PageRef::parse(reader, ok);
      break;
    case Encoding::kDigits:
      out.width =
          static_cast<std::uint32_t>(std::min<std::uint64_t>(reader.read_varint(), 1U << 20));
      ok = out.width >= 1 && out.width <= 18;
      [[fallthrough]];
    case Encoding::kUuid:
    case Encoding::kIpv4: {
      SKALD_TRY(parse_ints(reader, shared, out));
      break;
    }
    case Encoding::kDictionary: {
      SKALD_TRY(parse_entries(reader, shared, out));
      SKALD_TRY(parse_ints(reader, shared, out));
      break;
    }
    case Encoding::kTemplate: SKALD_TRY(parse_templates(reader, shared, depth, out)); break;
    case Encoding::kWords: SKALD_TRY(parse_words(reader, shared, out)); break;
    case Encoding::kDerived: {
      out.determinant =
          static_cast<std::uint32_t>(std::min<std::uint64_t>(reader.read_varint(), 1U << 20));
      const std::uint64_t distinct = reader.read_varint();
      if (distinct == 0 || distinct > rows) return source.damaged("derived column");
      out.children.emplace_back();
      SKALD_TRY(parse_column(reader, static_cast<std::uint32_t>(distinct), shared, depth + 1,
                             out.children.back()));
      break;
    }
  }
  if (!ok || reader.failed()) return source.damaged("column header");
  derive_stamp(out);
  return {};
}

bool may_pass(const ColumnSpec& column, const TextTest& test, const GroupShared& shared) {
  if (column.rows == 0) return false;
  if (column.encoding == Encoding::kWords) return may_be_words(column, test);
  if (test.text.size() > column.longest || !column.bytes.covers(test.text, test.fold)) return false;
  switch (column.encoding) {
    case Encoding::kConstant: return test.matches(column.text);
    case Encoding::kDictionary:
      return !column.entries.inlined ||
             std::any_of(column.entries.entries.begin(), column.entries.entries.end(),
                         [&](std::string_view entry) { return test.matches(entry); });
    case Encoding::kDecimal:
      return may_be_number(column, test) ||
             (column.exceptions > 0 && column.exception_bytes.covers(test.text, test.fold));
    case Encoding::kUuid: return may_be_uuid(test, shared);
    case Encoding::kTimestamp: return may_be_timestamp(column, test);
    case Encoding::kIpv4: return may_be_address(test.text);
    case Encoding::kHex: return may_be_hex(column, test, shared);
    case Encoding::kTemplate: return may_be_template(column, test, shared);
    case Encoding::kDerived: return may_pass(column.children[0], test, shared);
    default: return true;
  }
}

bool may_be_number(const ColumnSpec& column, const TextTest& test) {
  const std::string_view text = test.text;
  const std::size_t point = text.find('.');
  const std::string_view whole = text.substr(0, point);
  const std::string_view rest =
      point == std::string_view::npos ? std::string_view() : text.substr(point + 1);
  const auto digits = [](std::string_view part) {
    return std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; });
  };
  const std::int64_t largest = std::max(column.max, -column.min) / kPowersOfTen[column.scale];
  const std::size_t whole_max = std::to_string(largest).size();
  const bool minus = whole.starts_with('-');
  const std::size_t whole_size = whole.size() - (minus ? 1 : 0);
  if (!digits(whole.substr(minus ? 1 : 0)) || !digits(rest)) return false;
  if (minus && column.min >= 0) return false;
  if (point != std::string_view::npos)
    return column.scale > 0 && whole_size <= whole_max && rest.size() <= column.scale;
  return whole_size <= (minus ? whole_max : std::max<std::size_t>(whole_max, column.scale));
}

}  // namespace skald::store::part
