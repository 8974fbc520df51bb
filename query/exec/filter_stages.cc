#include <re2/re2.h>

#include <algorithm>

#include "query/exec/stage.h"
#include "query/logql/pattern.h"
#include "query/logql/regex.h"
#include "query/plan/ip_match.h"
#include "query/plan/leaf_predicate.h"

namespace skald::query {
namespace {

// ---- line filters ----

// One alternative of a line filter.
class LineTest {
 public:
  static base::Result<LineTest> compile(const logql::LineText& text, logql::LineMatch match,
                                        bool only) {
    LineTest out;
    const bool ip = text.ip && only;
    if (match == logql::LineMatch::kContains || match == logql::LineMatch::kNotContains) {
      if (ip) {
        SKALD_TRY_ASSIGN(out.ip_, plan::IpPattern::parse(text.text));
      } else {
        out.tests_ = {{logql::TextTest::Kind::kContains, text.text, false}};
      }
      return out;
    }
    if (ip) return base::invalid_argument("ip: invalid operation");
    if (match == logql::LineMatch::kPattern || match == logql::LineMatch::kNotPattern) {
      SKALD_TRY_ASSIGN(out.pattern_, logql::Pattern::for_line_filter(text.text));
      return out;
    }
    SKALD_TRY_ASSIGN(auto regex, logql::compile_regex(text.text));
    if (auto simple = logql::simplify_regex(text.text, false))
      out.tests_ = std::move(*simple);
    else
      out.regex_ = std::move(regex);
    return out;
  }

  bool matches(std::string_view line) const {
    if (regex_) return logql::finds(*regex_, line);
    if (pattern_) return pattern_->test(line);
    if (ip_) return ip_->found_in(line);
    for (const logql::TextTest& test : tests_)
      if (test.matches(line)) return true;
    return false;
  }
  // Always true, as `|= ""` is.
  bool trivial() const {
    return tests_.size() == 1 &&
           (tests_[0].kind == logql::TextTest::Kind::kTrue ||
            (tests_[0].kind == logql::TextTest::Kind::kContains && tests_[0].text.empty()));
  }

 private:
  std::vector<logql::TextTest> tests_;
  std::shared_ptr<const re2::RE2> regex_;
  std::optional<logql::Pattern> pattern_;
  std::optional<plan::IpPattern> ip_;
};

class LineTests final : public store::LineMatcher {
 public:
  static base::Result<std::shared_ptr<const LineTests>> compile(const logql::LineFilter& filter) {
    auto out = std::make_shared<LineTests>();
    const bool only = filter.alternatives.size() == 1;
    for (const logql::LineText& text : filter.alternatives) {
      SKALD_TRY_ASSIGN(LineTest test, LineTest::compile(text, filter.match, only));
      out->tests_.push_back(std::move(test));
    }
    // Loki lets an alternative that is always true give way to the others.
    std::vector<LineTest> kept;
    for (LineTest& test : out->tests_)
      if (!test.trivial()) kept.push_back(std::move(test));
    if (kept.empty()) kept.assign(1, *LineTest::compile({}, logql::LineMatch::kContains, true));
    out->tests_ = std::move(kept);
    return std::shared_ptr<const LineTests>(std::move(out));
  }

  bool matches(std::string_view line) const override {
    for (const LineTest& test : tests_)
      if (test.matches(line)) return true;
    return false;
  }

 private:
  std::vector<LineTest> tests_;
};

class LineFilterStage final : public Stage {
 public:
  struct Filter {
    std::shared_ptr<const store::LineMatcher> matcher;
    bool negated;
  };
  explicit LineFilterStage(std::vector<Filter> filters) : filters_(std::move(filters)) {}
  bool process(Row& row) const override {
    for (const Filter& filter : filters_)
      if (filter.matcher->matches(row.line) == filter.negated) return false;
    return true;
  }

