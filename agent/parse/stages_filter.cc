// match, drop, limit, sampling: which lines go on.

#include <algorithm>
#include <unordered_map>

#include "agent/parse/rate_limit.h"
#include "agent/parse/regex.h"
#include "agent/parse/stage.h"
#include "proto/gotext/duration.h"
#include "proto/model/matcher.h"

namespace skald::agent {

namespace {

// ---- match

struct LineFilter {
  bool negated = false;
  std::string text;                 // contains
  std::shared_ptr<re2::RE2> regex;  // or matches
  bool passes(std::string_view line) const {
    const bool found =
        regex != nullptr ? regex_found(*regex, line) : line.find(text) != std::string_view::npos;
    return found != negated;
  }
};

// `{a="b", c=~"d"} |= "x" != "y"`: nothing else of LogQL is known here, as in Promtail.
class SelectorParser {
 public:
  SelectorParser(std::string_view text, MapReader& body) : text_(text), body_(body) {}

  bool parse(model::Matchers& matchers, std::vector<LineFilter>& filters) {
    if (!take("{")) return fail("a selector starts with {");
    do {
      if (!parse_matcher(matchers)) return false;
    } while (take(","));
    if (!take("}")) return fail("`,` or `}` is expected");
    skip_space();
    while (at_ < text_.size()) {
      if (!parse_filter(filters)) return false;
      skip_space();
    }
    return true;
  }

 private:
  bool fail(std::string_view what) {
    body_.fail("selector", "`" + std::string(text_) + "`, column " + std::to_string(at_ + 1) +
                               ": " + std::string(what));
    return false;
  }
  void skip_space() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r')) {
      ++at_;
    }
  }
  bool take(std::string_view token) {
    skip_space();
    if (!text_.substr(at_).starts_with(token)) return false;
    at_ += token.size();
    return true;
  }
  bool quoted(std::string& out) {
    skip_space();
    const std::size_t start = at_;
    if (at_ == text_.size() || (text_[at_] != '"' && text_[at_] != '`')) {
      return fail("a string in double quotes or backquotes is expected");
    }
    const char quote = text_[at_++];
    while (at_ < text_.size() && text_[at_] != quote)
      at_ += quote == '"' && text_[at_] == '\\' ? 2 : 1;
    if (at_ >= text_.size()) return fail("the string does not end");
    ++at_;
    auto text = model::go_unquote(text_.substr(start, at_ - start));
    if (!text.ok()) return fail("the string has a wrong escape");
    out = std::move(text).value();
    return true;
  }
  bool parse_matcher(model::Matchers& matchers) {
    skip_space();
    const std::size_t start = at_;
    while (at_ < text_.size() &&
           (std::isalnum(static_cast<unsigned char>(text_[at_])) != 0 || text_[at_] == '_')) {
      ++at_;
    }
    std::string name(text_.substr(start, at_ - start));
    if (!model::is_label_name(name)) return fail("a label name is expected");
    using Op = model::Matcher::Op;
    Op op{};
    if (take("=~")) {
      op = Op::kRegex;
    } else if (take("!~")) {
      op = Op::kNotRegex;
    } else if (take("!=")) {
      op = Op::kNotEqual;
    } else if (take("=")) {
      op = Op::kEqual;
    } else {
      return fail("one of = != =~ !~ is expected");
    }
    std::string value;
    if (!quoted(value)) return false;
    auto matcher = model::Matcher::create(std::move(name), op, std::move(value));
    if (!matcher.ok()) return fail(matcher.status().message());
    matchers.push_back(std::move(matcher).value());
    return true;
  }
  bool parse_filter(std::vector<LineFilter>& filters) {
    LineFilter filter;
    bool regex = false;
    if (take("|=")) {
    } else if (take("|~")) {
      regex = true;
    } else if (take("!=")) {
      filter.negated = true;
    } else if (take("!~")) {
      filter.negated = regex = true;
    } else {
      return fail(
          "after the selector only the line filters |= != |~ !~ are known here; parsers and label "
          "filters are not: put a json or regex stage before and match on labels");
    }
    if (!quoted(filter.text)) return false;
    if (regex) {
      filter.regex = compile_regex(filter.text, body_, "selector");
      if (filter.regex == nullptr) return false;
    }
    filters.push_back(std::move(filter));
    return true;
  }

