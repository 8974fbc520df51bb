#include "query/plan/leaf_predicate.h"

#include <algorithm>
#include <limits>

#include "proto/gotext/duration.h"
#include "proto/gotext/number.h"

namespace skald::query::plan {
namespace {

using logql::Compare;
using logql::LabelFilter;
using store::ValuePredicate;

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // Loki turns U+FFFD into a space

template <typename T>
bool compare(Compare op, T left, T right) {
  switch (op) {
    case Compare::kEqual: return left == right;
    case Compare::kNotEqual: return left != right;
    case Compare::kGreater: return left > right;
    case Compare::kGreaterEqual: return left >= right;
    case Compare::kLess: return left < right;
    case Compare::kLessEqual: return left <= right;
  }
  return false;
}

std::optional<ValuePredicate::Interval> to_interval(Compare op, double v) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  switch (op) {
    case Compare::kEqual: return ValuePredicate::Interval{v, v};
    case Compare::kNotEqual: return ValuePredicate::Interval{v, v, false, false, true};
    case Compare::kGreater: return ValuePredicate::Interval{v, kInf, true, false};
    case Compare::kGreaterEqual: return ValuePredicate::Interval{v, kInf};
    case Compare::kLess: return ValuePredicate::Interval{-kInf, v, false, true};
    case Compare::kLessEqual: return ValuePredicate::Interval{-kInf, v};
  }
  return std::nullopt;
}

}  // namespace

Leaf::Leaf(const LabelFilter& filter) : filter_(filter) {
  if (filter.kind == LabelFilter::Kind::kIp) {
    if (auto pattern = IpPattern::parse(filter.ip); pattern.ok()) ip_ = std::move(*pattern);
    return;
  }
  if (filter.kind != LabelFilter::Kind::kString) return;
  const model::Matcher::Op op = filter.matcher->op();
  if (op != model::Matcher::Op::kRegex && op != model::Matcher::Op::kNotRegex) return;
  tests_ = logql::simplify_regex(filter.matcher->value(), true);
  if (tests_) return;
  // The parser has compiled it without the anchors, which may be over the limit of memory.
  if (auto regex = logql::compile_regex(filter.matcher->value(), true); regex.ok())
    regex_ = std::move(*regex);
}

bool Leaf::matches_text(std::string_view value) const {
  const bool matches = filter_.matcher->op() == model::Matcher::Op::kRegex;
  if (regex_) return logql::finds(*regex_, value) == matches;
  if (!tests_) return filter_.matcher->matches(value);
  const bool any = std::any_of(tests_->begin(), tests_->end(),
                               [&](const logql::TextTest& test) { return test.matches(value); });
  return any == matches;
}

Verdict Leaf::judge(std::string_view value) const {
  const auto verdict = [](bool pass) { return pass ? Verdict::kPass : Verdict::kDrop; };
  switch (filter_.kind) {
    case LabelFilter::Kind::kString: return verdict(matches_text(value));
    case LabelFilter::Kind::kNumber: {
      double number = 0;
      if (gotext::read_float(value, number) != gotext::NumberError::kNone) return Verdict::kError;
      return verdict(compare(filter_.compare, number, filter_.number));
    }
    case LabelFilter::Kind::kDuration: {
      const auto duration = gotext::parse_duration(value);
      if (!duration.ok()) return Verdict::kError;
      return verdict(compare(filter_.compare, *duration, filter_.duration_ns));
    }
    case LabelFilter::Kind::kBytes: {
      const auto bytes = gotext::parse_bytes(value);
      if (!bytes.ok()) return Verdict::kError;
      return verdict(compare(filter_.compare, *bytes, filter_.bytes));
    }
    case LabelFilter::Kind::kIp:
      if (!ip_) return Verdict::kError;
      return verdict(ip_->found_in(value) == (filter_.compare == logql::Compare::kEqual));
    default: return Verdict::kError;
  }
}

base::Status Leaf::error(std::string_view value) const {
  switch (filter_.kind) {
    case LabelFilter::Kind::kNumber: return gotext::parse_float(value).status();
    case LabelFilter::Kind::kDuration: return gotext::parse_duration(value).status();
    case LabelFilter::Kind::kBytes: return gotext::parse_bytes(value).status();
    default: return {};
  }
}

bool Leaf::always_true() const {
  return filter_.kind == LabelFilter::Kind::kString &&
         filter_.matcher->op() == model::Matcher::Op::kRegex && tests_ && tests_->size() == 1 &&
         tests_->front().kind == logql::TextTest::Kind::kTrue;
}

bool Leaf::passes_absent() const {
  return filter_.kind == LabelFilter::Kind::kString && matches_text({});
}

bool is_changed_by_parser(std::string_view value) {
  return value.find(kReplacement) != std::string_view::npos;
}

bool LeafPredicate::test(std::string_view value) const {
  if (token_ && value == "null") {
    if (null_ == Null::kAbsent) return leaf_.passes_absent();
    value = {};
  }
  if (!token_ && is_changed_by_parser(value)) {
    unsure_ = true;
    return true;
  }
  const Verdict verdict = leaf_.judge(value);
  if (verdict == Verdict::kError) unsure_ = true;
  return verdict != Verdict::kDrop;
}

std::optional<ValuePredicate::Interval> LeafPredicate::interval() const {
  if (leaf_.filter().kind != LabelFilter::Kind::kNumber) return std::nullopt;
  return to_interval(leaf_.filter().compare, leaf_.filter().number);
}

std::optional<std::string_view> LeafPredicate::equals() const {
  // A value with U+FFFD reads with a space instead, and null reads as the empty value.
  if (leaf_.filter().kind != LabelFilter::Kind::kString ||
      leaf_.filter().matcher->value().empty() ||
      leaf_.filter().matcher->op() != model::Matcher::Op::kEqual ||
      leaf_.filter().matcher->value().find(' ') != std::string::npos ||
      leaf_.filter().matcher->value() == "null")
    return std::nullopt;
  return leaf_.filter().matcher->value();
}

}  // namespace skald::query::plan
