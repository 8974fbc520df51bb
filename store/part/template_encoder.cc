// Strings that share literal pieces: `/api/v1/conversations/<uuid>/message`, `cust_<digits>`, log
// lines in plain text. What holds a digit is a variable, the rest is literal; each variable of each
// template is a column of its own.

#include <cmath>
#include <deque>

#include "store/part/column_encoder.h"
#include "store/part/column_format.h"
#include "store/part/intpack.h"

namespace skald::store::part {
namespace {

constexpr char kMark = '\0';                 // stands for a variable in a skeleton
constexpr std::size_t kSkeletonsMax = 1024;  // while counting; the frequent ones are kept
constexpr std::uint32_t kTemplateRowsMin = 16;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_alnum(char c) { return is_digit(c) || is_letter(c); }

struct Tokens {
  std::string skeleton;
  std::vector<std::string_view> variables;
};

class Tokenizer {
 public:
  explicit Tokenizer(std::string_view text) : text_(text) {}

  // False if the text cannot be a template: a mark byte, adjacent or too many variables.
  bool run(Tokens& out) {
    out.skeleton.clear();
    out.variables.clear();
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == kMark) return false;
      if (!is_alnum(c)) {
        out.skeleton.push_back(c);
        ++at_;
        if (c == '=' && !assigned(out)) return false;
        continue;
      }
      const std::size_t literal = literal_size();
      out.skeleton.append(text_, at_, literal);
      at_ += literal;
      const std::size_t variable = literal == 0 || starts_variable_ ? variable_size() : 0;
      if (variable != 0 && !take(variable, out)) return false;
    }
    return true;
  }

 private:
  bool take(std::size_t size, Tokens& out) {
    if (!out.skeleton.empty() && out.skeleton.back() == kMark) return false;
    out.skeleton.push_back(kMark);
    out.variables.push_back(text_.substr(at_, size));
    at_ += size;
    return out.variables.size() <= kTemplateVariablesMax;
  }

  // key=value and key="some value": the value is a variable whatever it holds.
  bool assigned(Tokens& out) {
    std::size_t end = at_;
    if (end < text_.size() && text_[end] == '"') {
      out.skeleton.push_back('"');
      ++at_;
      for (end = at_; end < text_.size() && text_[end] != '"'; ++end)
        if (text_[end] == '\\') ++end;
      if (end >= text_.size()) return true;  // never closed: go on as usual
    } else {
      while (end < text_.size() &&
             std::string_view(" \t,;&)]}\"").find(text_[end]) == std::string_view::npos)
        ++end;
    }
    return end == at_ || take(end - at_, out);
  }

  // Literal bytes at the start of a run of letters and digits.
  std::size_t literal_size() {
    starts_variable_ = false;
    std::size_t letters = at_;
    while (letters < text_.size() && is_letter(text_[letters])) ++letters;
    std::size_t end = letters;
    bool only_digits = true;
    for (; end < text_.size() && is_alnum(text_[end]); ++end) only_digits &= is_digit(text_[end]);
    run_end_ = end;
    if (end == letters) return uuid_here() ? 0 : end - at_;
    const std::size_t prefix = letters - at_;
    if (prefix == 0 || !only_digits || uuid_here()) return 0;
    if (prefix < 3 && end - at_ >= 8) return 0;
    starts_variable_ = true;
    return prefix;
  }

  bool uuid_here() const {
    Uuid uuid;
    return text_.size() - at_ >= kUuidTextBytes && parse_uuid(text_.data() + at_, uuid) &&
           (text_.size() - at_ == kUuidTextBytes || !is_alnum(text_[at_ + kUuidTextBytes]));
  }

