#include "query/alert/alert_state.h"

#include <gtest/gtest.h>

#include "proto/base/clock.h"

namespace skald::query::alert {
namespace {

constexpr std::int64_t kMinute = 60 * base::kNsPerSecond;

AlertCandidate candidate(const char* app, double value = 1) {
  return {{{"alertname", "A"}, {"app", app}}, {{"summary", app}}, value};
}

// The state after each minute's evaluation, as one letter: p f i, or - for no alert.
std::string life(const AlertTiming& timing, std::string_view present) {
  AlertSet set;
  std::string out;
  for (std::size_t i = 0; i < present.size(); ++i) {
    std::vector<AlertCandidate> candidates;
    if (present[i] == 'x') candidates.push_back(candidate("a"));
    EXPECT_TRUE(set.update(candidates, timing, static_cast<std::int64_t>(i + 1) * kMinute, 0).ok());
    out += set.all().empty() ? '-' : to_string(set.state())[0];
  }
  return out;
}

TEST(AlertState, FollowsPrometheus) {
  EXPECT_EQ(life({0, 0}, "x.x"), "fif");
  EXPECT_EQ(life({2 * kMinute, 0}, "xxxx"), "ppff");
  EXPECT_EQ(life({2 * kMinute, 0}, "x.xxx."), "p-ppfi");
  EXPECT_EQ(life({0, 2 * kMinute}, "x...."), "fffii");
  EXPECT_EQ(life({0, 2 * kMinute}, "x.x.."), "fffff");
  EXPECT_EQ(life({0, 0}, "x................"), "fiiiiiiiiiiiiiiii");
  EXPECT_EQ(life({0, 0}, "x................."), "fiiiiiiiiiiiiiiii-");  // told for 15 minutes
}

TEST(AlertState, RaisedForMakesAFiringAlertPendingAgain) {
  AlertSet set;
  ASSERT_TRUE(set.update({candidate("a")}, {0, 0}, kMinute, 0).ok());
  EXPECT_EQ(set.state(), AlertState::kFiring);
  ASSERT_TRUE(set.update({candidate("a")}, {10 * kMinute, 0}, 2 * kMinute, 0).ok());
  EXPECT_EQ(set.state(), AlertState::kPending);
}

TEST(AlertState, RefusesEqualLabels) {
  AlertSet set;
  const auto status = set.update({candidate("a"), candidate("a", 2)}, {0, 0}, kMinute, 0);
  EXPECT_EQ(status.message(),
            "vector contains metrics with the same labelset after applying alert labels");
  EXPECT_TRUE(set.all().empty());
}

TEST(AlertState, LimitForgetsAll) {
  AlertSet set;
  const auto status = set.update({candidate("a"), candidate("b")}, {0, 0}, kMinute, 1);
  EXPECT_EQ(status.message(), "exceeded limit of 1 with 2 alerts");
  EXPECT_TRUE(set.all().empty());
}

TEST(AlertState, ToldWhenFiringEachResendDelayAndWhenResolved) {
  AlertSet set;
  const auto tell = [&](std::int64_t now, bool present) {
    std::vector<AlertCandidate> candidates;
    if (present) candidates.push_back(candidate("a"));
    EXPECT_TRUE(set.update(candidates, {kMinute, 0}, now, 0).ok());
    return set.take_due(now, kMinute, kMinute / 4).size();
  };
  const std::int64_t start = 100 * kMinute;
  EXPECT_EQ(tell(start, true), 0U);                      // pending
  EXPECT_EQ(tell(start + kMinute, true), 1U);            // fires
  EXPECT_EQ(tell(start + 5 * kMinute / 4, true), 0U);    // not again at once
  EXPECT_EQ(tell(start + 9 * kMinute / 4, true), 1U);    // more than a minute later
  EXPECT_EQ(tell(start + 10 * kMinute / 4, false), 1U);  // resolved: at once
  EXPECT_EQ(tell(start + 11 * kMinute / 4, false), 0U);
  EXPECT_EQ(tell(start + 15 * kMinute / 4, false), 1U);  // and again for 15 minutes
}

TEST(AlertState, ValidUntilOutlivesTwoFailures) {
  AlertSet set;
  ASSERT_TRUE(set.update({candidate("a")}, {0, 0}, kMinute, 0).ok());
  EXPECT_EQ(set.take_due(kMinute, kMinute, 15)[0].valid_until_ns, 5 * kMinute);
  ASSERT_TRUE(set.update({candidate("a")}, {0, 0}, 10 * kMinute, 0).ok());
  EXPECT_EQ(set.take_due(10 * kMinute, kMinute, 2 * kMinute)[0].valid_until_ns, 18 * kMinute);
}

TEST(AlertState, RestoreDoesNotCountUnwatchedTime) {
  const AlertTiming timing{10 * kMinute, 0};
  AlertSet before;
  ASSERT_TRUE(before.update({candidate("a")}, timing, 100 * kMinute, 0).ok());
  ASSERT_TRUE(before.update({candidate("a")}, timing, 107 * kMinute, 0).ok());
  std::vector<Alert> saved;
  for (const auto& [labels, alert] : before.all()) saved.push_back(alert);

  AlertSet after;  // saved at 107, back at 120: 3 minutes remain
  after.restore(saved, timing, 107 * kMinute, 120 * kMinute, 0);
  ASSERT_TRUE(after.update({candidate("a")}, timing, 122 * kMinute, 0).ok());
  EXPECT_EQ(after.state(), AlertState::kPending);
  ASSERT_TRUE(after.update({candidate("a")}, timing, 123 * kMinute, 0).ok());
  EXPECT_EQ(after.state(), AlertState::kFiring);

  AlertSet graced;  // a grace period of 5 minutes
  graced.restore(saved, timing, 107 * kMinute, 120 * kMinute, 5 * kMinute);
  ASSERT_TRUE(graced.update({candidate("a")}, timing, 124 * kMinute, 0).ok());
  EXPECT_EQ(graced.state(), AlertState::kPending);
  ASSERT_TRUE(graced.update({candidate("a")}, timing, 125 * kMinute, 0).ok());
  EXPECT_EQ(graced.state(), AlertState::kFiring);
}

TEST(AlertState, RestoredFiringAlertResolvesAndIsTold) {
  AlertSet before;
  ASSERT_TRUE(before.update({candidate("a")}, {0, 0}, 100 * kMinute, 0).ok());
  std::vector<Alert> saved = before.take_due(100 * kMinute, kMinute, kMinute);
  AlertSet after;
  after.restore(saved, {0, 0}, 100 * kMinute, 110 * kMinute, 0);
  ASSERT_TRUE(after.update({}, {0, 0}, 110 * kMinute, 0).ok());
  const auto told = after.take_due(110 * kMinute, kMinute, kMinute);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].resolved_at_ns, 110 * kMinute);
}

TEST(AlertState, RestoredFiringAlertIsToldAtOnceBecauseTheQueueIsLost) {
  AlertSet before;
  ASSERT_TRUE(before.update({candidate("a")}, {0, 0}, 100 * kMinute, 0).ok());
  AlertSet after;
  after.restore(before.take_due(100 * kMinute, 10 * kMinute, kMinute), {0, 0}, 100 * kMinute,
                101 * kMinute, 0);
  ASSERT_TRUE(after.update({candidate("a")}, {0, 0}, 101 * kMinute, 0).ok());
  EXPECT_EQ(after.take_due(101 * kMinute, 10 * kMinute, kMinute).size(), 1U);
}

}  // namespace
}  // namespace skald::query::alert