  std::string_view text_;
  MapReader& body_;
  std::size_t at_ = 0;
};

class MatchStage final : public Stage {
 public:
  Flow run(Entry& entry, Context& context) override {
    std::string_view value;
    for (std::size_t i = 0; i < matchers_.size(); ++i) {
      if (!context.label(entry, names_[i], value)) value = {};
      if (!matchers_[i].matches(value)) return Flow::kSkip;
    }
    for (const LineFilter& filter : filters_) {
      if (!filter.passes(entry.line)) return Flow::kSkip;
    }
    if (drop_) {
      ++*dropped_;
      return Flow::kDrop;
    }
    context.labels_to_slots(entry);
    return Flow::kNext;
  }
  std::string describe() const override {
    return drop_ ? "drops lines that match " + selector_ + " (counted as " + reason_ + ")"
                 : "for lines that match " + selector_ + ":";
  }

  static StagePtr build(MapReader& body, BuildContext& build) {
    auto stage = std::make_unique<MatchStage>();
    std::string action = "keep";
    std::string pipeline_name = "-";
    body.string("selector", stage->selector_);
    body.string("action", action);
    body.string("drop_counter_reason", stage->reason_);
    body.string("pipeline_name", pipeline_name);
    const Node* stages = body.raw("stages");
    const bool has_stages = stages != nullptr && stages->is_sequence() && !stages->items.empty();
    if (stage->selector_.empty()) body.fail("selector", "the match stage needs one: '{app=\"x\"}'");
    if (pipeline_name.empty()) body.fail("pipeline_name", "is empty; leave the key out");
    if (stage->reason_.empty()) stage->reason_ = "match_stage";
    stage->drop_ = action == "drop";
    if (!action.empty() && action != "keep" && !stage->drop_) {
      body.fail("action", "`" + action + "` is neither keep nor drop");
    }
    if (stage->drop_ && has_stages) body.fail("stages", "a match that drops can have none");
    if (!stage->drop_ && !has_stages) body.fail("stages", "a match that keeps needs at least one");
    if (!body.state().ok()) return nullptr;
    SelectorParser parser(stage->selector_, body);
    if (!parser.parse(stage->matchers_, stage->filters_)) return nullptr;
    for (const auto& matcher : stage->matchers_) {
      stage->names_.push_back(build.names->id(matcher.name()));
    }
    stage->dropped_ = build.metrics->dropped_lines(stage->reason_);
    return stage;
  }

 private:
  std::string selector_, reason_;
  model::Matchers matchers_;
  std::vector<std::uint32_t> names_;
  std::vector<LineFilter> filters_;
  bool drop_ = false;
  std::uint64_t* dropped_ = nullptr;
};

// ---- drop

class DropStage final : public Stage {
 public:
  Flow run(Entry& entry, Context& context) override {
    if (!should_drop(entry, context)) return Flow::kNext;
    ++*dropped_;
    return Flow::kDrop;
  }

  std::string describe() const override {
    return "drops lines " + conditions_ + " (counted as " + reason_ + ")";
  }

  static StagePtr build(MapReader& body, BuildContext& build);

 private:
  // Conditions are ANDed, cheapest first.
  bool should_drop(const Entry& entry, Context& context) {
    if (longer_than_ && entry.line.size() <= *longer_than_) return false;
    if (older_than_ns_ && entry.timestamp_ns >= entry.read_ns - *older_than_ns_) return false;
    if (sources_.empty()) return regex_ == nullptr || regex_found(*regex_, entry.line);
    if (regex_ == nullptr && !has_value_) {
      return std::all_of(sources_.begin(), sources_.end(), [&](std::uint32_t source) {
        return !entry.slots[source].absent();  // null counts as present
      });
    }
    scratch_.clear();
    bool first = true;
    for (std::uint32_t source : sources_) {
      if (entry.slots[source].absent()) continue;
      std::string_view text;
      if (!to_text(entry.slots[source], context.arena, text)) return false;
      if (!first) scratch_ += separator_;
      first = false;
      scratch_ += text;
    }
    return has_value_ ? scratch_ == value_ : regex_found(*regex_, scratch_);
  }