  std::size_t variable_size() const {
    if (starts_variable_) return run_end_ - at_;
    if (uuid_here()) return kUuidTextBytes;
    const std::string_view rest = text_.substr(at_);
    if (const std::size_t size = timestamp_prefix(rest); size != 0) return size;
    std::size_t end = 0, dots = 0, dot_at = 0;
    for (; end < rest.size(); ++end) {
      if (rest[end] == '.' && end + 1 < rest.size() && is_digit(rest[end + 1])) {
        if (dots++ == 0) dot_at = end;
      } else if (!is_digit(rest[end])) {
        break;
      }
    }
    std::uint32_t address;
    if (dots == 3 && parse_ipv4(rest.substr(0, end), address)) return end;
    if (end > 0) {
      if (dots > 1) return dot_at;
      std::size_t unit = end;  // 12.5ms: a number and a literal unit
      while (unit < rest.size() && is_letter(rest[unit])) ++unit;
      if (unit - end <= 3 && (unit == rest.size() || !is_digit(rest[unit]))) return end;
    }
    return run_end_ - at_;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t run_end_ = 0;
  bool starts_variable_ = false;
};

struct Grouping {
  std::vector<std::uint32_t> ids;      // per row, index into templates
  std::vector<std::string> skeletons;  // kept; the first is the whole value as a variable
  std::vector<std::uint32_t> rows;
  std::vector<std::string_view> variables;  // of all rows in turn
  std::vector<std::uint8_t> counts;         // of variables, per row
};

// Counts skeletons and keeps the frequent ones. Nothing if too few rows fall into them.
std::optional<Grouping> group_rows(std::span<const std::string_view> values) {
  StringTable table(kSkeletonsMax);
  std::deque<std::string> owned;
  std::vector<std::uint32_t> counts;
  std::vector<std::uint32_t> ids(values.size());
  std::size_t misses = 0;
  Tokens tokens;
  Grouping grouping;
  grouping.counts.reserve(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::uint32_t id = StringTable::kFull;
    if (Tokenizer(values[i]).run(tokens)) {
      id = table.find(tokens.skeleton);
      if (id == StringTable::kFull && owned.size() < kSkeletonsMax) {
        owned.push_back(tokens.skeleton);
        id = table.insert(owned.back());
        counts.push_back(0);
      }
    }
    if (id != StringTable::kFull)
      ++counts[id];
    else
      ++misses;
    ids[i] = id;
    const std::size_t found = id != StringTable::kFull ? tokens.variables.size() : 0;
    grouping.counts.push_back(static_cast<std::uint8_t>(found));
    for (std::size_t v = 0; v < found; ++v) grouping.variables.push_back(tokens.variables[v]);
    if (i == 512 && owned.size() > 450) return std::nullopt;
    if (misses > values.size() / 4 * 3) return std::nullopt;
  }
  const std::string whole(1, kMark);
  std::vector<std::uint32_t> by_count(owned.size());
  for (std::uint32_t i = 0; i < by_count.size(); ++i) by_count[i] = i;
  std::sort(by_count.begin(), by_count.end(),
            [&](std::uint32_t a, std::uint32_t b) { return counts[a] > counts[b]; });
  grouping.skeletons.push_back(whole);
  std::vector<std::uint32_t> kept(owned.size(), 0);
  std::size_t covered = 0;
  for (const std::uint32_t id : by_count) {
    if (counts[id] < kTemplateRowsMin || grouping.skeletons.size() == kTemplatesMax) break;
    if (owned[id] == whole) continue;
    kept[id] = static_cast<std::uint32_t>(grouping.skeletons.size());
    grouping.skeletons.push_back(owned[id]);
    covered += counts[id];
  }
  if (covered * 4 < values.size()) return std::nullopt;
  grouping.rows.resize(grouping.skeletons.size());
  for (std::uint32_t& id : ids) {
    id = id == StringTable::kFull ? 0 : kept[id];
    ++grouping.rows[id];
  }
  grouping.ids = std::move(ids);
  return grouping;
}

std::size_t variables_of(const std::string& skeleton) {
  return static_cast<std::size_t>(std::count(skeleton.begin(), skeleton.end(), kMark));
}

void put_template(const std::string& skeleton, std::uint32_t rows, std::string& spec) {
  base::put_varint(spec, variables_of(skeleton));
  std::size_t start = 0;
  for (std::size_t i = 0; i <= skeleton.size(); ++i) {
    if (i < skeleton.size() && skeleton[i] != kMark) continue;
    base::put_bytes(spec, std::string_view(skeleton).substr(start, i - start));
    start = i + 1;
  }
  base::put_varint(spec, rows);
}

}  // namespace

