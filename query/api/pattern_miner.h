#pragma once
// Finds the templates behind log lines: "<_> took <_>". After Drain (He et al., ICWS 2017): lines
// are cut into tokens, a tree of token count and first tokens leads to few candidates, the most
// similar candidate above a threshold takes the line in and turns differing tokens into <_>.
//
// Not for several threads at once.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace skald::query::api {

class PatternMiner {
 public:
  struct Cluster {
    std::vector<std::string> tokens;                // "<_>" where lines differ
    std::vector<bool> space_after;                  // how the tokens join again
    std::map<std::int64_t, std::uint64_t> samples;  // bucket (ms) -> lines
    std::uint64_t lines = 0;
    std::string text() const;
  };

  // The cluster of a line; -1 when it is too long, or the miner full. Stays valid, though the
  // cluster's tokens may become more general.
  int add(std::string_view line);
  void count(int cluster, std::int64_t bucket_ms, std::uint64_t lines);
  const std::vector<Cluster>& clusters() const noexcept { return clusters_; }

 private:
  struct Tokens {
    std::vector<std::string_view> text;
    std::vector<bool> space_after;
  };
  static Tokens cut(std::string_view line);
  static bool is_variable(std::string_view token) noexcept;

  std::vector<Cluster> clusters_;
  std::unordered_map<std::string, std::vector<int>> tree_;  // count and first tokens -> clusters
  std::unordered_map<std::string, int> cache_;              // line -> cluster
};

}  // namespace skald::query::api