  std::vector<std::uint32_t> sources_;
  std::unique_ptr<re2::RE2> regex_;
  bool has_value_ = false;
  std::string value_, separator_ = ";", reason_ = "drop_stage";
  std::optional<std::size_t> longer_than_;
  std::optional<std::int64_t> older_than_ns_;
  std::uint64_t* dropped_ = nullptr;
  std::string scratch_, conditions_;
};

StagePtr DropStage::build(MapReader& body, BuildContext& build) {
  auto stage = std::make_unique<DropStage>();
  std::vector<std::string> sources;
  std::string expression;
  std::vector<std::string> said;
  body.strings("source", sources);
  body.string("separator", stage->separator_);
  body.string("drop_counter_reason", stage->reason_);
  if (stage->reason_.empty()) stage->reason_ = "drop_stage";
  std::string named;
  for (const auto& source : sources) {
    stage->sources_.push_back(build.names->id(source));
    named += (named.empty() ? "`" : ", `") + source + "`";
  }
  stage->has_value_ = body.has("value");
  body.string("value", stage->value_);
  const bool has_expression = body.has("expression");
  body.string("expression", expression);
  if (stage->has_value_ && sources.empty()) body.fail("value", "needs `source` beside it");
  if (stage->has_value_ && has_expression)
    body.fail("value", "and `expression` exclude each other");
  if (has_expression) {
    stage->regex_ = compile_regex(expression, body, "expression");
    said.push_back((sources.empty() ? std::string("that match /") : "whose " + named + " match /") +
                   expression + "/");
  }
  if (stage->has_value_) said.push_back("whose " + named + " is `" + stage->value_ + "`");
  if (!sources.empty() && !has_expression && !stage->has_value_) {
    said.push_back("that have " + named + " extracted");
    body.warn(
        "source",
        "without `value` or `expression` a line is dropped when every named value is present, "
        "and a null counts: after a json stage that names it, that is every JSON line. Add "
        "`expression: .+` to ask for a value");
  }
  if (body.has("longer_than")) {
    std::size_t bytes = 0;
    body.bytes("longer_than", bytes);
    stage->longer_than_ = bytes;
    said.push_back("longer than " + std::to_string(bytes) + " bytes");
  }
  if (body.has("older_than")) {
    std::int64_t age_ns = 0;
    body.duration("older_than", age_ns);
    stage->older_than_ns_ = age_ns;
    said.push_back("older than " + gotext::format_duration(age_ns));
  }
  if (said.empty()) {
    body.fail("",
              "the drop stage needs at least one of source, expression, older_than, longer_than");
  }
  for (const auto& condition : said) {
    stage->conditions_ += (stage->conditions_.empty() ? "" : " and ") + condition;
  }
  stage->dropped_ = build.metrics->dropped_lines(stage->reason_);
  return stage;
}

// ---- limit

class LimitStage final : public Stage {
 public:
  Flow run(Entry& entry, Context& context) override {
    if (label_) return by_label(entry, context);
    if (!drop_) {
      const std::int64_t ready_ns = bucket_->reserve(entry.read_ns);
      if (ready_ns > entry.read_ns) {
        context.blocked_until_ns = std::max(context.blocked_until_ns, ready_ns);
      }
      return Flow::kNext;
    }
    if (bucket_->allow(entry.read_ns)) return Flow::kNext;
    ++*dropped_;
    return Flow::kDrop;
  }

  std::string describe() const override { return described_; }

