#include "query/alert/state_file.h"

#include <gtest/gtest.h>

#include <fstream>

#include "proto/base/crc32c.h"

namespace skald::query::alert {
namespace {

SavedState example() {
  SavedState state;
  state.saved_at_ns = 1;
  SavedAlerts entry{{"fake", "n", "g"}, "A", {}, {}};
  Alert alert;
  alert.labels = {{"alertname", "A"}};
  alert.value = 1;
  alert.active_at_ns = 2;
  entry.alerts.push_back(alert);
  state.alerts.push_back(entry);
  return state;
}

std::string hex_block_of_document() {
  std::ifstream file(std::string(SKALD_SOURCE_DIR) + "/query/alert/STATE.md");
  std::string line, out;
  bool inside = false;
  while (std::getline(file, line)) {
    if (line == "```hex") {
      inside = true;
    } else if (line == "```") {
      inside = false;
    } else if (inside) {
      for (const char c : line)
        if (c != ' ') out += c;
    }
  }
  return out;
}

std::string to_hex(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    out += "0123456789abcdef"[static_cast<unsigned char>(c) >> 4];
    out += "0123456789abcdef"[static_cast<unsigned char>(c) & 15];
  }
  return out;
}

TEST(StateFile, EncodesTheDocumentsExample) {
  EXPECT_EQ(to_hex(encode_state(example())), hex_block_of_document());
}

TEST(StateFile, ReadsBack) {
  auto state = decode_state(encode_state(example()));
  ASSERT_TRUE(state.ok()) << state.status().message();
  EXPECT_EQ(state->saved_at_ns, 1);
  ASSERT_EQ(state->alerts.size(), 1U);
  EXPECT_EQ(state->alerts[0].group.space, "n");
  EXPECT_EQ(state->alerts[0].alerts[0].labels.get("alertname"), "A");
  EXPECT_EQ(state->alerts[0].alerts[0].active_at_ns, 2);
}

TEST(StateFile, RefusesEveryDamage) {
  const std::string good = encode_state(example());
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    EXPECT_FALSE(decode_state(bad).ok()) << "byte " << i;
    EXPECT_FALSE(decode_state(std::string_view(good).substr(0, i)).ok()) << "cut at " << i;
  }
  EXPECT_FALSE(decode_state(good + "x").ok());
  std::string later = good;
  later[8] = 2;
  EXPECT_EQ(decode_state(later).status().code(), base::Code::kUnsupported);
}

}  // namespace
}  // namespace skald::query::alert
