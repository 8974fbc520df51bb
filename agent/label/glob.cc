#include "agent/label/glob.h"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <set>

#include "agent/label/limits.h"
#include "proto/base/utf8.h"

namespace skald::agent {

namespace {

bool is_wild(std::string_view segment) {
  return segment.find_first_of("*?[\\") != std::string_view::npos;
}

// One character class at pattern[i] == '['. On return `i` is after ']'.
bool class_matches(std::string_view pattern, std::size_t& i, char32_t rune) {
  ++i;
  bool negated = false;
  if (i < pattern.size() && (pattern[i] == '!' || pattern[i] == '^')) {
    negated = true;
    ++i;
  }
  auto take = [&]() -> char32_t {
    if (pattern[i] == '\\' && i + 1 < pattern.size()) ++i;
    const base::Rune read = base::decode_rune(pattern.substr(i));
    i += read.width;
    return read.value;
  };
  bool matched = false;
  bool first = true;
  while (i < pattern.size() && (first || pattern[i] != ']')) {
    first = false;
    const char32_t low = take();
    char32_t high = low;
    if (i + 1 < pattern.size() && pattern[i] == '-' && pattern[i + 1] != ']') {
      ++i;
      high = take();
    }
    matched = matched || (low <= rune && rune <= high);
  }
  ++i;  // ']'
  return matched != negated;
}

// Within one segment: no '/' in either. Backtracks to the last star only.
bool segment_matches(std::string_view pattern, std::string_view name) {
  std::size_t p = 0;
  std::size_t n = 0;
  std::size_t star = std::string_view::npos;
  std::size_t star_name = 0;
  while (n < name.size() || p < pattern.size()) {
    bool matched = false;
    if (p < pattern.size()) {
      if (pattern[p] == '*') {
        star = p++;
        star_name = n;
        continue;
      }
      if (n < name.size()) {
        if (pattern[p] == '?' || pattern[p] == '[') {
          const base::Rune rune = base::decode_rune(name.substr(n));
          std::size_t next = p + 1;
          matched = pattern[p] == '?';
          if (!matched) {
            next = p;
            matched = class_matches(pattern, next, rune.value);
          }
          if (matched) {
            p = next;
            n += rune.width;
          }
        } else {
          std::size_t literal = p;
          if (pattern[literal] == '\\' && literal + 1 < pattern.size()) ++literal;
          matched = pattern[literal] == name[n];
          if (matched) {
            p = literal + 1;
            ++n;
          }
        }
      }
    }
    if (matched) continue;
    if (star == std::string_view::npos || star_name >= name.size()) return false;
    p = star + 1;
    n = ++star_name;
  }
  return true;
}

std::string unescape(std::string_view segment) {
  std::string out;
  for (std::size_t i = 0; i < segment.size(); ++i) {
    if (segment[i] == '\\' && i + 1 < segment.size()) ++i;
    out += segment[i];
  }
  return out;
}

std::vector<std::string> split(std::string_view path) {
  std::vector<std::string> segments;
  std::size_t start = 0;
  while (start <= path.size()) {
    std::size_t end = path.find('/', start);
    if (end == std::string_view::npos) end = path.size();
    if (end > start) segments.emplace_back(path.substr(start, end - start));
    start = end + 1;
  }
  return segments;
}

// Expands the first brace group and recurses on the results.
base::Status expand_braces(const std::string& pattern, std::vector<std::string>& out) {
  if (out.size() >= kGlobAlternativesMax) {
    return base::invalid_argument("more than 1000 alternatives in the pattern");
  }
  int depth = 0;
  bool in_class = false;
  std::size_t open = 0;
  std::vector<std::size_t> commas;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '\\') {
      ++i;
    } else if (in_class) {
      in_class = c != ']';
    } else if (c == '[') {
      in_class = true;
      if (i + 1 < pattern.size() && (pattern[i + 1] == '!' || pattern[i + 1] == '^')) ++i;
      if (i + 1 < pattern.size() && pattern[i + 1] == ']') ++i;
    } else if (c == '{') {
      if (depth++ == 0) open = i;
    } else if (c == ',' && depth == 1) {
      commas.push_back(i);
    } else if (c == '}' && depth > 0 && --depth == 0) {
      std::size_t start = open + 1;
      commas.push_back(i);
      for (std::size_t comma : commas) {
        SKALD_TRY(expand_braces(
            pattern.substr(0, open) + pattern.substr(start, comma - start) + pattern.substr(i + 1),
            out));
        start = comma + 1;
      }
      return {};
    }
  }
  if (depth > 0) return base::invalid_argument("`{` without `}` in the pattern");
  if (in_class) return base::invalid_argument("`[` without `]` in the pattern");
  out.push_back(pattern);
  return {};
}

using Segments = std::vector<std::string>;

// A path's segments. A scan asks for each of thousands of files: most have room in place.
class PathSegments {
 public:
  explicit PathSegments(std::string_view path) {
    while (!path.empty()) {
      const std::size_t slash = std::min(path.find('/'), path.size());
      if (slash > 0) add(path.substr(0, slash));
      path.remove_prefix(std::min(slash + 1, path.size()));
    }
  }
  std::size_t size() const noexcept { return size_; }
  std::string_view operator[](std::size_t i) const noexcept {
    return i < near_.size() ? near_[i] : far_[i - near_.size()];
  }

