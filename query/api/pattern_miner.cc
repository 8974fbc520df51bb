#include "query/api/pattern_miner.h"

#include <algorithm>

namespace skald::query::api {
namespace {

constexpr std::size_t kClustersMax = 500;  // what clients show
constexpr std::size_t kLineBytesMax = 3000;
constexpr std::size_t kTokensMax = 100;
constexpr std::size_t kCacheMax = 50'000;
constexpr std::size_t kCandidatesMax = 50;  // per leaf of the tree
constexpr std::size_t kTreeDepth = 2;       // first tokens looked at
constexpr double kSimilarityMin = 0.5;
constexpr std::string_view kWildcard = "<_>";

bool is_separator(char c) noexcept { return c == '=' || c == ',' || c == ':' || c == '"'; }

}  // namespace

std::string PatternMiner::Cluster::text() const {
  std::string out;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    // "<_><_>" says no more than "<_>".
    const bool repeats =
        i > 0 && tokens[i] == kWildcard && tokens[i - 1] == kWildcard && !space_after[i - 1];
    if (!repeats) out.append(tokens[i]);
    if (space_after[i] && i + 1 < tokens.size()) out.push_back(' ');
  }
  return out;
}

PatternMiner::Tokens PatternMiner::cut(std::string_view line) {
  Tokens tokens;
  std::size_t at = 0;
  while (at < line.size() && tokens.text.size() <= kTokensMax) {
    if (line[at] == ' ' || line[at] == '\t') {
      if (!tokens.space_after.empty()) tokens.space_after.back() = true;
      ++at;
      continue;
    }
    std::size_t end = at;
    while (end < line.size() && line[end] != ' ' && line[end] != '\t' && !is_separator(line[end]))
      ++end;
    if (end == at) ++end;  // a separator is a token of its own
    tokens.text.push_back(line.substr(at, end - at));
    tokens.space_after.push_back(false);
    at = end;
  }
  return tokens;
}

// Tokens with digits are nearly always values.
bool PatternMiner::is_variable(std::string_view token) noexcept {
  return std::any_of(token.begin(), token.end(), [](char c) { return c >= '0' && c <= '9'; });
}

int PatternMiner::add(std::string_view line) {
  if (line.empty() || line.size() > kLineBytesMax) return -1;
  std::string key(line);
  if (const auto found = cache_.find(key); found != cache_.end()) return found->second;
  const Tokens tokens = cut(line);
  if (tokens.text.empty() || tokens.text.size() > kTokensMax) return -1;
  std::string leaf = std::to_string(tokens.text.size());
  for (std::size_t i = 0; i < std::min(kTreeDepth, tokens.text.size()); ++i) {
    leaf.push_back('\n');
    leaf.append(is_variable(tokens.text[i]) ? kWildcard : tokens.text[i]);
  }
  std::vector<int>& candidates = tree_[leaf];
  int best = -1;
  double best_share = kSimilarityMin;
  for (const int id : candidates) {
    const Cluster& cluster = clusters_[static_cast<std::size_t>(id)];
    std::size_t same = 0;
    for (std::size_t i = 0; i < tokens.text.size(); ++i)
      same += cluster.tokens[i] == tokens.text[i] || cluster.tokens[i] == kWildcard ? 1 : 0;
    const double share = static_cast<double>(same) / static_cast<double>(tokens.text.size());
    if (share >= best_share) {
      best = id;
      best_share = share;
    }
  }
  if (best < 0) {
    if (clusters_.size() >= kClustersMax || candidates.size() >= kCandidatesMax) return -1;
    Cluster fresh;
    for (const std::string_view token : tokens.text)
      fresh.tokens.emplace_back(is_variable(token) ? kWildcard : token);
    fresh.space_after = tokens.space_after;
    best = static_cast<int>(clusters_.size());
    clusters_.push_back(std::move(fresh));
    candidates.push_back(best);
  } else {
    Cluster& cluster = clusters_[static_cast<std::size_t>(best)];
    for (std::size_t i = 0; i < tokens.text.size(); ++i)
      if (cluster.tokens[i] != tokens.text[i]) cluster.tokens[i] = kWildcard;
  }
  if (cache_.size() >= kCacheMax) cache_.clear();
  cache_.emplace(std::move(key), best);
  return best;
}

void PatternMiner::count(int cluster, std::int64_t bucket_ms, std::uint64_t lines) {
  if (cluster < 0) return;
  Cluster& into = clusters_[static_cast<std::size_t>(cluster)];
  into.samples[bucket_ms] += lines;
  into.lines += lines;
}

}  // namespace skald::query::api