 private:
  std::vector<Filter> filters_;
};

// ---- label filters ----

class BinaryFilter final : public Stage {
 public:
  BinaryFilter(std::unique_ptr<Stage> left, std::unique_ptr<Stage> right, bool is_and)
      : left_(std::move(left)), right_(std::move(right)), is_and_(is_and) {}
  bool process(Row& row) const override {
    // `and` asks both sides: the right one may set an error.
    const bool left = left_->process(row);
    if (!is_and_ && left) return true;
    const bool right = right_->process(row);
    return is_and_ ? left && right : right;
  }
  bool needs_line() const override { return false; }
  void required_labels(std::vector<std::string>& out) const override {
    left_->required_labels(out);
    right_->required_labels(out);
  }

 private:
  std::unique_ptr<Stage> left_, right_;
  bool is_and_;
};

// Keeps an earlier error, which says more.
void note_filter_error(Row& row, const base::Status& status) {
  if (row.has_error()) return;
  row.set_error(kFilterError);
  row.set_error_details(status.message());
}

class LeafFilter : public Stage {
 public:
  explicit LeafFilter(std::string label) : label_(std::move(label)) {}
  bool needs_line() const override { return false; }
  void required_labels(std::vector<std::string>& out) const override { out.push_back(label_); }
  std::string_view filtered_label() const override { return label_; }

 protected:
  const std::string& label() const { return label_; }

 private:
  std::string label_;
};

// A comparison; the same object decides on columns.
class CompareFilter final : public LeafFilter {
 public:
  explicit CompareFilter(const logql::LabelFilter& filter)
      : LeafFilter(filter.label),
        text_(filter.kind == logql::LabelFilter::Kind::kString),
        leaf_(filter) {}
  bool always_true() const { return leaf_.always_true(); }

  bool process(Row& row) const override {
    // __error_details__ is no label to a filter: it reads as empty.
    if (text_ && label() == kErrorLabel) return leaf_.judge(row.error()) == plan::Verdict::kPass;
    const Row::Found found = row.get(label());
    if (!found.ok) return leaf_.passes_absent();
    const plan::Verdict verdict = leaf_.judge(found.value);
    if (verdict == plan::Verdict::kError) note_filter_error(row, leaf_.error(found.value));
    return verdict != plan::Verdict::kDrop;
  }

 private:
  const bool text_;
  const plan::Leaf leaf_;
};

class IpFilter final : public LeafFilter {
 public:
  IpFilter(std::string label, bool equal, std::optional<plan::IpPattern> pattern)
      : LeafFilter(std::move(label)), equal_(equal), pattern_(std::move(pattern)) {}
  bool process(Row& row) const override {
    if (row.has_error()) return true;
    const Row::Found found = row.get(label());
    if (!found.ok || !pattern_) return false;
    return pattern_->found_in(found.value) == equal_;
  }

 private:
  bool equal_;
  std::optional<plan::IpPattern> pattern_;  // none: wrong, but where Loki does not look
};

class TrueStage final : public Stage {
 public:
  bool process(Row& /*row*/) const override { return true; }
  bool needs_line() const override { return false; }
};

base::Result<std::unique_ptr<Stage>> compile_leaf(const logql::LabelFilter& f, bool top) {
  using Kind = logql::LabelFilter::Kind;
  switch (f.kind) {
    case Kind::kString:
    case Kind::kNumber:
    case Kind::kDuration:
    case Kind::kBytes: {
      auto out = std::make_unique<CompareFilter>(f);
      // `=~ ".*"` is no stage at all: it requires no label.
      if (out->always_true()) return std::unique_ptr<Stage>();
      return std::unique_ptr<Stage>(std::move(out));
    }
    case Kind::kIp: {
      auto pattern = plan::IpPattern::parse(f.ip);
      if (!pattern.ok() && top) return std::move(pattern).status();
      std::optional<plan::IpPattern> usable;
      if (pattern.ok()) usable = std::move(*pattern);
      return std::unique_ptr<Stage>(std::make_unique<IpFilter>(
          f.label, f.compare == logql::Compare::kEqual, std::move(usable)));
    }
    case Kind::kAnd:
    case Kind::kOr: break;
  }
  CHECK(false);
}

base::Result<std::unique_ptr<Stage>> compile_filter(const logql::LabelFilter& f, bool top) {
  using Kind = logql::LabelFilter::Kind;
  if (f.kind != Kind::kAnd && f.kind != Kind::kOr) return compile_leaf(f, top);
  SKALD_TRY_ASSIGN(auto left, compile_filter(*f.left, false));
  SKALD_TRY_ASSIGN(auto right, compile_filter(*f.right, false));
  if (!left) left = std::make_unique<TrueStage>();
  if (!right) right = std::make_unique<TrueStage>();
  return std::unique_ptr<Stage>(
      std::make_unique<BinaryFilter>(std::move(left), std::move(right), f.kind == Kind::kAnd));
}

// ---- drop, keep ----

struct NamedTest {
  std::string name;
  std::shared_ptr<const model::Matcher> matcher;  // null: the name is enough
};
std::vector<NamedTest> named_tests(const std::vector<logql::NamedMatcher>& items) {
  std::vector<NamedTest> out;
  out.reserve(items.size());
  for (const auto& item : items)
    out.push_back({item.matcher ? item.matcher->name() : item.name, item.matcher});
  return out;
}

class DropStage final : public Stage {
 public:
  explicit DropStage(std::vector<NamedTest> tests) : tests_(std::move(tests)) {}
  bool needs_line() const override { return false; }
  bool process(Row& row) const override {
    for (const NamedTest& test : tests_) {
      if (test.name == kErrorLabel) {
        if (!test.matcher || test.matcher->matches(row.error())) row.reset_error();
      } else if (test.name == kErrorDetailsLabel) {
        if (!test.matcher || test.matcher->matches(row.error_details())) row.reset_error_details();
      } else {
        const Row::Found found = row.get(test.name);
        if (test.matcher ? test.matcher->matches(found.value) : found.ok) row.erase(test.name);
      }
    }
    return true;
  }

