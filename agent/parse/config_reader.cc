#include "agent/parse/config_reader.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "agent/parse/config.h"
#include "proto/gotext/duration.h"
#include "proto/gotext/number.h"

namespace skald::agent {

namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return out;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t change = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, change});
    }
  }
  return row[b.size()];
}

template <typename T>
bool whole_number(std::string_view text, T& out) {
  if (!text.empty() && text.front() == '+') text.remove_prefix(1);
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

void ReadState::fail(int line, std::string_view path, std::string_view what) {
  if (!status.ok()) return;
  std::string message = file + ":" + std::to_string(line) + ": ";
  if (!path.empty()) message.append(path).append(": ");
  message += what;
  status = base::invalid_argument(std::move(message));
}

void ReadState::warn(int line, std::string_view path, std::string_view what) {
  std::string message = "line " + std::to_string(line) + ": ";
  message.append(path).append(": ").append(what);
  warnings.push_back(std::move(message));
}

MapReader::MapReader(const Node& node, std::string path, ReadState& state)
    : node_(&node), path_(std::move(path)), state_(&state) {
  if (!node.is_map() && !node.is_null()) {
    state.fail(node.line, path_, "a map is expected here, found " + std::string(node.kind_name()));
  }
}

std::string MapReader::at(std::string_view key) const {
  if (key.empty()) return path_;
  return path_.empty() ? std::string(key) : path_ + "." + std::string(key);
}

const Node* MapReader::raw(std::string_view key) {
  known_.emplace_back(key);
  return node_->find(key);
}

bool MapReader::has(std::string_view key) {
  const Node* node = raw(key);
  return node != nullptr && !node->is_null();
}

const Node* MapReader::scalar(std::string_view key) {
  const Node* node = raw(key);
  if (node == nullptr || node->is_null()) return nullptr;
  if (!node->is_scalar()) {
    state_->fail(node->line, at(key),
                 "one value is expected here, found " + std::string(node->kind_name()));
    return nullptr;
  }
  return node;
}

template <typename Parse>
void MapReader::parse(std::string_view key, std::string_view expected, Parse parse) {
  const Node* node = scalar(key);
  if (node == nullptr) return;
  if (!parse(node->scalar)) {
    state_->fail(node->line, at(key), "`" + node->scalar + "` is not " + std::string(expected));
  }
}

void MapReader::string(std::string_view key, std::string& out) {
  if (const Node* node = scalar(key)) out = node->scalar;
}
void MapReader::boolean(std::string_view key, bool& out) {
  parse(key, "true or false", [&](const std::string& text) { return parse_yaml_bool(text, out); });
}
void MapReader::integer(std::string_view key, int& out) {
  parse(key, "a whole number", [&](const std::string& text) { return whole_number(text, out); });
}
void MapReader::uint64(std::string_view key, std::uint64_t& out) {
  parse(key, "a whole number >= 0",
        [&](const std::string& text) { return whole_number(text, out); });
}
void MapReader::size(std::string_view key, std::size_t& out) {
  parse(key, "a whole number >= 0",
        [&](const std::string& text) { return whole_number(text, out); });
}
void MapReader::number(std::string_view key, double& out) {
  parse(key, "a number", [&](const std::string& text) {
    return gotext::read_float(text, out) == gotext::NumberError::kNone && std::isfinite(out);
  });
}
void MapReader::duration(std::string_view key, std::int64_t& out_ns) {
  parse(key, "a duration such as 250ms, 10s or 1h30m (days are not known here)",
        [&](const std::string& text) {
          auto parsed = parse_go_duration_ns(text);
          if (parsed.ok()) out_ns = *parsed;
          return parsed.ok();
        });
}
void MapReader::long_duration(std::string_view key, std::int64_t& out_ns) {
  parse(key, "a duration such as 30s, 5m or 1d", [&](const std::string& text) {
    auto parsed = gotext::parse_prometheus_duration(text);
    if (parsed.ok()) out_ns = *parsed;
    return parsed.ok();
  });
}
void MapReader::bytes(std::string_view key, std::size_t& out) {
  parse(key, "a size such as 65536, 256kb or 2M",
        [&](const std::string& text) { return parse_size(text, out); });
}

void MapReader::labels(std::string_view key, model::Labels& out) {
  std::vector<std::pair<std::string, std::string>> pairs;
  string_map(key, pairs);
  for (const auto& [name, value] : pairs) {
    if (!model::is_label_name(name)) {
      fail(key, "`" + name + "` is not a label name: letters, digits and _, no digit first");
    }
    out.set(name, value);
  }
}

void MapReader::strings(std::string_view key, std::vector<std::string>& out) {
  const Node* node = raw(key);
  if (node == nullptr || node->is_null()) return;
  if (node->is_scalar()) {
    out.push_back(node->scalar);
    return;
  }
  if (!node->is_sequence()) return state_->fail(node->line, at(key), "a list is expected here");
  for (const Node& item : node->items) {
    if (!item.is_scalar()) {
      return state_->fail(item.line, at(key), "the list may hold single values only");
    }
    out.push_back(item.scalar);
  }
}

void MapReader::string_map(std::string_view key,
                           std::vector<std::pair<std::string, std::string>>& out) {
  const Node* node = raw(key);
  if (node == nullptr || node->is_null()) return;
  if (!node->is_map()) return state_->fail(node->line, at(key), "a map is expected here");
  for (const auto& [name, value] : node->fields) {
    if (!value.is_scalar() && !value.is_null()) {
      return state_->fail(value.line, at(key) + "." + name, "one value is expected here");
    }
    out.emplace_back(name, value.scalar);
  }
}

void MapReader::each(std::string_view key,
                     const std::function<void(const Node&, std::string path)>& item) {
  const Node* node = raw(key);
  if (node == nullptr || node->is_null()) return;
  if (!node->is_sequence()) return state_->fail(node->line, at(key), "a list is expected here");
  for (std::size_t i = 0; i < node->items.size(); ++i) {
    item(node->items[i], at(key) + "[" + std::to_string(i) + "]");
  }
}

void MapReader::map(std::string_view key, const std::function<void(MapReader&)>& body) {
  const Node* node = raw(key);
  if (node == nullptr) return;
  MapReader reader(*node, at(key), *state_);
  body(reader);
}

void MapReader::accept(std::string_view key) { raw(key); }
void MapReader::accept(std::string_view key, std::string_view note) {
  if (has(key)) warn(key, note);
}
void MapReader::refuse(std::string_view key, std::string_view way_out) {
  if (raw(key) != nullptr) fail(key, "not supported; " + std::string(way_out));
}

void MapReader::fail(std::string_view key, std::string_view what) {
  const Node* node = node_->find(key);
  state_->fail(node != nullptr ? (node->key_line != 0 ? node->key_line : node->line) : node_->line,
               at(key), what);
}
void MapReader::warn(std::string_view key, std::string_view what) {
  const Node* node = node_->find(key);
  state_->warn(node != nullptr ? (node->key_line != 0 ? node->key_line : node->line) : node_->line,
               at(key), what);
}

std::string MapReader::unknown_message(std::string_view key) const {
  std::string message = "unknown key";
  std::size_t best = 3;  // further away than two letters is no hint
  std::string nearest;
  for (const auto& known : known_) {
    const std::size_t distance = edit_distance(key, known);
    if (distance < best) {
      best = distance;
      nearest = known;
    }
  }
  if (!nearest.empty()) {
    message += "; did you mean `" + nearest + "`?";
  } else {
    message += "; take it out, or compare its indentation with the block it belongs to";
  }
  return message;
}

void MapReader::finish() {
  if (!state_->ok()) return;
  for (const auto& [key, value] : node_->fields) {
    if (std::find(known_.begin(), known_.end(), key) == known_.end()) {
      return fail(key, unknown_message(key));
    }
  }
}
void MapReader::finish_loosely() {
  for (const auto& [key, value] : node_->fields) {
    if (std::find(known_.begin(), known_.end(), key) == known_.end()) {
      warn(key, unknown_message(key) + " (ignored, as Promtail ignores it)");
    }
  }
}

bool parse_yaml_bool(std::string_view text, bool& out) noexcept {
  const std::string word = lower(text);
  if (word == "true" || word == "yes" || word == "on" || word == "y") return out = true, true;
  if (word == "false" || word == "no" || word == "off" || word == "n") return out = false, true;
  return false;
}

bool parse_size(std::string_view text, std::size_t& out) noexcept {
  const std::string all = lower(text);
  std::size_t digits = 0;
  while (digits < all.size() && (all[digits] == '.' || (all[digits] >= '0' && all[digits] <= '9')))
    ++digits;
  double value = 0;
  if (digits == 0 || gotext::read_float(std::string_view(all).substr(0, digits), value) !=
                         gotext::NumberError::kNone)
    return false;
  std::string unit = all.substr(digits);
  unit.erase(0, unit.find_first_not_of(' '));
  if (!unit.empty() && unit.back() == 'b') unit.pop_back();
  if (!unit.empty() && unit.back() == 'i') unit.pop_back();
  static constexpr std::string_view kUnits = "kmgt";
  if (!unit.empty()) {
    const auto power = kUnits.find(unit);
    if (unit.size() != 1 || power == std::string_view::npos) return false;
    value = std::ldexp(value, 10 * (static_cast<int>(power) + 1));
  }
  if (value > 9e15) return false;
  out = static_cast<std::size_t>(value);
  return true;
}

base::Result<std::int64_t> parse_go_duration_ns(std::string_view text) {
  return gotext::parse_duration(text);
}

}  // namespace skald::agent