  static StagePtr build(MapReader& body, BuildContext& build) {
    auto stage = std::make_unique<LimitStage>();
    double burst = 0;
    std::size_t distinct = 0;
    body.number("rate", stage->rate_);
    body.number("burst", burst);
    body.boolean("drop", stage->drop_);
    body.string("by_label_name", stage->label_name_);
    body.size("max_distinct_labels", distinct);
    stage->burst_ = static_cast<double>(static_cast<std::int64_t>(burst));
    if (stage->rate_ <= 0 || stage->burst_ <= 0) {
      body.fail("", "the limit stage needs `rate` and `burst`, both greater than 0");
    }
    stage->described_ =
        "lets " + std::to_string(static_cast<std::int64_t>(stage->rate_)) + " lines a second pass";
    if (!stage->label_name_.empty()) {
      if (!stage->drop_) body.fail("by_label_name", "needs `drop: true`");
      if (body.has("max_distinct_labels") && distinct < kFloor) {
        body.warn("max_distinct_labels", "raised to 10000, as Promtail does");
      }
      stage->distinct_max_ = std::max(distinct, kFloor);
      stage->label_ = build.names->id(stage->label_name_);
      stage->described_ += " per value of `" + stage->label_name_ + "`";
    } else {
      stage->bucket_.emplace(stage->rate_, stage->burst_);
    }
    stage->described_ +=
        stage->drop_ ? "; the rest is dropped (counted)" : "; reading waits for the rest";
    stage->metrics_ = build.metrics;
    stage->dropped_ = build.metrics->dropped_lines("ratelimit_drop_stage");
    return stage;
  }

 private:
  static constexpr std::size_t kFloor = 10'000;

  Flow by_label(const Entry& entry, Context& context) {
    std::string_view value;
    if (!context.label(entry, *label_, value)) return Flow::kNext;
    if (bucket_of(std::string(value)).allow(entry.read_ns)) return Flow::kNext;
    ++*dropped_;
    metrics_->count_dropped_by_label(label_name_, value);
    return Flow::kDrop;
  }
  // Two generations: when the younger is full it becomes the older, whose members are lost unless
  // they were asked for since.
  TokenBucket& bucket_of(const std::string& value) {
    if (auto young = young_.find(value); young != young_.end()) return young->second;
    TokenBucket bucket(rate_, burst_);
    if (auto old = old_.find(value); old != old_.end()) bucket = old->second;
    if (young_.size() >= distinct_max_) {
      old_ = std::move(young_);
      young_.clear();
    }
    return young_.emplace(value, bucket).first->second;
  }

  double rate_ = 0;
  double burst_ = 0;
  bool drop_ = false;
  std::string label_name_;
  std::optional<std::uint32_t> label_;
  std::size_t distinct_max_ = kFloor;
  std::optional<TokenBucket> bucket_;
  std::unordered_map<std::string, TokenBucket> young_, old_;
  StageMetrics* metrics_ = nullptr;
  std::uint64_t* dropped_ = nullptr;
  std::string described_;
};

// ---- sampling

class SamplingStage final : public Stage {
 public:
  Flow run(Entry&, Context&) override {
    // splitmix64
    std::uint64_t x = state_ += 0x9E3779B97F4A7C15U;
    x = (x ^ (x >> 30U)) * 0xBF58476D1CE4E5B9U;
    x = (x ^ (x >> 27U)) * 0x94D049BB133111EBU;
    x ^= x >> 31U;
    if (static_cast<double>(x >> 11U) * 0x1p-53 < rate_) return Flow::kNext;
    ++*dropped_;
    return Flow::kDrop;
  }
  std::string describe() const override {
    return "keeps a random share of " + std::to_string(rate_) + " of the lines";
  }

  static StagePtr build(MapReader& body, BuildContext& build) {
    auto stage = std::make_unique<SamplingStage>();
    std::string reason = "sampling_stage";
    body.number("rate", stage->rate_);
    body.string("drop_counter_reason", reason);
    if (reason.empty()) reason = "sampling_stage";
    if (stage->rate_ < 0 || stage->rate_ > 1) body.fail("rate", "must lie between 0 and 1");
    stage->state_ = build.random_seed;
    stage->dropped_ = build.metrics->dropped_lines(reason);
    return stage;
  }

 private:
  double rate_ = 0;
  std::uint64_t state_ = 0;
  std::uint64_t* dropped_ = nullptr;
};

}  // namespace

StagePtr build_match(MapReader& body, BuildContext& build) {
  return MatchStage::build(body, build);
}
StagePtr build_drop(MapReader& body, BuildContext& build) { return DropStage::build(body, build); }
StagePtr build_limit(MapReader& body, BuildContext& build) {
  return LimitStage::build(body, build);
}
StagePtr build_sampling(MapReader& body, BuildContext& build) {
  return SamplingStage::build(body, build);
}

}  // namespace skald::agent