 private:
  std::vector<NamedTest> tests_;
};

class KeepStage final : public Stage {
 public:
  explicit KeepStage(std::vector<NamedTest> tests) : tests_(std::move(tests)) {}
  bool needs_line() const override { return false; }
  bool process(Row& row) const override {
    std::vector<LabelView> labels;
    row.collect_all(labels);
    std::vector<std::string_view> others;
    for (const LabelView& label : labels) {
      if (label.name == kErrorLabel || label.name == kErrorDetailsLabel ||
          label.name == kPreserveErrorLabel)
        continue;
      const bool keep = std::any_of(tests_.begin(), tests_.end(), [&](const NamedTest& test) {
        if (label.name.empty()) return test.matcher != nullptr;  // as Loki has it
        return test.name == label.name && (!test.matcher || test.matcher->matches(label.value));
      });
      if (!keep) others.push_back(label.name);
    }
    row.erase_all(std::move(others));
    return true;
  }

 private:
  std::vector<NamedTest> tests_;
};

}  // namespace

base::Result<std::shared_ptr<const store::LineMatcher>> compile_line_matcher(
    const logql::LineFilter& filter) {
  SKALD_TRY_ASSIGN(auto tests, LineTests::compile(filter));
  return std::shared_ptr<const store::LineMatcher>(std::move(tests));
}

base::Result<std::unique_ptr<Stage>> make_line_filter_stage(const logql::LineFilters& e) {
  std::vector<LineFilterStage::Filter> filters;
  filters.reserve(e.filters.size());
  // From the last one on: of several faults Loki tells the last.
  for (auto filter = e.filters.rbegin(); filter != e.filters.rend(); ++filter) {
    SKALD_TRY_ASSIGN(auto matcher, compile_line_matcher(*filter));
    filters.push_back({std::move(matcher), logql::is_negated(filter->match)});
  }
  std::reverse(filters.begin(), filters.end());
  return std::unique_ptr<Stage>(std::make_unique<LineFilterStage>(std::move(filters)));
}

base::Result<std::unique_ptr<Stage>> compile_label_filter(const logql::LabelFilter& filter) {
  return compile_filter(filter, true);
}
base::Result<std::unique_ptr<Stage>> compile_post_filter(const logql::LabelFilter& filter) {
  return compile_filter(filter, false);
}

std::unique_ptr<Stage> make_drop_stage(const logql::DropLabels& e) {
  return std::make_unique<DropStage>(named_tests(e.labels));
}
std::unique_ptr<Stage> make_keep_stage(const logql::KeepLabels& e) {
  return std::make_unique<KeepStage>(named_tests(e.labels));
}

}  // namespace skald::query