std::optional<EncodedColumn> encode_template(EncodeContext& context, const ColumnInput& input) {
  if (input.values.size() < 2 * kTemplateRowsMin) return std::nullopt;
  const std::optional<Grouping> grouping = group_rows(input.values);
  if (!grouping) return std::nullopt;
  EncodedColumn encoded;
  encoded.spec.push_back(static_cast<char>(Encoding::kTemplate));
  base::put_varint(encoded.spec, grouping->skeletons.size());
  std::vector<std::size_t> first(grouping->skeletons.size() + 1, 0);
  for (std::size_t t = 0; t < grouping->skeletons.size(); ++t) {
    put_template(grouping->skeletons[t], grouping->rows[t], encoded.spec);
    first[t + 1] = first[t] + variables_of(grouping->skeletons[t]);
  }
  const std::vector<std::uint64_t> ids(grouping->ids.begin(), grouping->ids.end());
  encode_ints(ids, IntsHint::kPlain, context.pages, encoded.spec);

  std::vector<std::vector<std::string_view>> variables(first.back());
  std::vector<std::vector<model::TimestampNs>> times(grouping->skeletons.size());
  for (std::size_t row = 0, at = 0; row < ids.size(); at += grouping->counts[row++]) {
    const std::uint32_t id = grouping->ids[row];
    times[id].push_back(input.times[row]);
    if (id == 0) {
      variables[0].push_back(input.values[row]);
      continue;
    }
    for (std::size_t v = 0; v < grouping->counts[row]; ++v)
      variables[first[id] + v].push_back(grouping->variables[at + v]);
  }
  for (std::size_t t = 0; t < grouping->skeletons.size(); ++t)
    for (std::size_t v = first[t]; v < first[t + 1]; ++v)
      encoded.children.push_back(encode_column(
          context, {.values = variables[v],
                    .times = times[t],
                    .depth = input.depth + (t == 0 ? 3 : 1)}));  // the rest is not split again
  return encoded;
}

std::optional<EncodedColumn> encode_words(EncodeContext& context, const ColumnInput& input) {
  constexpr std::uint32_t kWordsMax = 1U << 16;
  constexpr std::size_t kSampleBytes = 32U << 10;
  StringTable table(kWordsMax);
  std::vector<std::uint64_t> ids, counts;
  std::string sample;
  std::size_t sample_ids = 0;
  for (std::size_t i = 0; i < input.values.size(); ++i) {
    const std::string_view value = input.values[i];
    if (sample.size() < kSampleBytes) {
      sample.append(value.substr(0, kSampleBytes));
      sample_ids = ids.size();
    }
    std::size_t start = 0, words = 0;
    for (bool more = true; more; ++words) {
      const std::size_t space = value.find(' ', start);
      more = space != std::string_view::npos;
      const std::uint32_t id = table.insert(value.substr(start, more ? space - start : space));
      if (id == StringTable::kFull) return std::nullopt;
      ids.push_back(id);
      start = space + 1;
    }
    counts.push_back(words);
    if (i == 256 && ids.size() < 3 * counts.size()) return std::nullopt;
    if (ids.size() > 4096 && table.entries().size() * 4 > ids.size()) return std::nullopt;
  }
  if (table.entries().size() * 8 > ids.size()) return std::nullopt;
  // Order-0 entropy of the words against what zstd finds in the same text.
  std::vector<std::uint32_t> histogram(table.entries().size());
  for (std::size_t i = 0; i < sample_ids; ++i) ++histogram[ids[i]];
  double bits = 0;
  for (const std::uint32_t n : histogram)
    if (n > 0) bits += n * std::log2(static_cast<double>(sample_ids) / n);
  std::size_t packed = context.pages.compressor().compress(sample, Content::kText).size();
  if (packed == 0) packed = sample.size();
  if (bits / 8 > static_cast<double>(packed)) return std::nullopt;

  EncodedColumn encoded;
  encoded.spec.push_back(static_cast<char>(Encoding::kWords));
  put_entries(table.entries(), context.pages, encoded.spec);
  encode_ints(counts, IntsHint::kPlain, context.pages, encoded.spec);
  base::put_varint(encoded.spec, ids.size());
  encode_ints(ids, IntsHint::kPlain, context.pages, encoded.spec);
  return encoded;
}

}  // namespace skald::store::part