 private:
  void add(std::string_view segment) {
    if (size_ < near_.size())
      near_[size_] = segment;
    else
      far_.push_back(segment);
    ++size_;
  }
  std::array<std::string_view, 16> near_;
  std::vector<std::string_view> far_;
  std::size_t size_ = 0;
};

bool path_matches(const Segments& pattern, std::size_t p, const PathSegments& path, std::size_t s) {
  for (; p < pattern.size(); ++p, ++s) {
    if (pattern[p] == "**") {
      while (p + 1 < pattern.size() && pattern[p + 1] == "**") ++p;
      for (std::size_t skip = s; skip <= path.size(); ++skip) {
        if (path_matches(pattern, p + 1, path, skip)) return true;
      }
      return false;
    }
    if (s >= path.size() || !segment_matches(pattern[p], path[s])) return false;
  }
  return s == path.size();
}

// Whether something strictly below the directory `path` could match.
bool below_matches(const Segments& pattern, const PathSegments& path) {
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (i >= pattern.size()) return false;
    if (pattern[i] == "**") return true;
    if (!segment_matches(pattern[i], path[i])) return false;
  }
  return pattern.size() > path.size();
}

std::string base_directory(const Segments& segments, bool absolute) {
  std::string base;
  for (std::size_t i = 0; i + 1 < segments.size() && !is_wild(segments[i]); ++i) {
    if (absolute || i != 0) base += '/';
    base += unescape(segments[i]);
  }
  if (base.empty()) base = absolute ? "/" : ".";
  return base;
}

}  // namespace

base::Result<Glob> Glob::compile(std::string_view pattern) {
  if (pattern.empty()) return base::invalid_argument("the path pattern is empty");
  if (pattern.size() > kGlobPatternMax) return base::invalid_argument("the pattern is too long");
  Glob glob;
  glob.pattern_ = pattern;
  glob.absolute_ = pattern.front() == '/';
  std::vector<std::string> plain;
  SKALD_TRY(expand_braces(glob.pattern_, plain));
  glob.literal_ = plain.size() == 1 && !is_wild(plain[0]);
  for (const auto& alternative : plain) {
    glob.alternatives_.push_back(split(alternative));
    std::string base = base_directory(glob.alternatives_.back(), glob.absolute_);
    if (std::find(glob.bases_.begin(), glob.bases_.end(), base) == glob.bases_.end()) {
      glob.bases_.push_back(std::move(base));
    }
  }
  return glob;
}

bool Glob::matches(std::string_view path) const {
  if (path == pattern_) return true;
  if (path.empty() || (path.front() == '/') != absolute_) return false;
  const PathSegments segments(path);
  return std::any_of(alternatives_.begin(), alternatives_.end(), [&](const Segments& alternative) {
    return path_matches(alternative, 0, segments, 0);
  });
}

bool Glob::may_match_below(std::string_view directory) const {
  if (directory.empty()) return false;
  if ((directory.front() == '/') != absolute_) return false;
  const PathSegments segments(directory == "." ? std::string_view() : directory);
  return std::any_of(alternatives_.begin(), alternatives_.end(), [&](const Segments& alternative) {
    return below_matches(alternative, segments);
  });
}

void Glob::walk(const std::string& directory, int depth,
                const std::function<void(const std::string&, bool)>& visit) const {
  if (depth > kGlobDepthMax) return;
  DIR* dir = ::opendir(directory.c_str());
  if (dir == nullptr) return;
  visit(directory, true);
  std::vector<std::string> below;
  const std::string prefix = directory == "/" ? "/" : directory == "." ? "" : directory + "/";
  while (const dirent* entry = ::readdir(dir)) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    std::string path = prefix + std::string(name);
    bool is_directory = entry->d_type == DT_DIR;
    if (entry->d_type == DT_LNK || entry->d_type == DT_UNKNOWN) {
      struct stat info {};
      if (::stat(path.c_str(), &info) != 0) continue;
      is_directory = S_ISDIR(info.st_mode);
    }
    if (!is_directory) {
      visit(path, false);
    } else if (may_match_below(path)) {
      below.push_back(std::move(path));
    }
    if (below.size() > kGlobVisitsMax) break;
  }
  ::closedir(dir);
  for (const auto& path : below) walk(path, depth + 1, visit);
}

void Glob::expand(const std::function<void(const std::string&)>& file) const {
  struct stat info {};
  if (::stat(pattern_.c_str(), &info) == 0 && !S_ISDIR(info.st_mode)) return file(pattern_);
  if (literal_) return;
  std::set<std::string> seen;  // bases may lie in one another
  for (const auto& base : bases_) {
    walk(base, 0, [&](const std::string& path, bool is_directory) {
      if (is_directory || !matches(path)) return;
      if (bases_.size() > 1 && !seen.insert(path).second) return;
      file(path);
    });
  }
}

void Glob::expand_directories(const std::function<void(const std::string&)>& directory) const {
  std::set<std::string> seen;
  for (const auto& base : bases_) {
    walk(base, 0, [&](const std::string& path, bool is_directory) {
      if (is_directory && seen.insert(path).second) directory(path);
    });
  }
}

}  // namespace skald::agent
