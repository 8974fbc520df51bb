#include "agent/label/relabel.h"

#include <openssl/evp.h>
#include <re2/re2.h>

#include <array>

#include "agent/label/limits.h"
#include "proto/gotext/functions.h"

namespace skald::agent {

namespace {

constexpr std::array<std::string_view, 11> kActionNames = {
    "replace",   "keep",      "drop",      "hashmod",   "labelmap", "labeldrop",
    "labelkeep", "lowercase", "uppercase", "keepequal", "dropequal"};

// Go's regexp Expand: $1, ${1}, $name, ${name}, $$. The longest run of word characters after $ is
// the name: $1x means group "1x", which does not exist and is empty.
void expand_groups(std::string_view text, const re2::RE2& regex,
                   const std::vector<re2::StringPiece>& groups, std::string& out) {
  auto put_group = [&](std::string_view name) {
    std::size_t index = 0;
    bool digits = !name.empty() && name.size() < 6;
    for (char c : name) digits = digits && c >= '0' && c <= '9';
    if (digits) {
      index = static_cast<std::size_t>(std::stoul(std::string(name)));
    } else {
      const auto& names = regex.NamedCapturingGroups();
      auto found = names.find(std::string(name));
      if (found == names.end()) return;
      index = static_cast<std::size_t>(found->second);
    }
    if (index < groups.size()) out.append(groups[index].data(), groups[index].size());
  };
  auto is_word = [](char c) {
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '$' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    if (text[i + 1] == '$') {
      out += '$';
      ++i;
      continue;
    }
    const bool braces = text[i + 1] == '{';
    const std::size_t start = i + (braces ? 2 : 1);
    std::size_t end = start;
    while (end < text.size() && is_word(text[end])) ++end;
    if (end == start || (braces && (end == text.size() || text[end] != '}'))) {
      out += '$';  // not a group: the dollar is literal
      continue;
    }
    put_group(text.substr(start, end - start));
    i = braces ? end : end - 1;
  }
}

bool mentions_group(std::string_view text) { return text.find('$') != std::string_view::npos; }

// The low 8 bytes of MD5, big-endian, mod N.
std::uint64_t hash_mod(std::string_view text, std::uint64_t modulus) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_md5(), nullptr);
  std::uint64_t value = 0;
  for (std::size_t i = 8; i < 16; ++i) value = value << 8 | digest[i];
  return value % modulus;
}

base::Status validate(const RelabelConfig& config) {
  using Action = RelabelAction;
  const Action action = config.action;
  const std::string name(relabel_action_name(action));
  const bool needs_target = action == Action::kReplace || action == Action::kHashMod ||
                            action == Action::kLowercase || action == Action::kUppercase ||
                            action == Action::kKeepEqual || action == Action::kDropEqual;
  if (needs_target && config.target_label.empty()) {
    return base::invalid_argument("target_label: action " + name + " needs one");
  }
  if (action == Action::kHashMod && config.modulus == 0) {
    return base::invalid_argument("modulus: action hashmod needs one, greater than 0");
  }
  const bool template_ok = action == Action::kReplace && mentions_group(config.target_label);
  if (needs_target && !template_ok && !model::is_label_name(config.target_label)) {
    return base::invalid_argument("target_label: `" + config.target_label +
                                  "` is not a label name");
  }
  if ((action == Action::kLowercase || action == Action::kUppercase ||
       action == Action::kKeepEqual || action == Action::kDropEqual) &&
      (config.replacement != "$1")) {
    return base::invalid_argument("replacement: has no meaning for action " + name);
  }
  if ((action == Action::kKeepEqual || action == Action::kDropEqual) && config.regex != "(.*)") {
    return base::invalid_argument("regex: has no meaning for action " + name);
  }
  if ((action == Action::kLabelDrop || action == Action::kLabelKeep) &&
      (!config.source_labels.empty() || !config.target_label.empty() || config.modulus != 0 ||
       config.replacement != "$1" || config.separator != ";")) {
    return base::invalid_argument("action " + name + " takes only `regex`");
  }
  return {};
}

}  // namespace

base::Result<RelabelAction> parse_relabel_action(std::string_view name) {
  const std::string lower = gotext::to_lower(name);
  for (std::size_t i = 0; i < kActionNames.size(); ++i) {
    if (kActionNames[i] == lower) return static_cast<RelabelAction>(i);
  }
  std::string message = "unknown relabel action `" + std::string(name) + "`; there are";
  for (auto known : kActionNames) message.append(" ").append(known);
  return base::invalid_argument(std::move(message));
}

std::string_view relabel_action_name(RelabelAction action) noexcept {
  return kActionNames[static_cast<std::size_t>(action)];
}

base::Result<RelabelRule> RelabelRule::create(RelabelConfig config) {
  SKALD_TRY(validate(config));
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(kRelabelRegexMemoryMax);
  auto regex = std::make_shared<const re2::RE2>("^(?s:" + config.regex + ")$", options);
  if (!regex->ok()) {
    return base::invalid_argument("regex: `" + config.regex + "`: " + regex->error());
  }
  RelabelRule rule;
  rule.config_ = std::move(config);
  rule.regex_ = std::move(regex);
  return rule;
}

namespace {

std::string join_sources(const RelabelConfig& config, const model::Labels& labels) {
  std::string value;
  for (std::size_t i = 0; i < config.source_labels.size(); ++i) {
    if (i != 0) value += config.separator;
    value += labels.get(config.source_labels[i]);
  }
  return value;
}

bool match_groups(const re2::RE2& regex, std::string_view text,
                  std::vector<re2::StringPiece>& groups) {
  groups.resize(static_cast<std::size_t>(regex.NumberOfCapturingGroups()) + 1);
  return regex.Match(re2::StringPiece(text.data(), text.size()), 0, text.size(),
                     re2::RE2::UNANCHORED, groups.data(), static_cast<int>(groups.size()));
}

void replace(const RelabelConfig& config, const re2::RE2& regex, const std::string& value,
             model::Labels& labels) {
  std::vector<re2::StringPiece> groups;
  if (!match_groups(regex, value, groups)) return;
  std::string target;
  expand_groups(config.target_label, regex, groups, target);
  if (!model::is_label_name(target)) return;
  std::string result;
  expand_groups(config.replacement, regex, groups, result);
  labels.set(target, result);  // empty erases
}

void label_map(const RelabelConfig& config, const re2::RE2& regex, model::Labels& labels) {
  const std::vector<model::Labels::Pair> before = labels.pairs();
  std::vector<re2::StringPiece> groups;
  for (const auto& [name, value] : before) {
    if (!match_groups(regex, name, groups)) continue;
    std::string target;
    expand_groups(config.replacement, regex, groups, target);
    if (!target.empty()) labels.set(target, value);
  }
}

void filter_names(const re2::RE2& regex, bool keep, model::Labels& labels) {
  const std::vector<model::Labels::Pair> before = labels.pairs();
  for (const auto& [name, value] : before) {
    if (re2::RE2::FullMatch(name, regex) != keep) labels.erase(name);
  }
}

}  // namespace

bool RelabelRule::apply(model::Labels& labels) const {
  const std::string value = join_sources(config_, labels);
  switch (config_.action) {
    case RelabelAction::kReplace: replace(config_, *regex_, value, labels); break;
    case RelabelAction::kKeep: return re2::RE2::FullMatch(value, *regex_);
    case RelabelAction::kDrop: return !re2::RE2::FullMatch(value, *regex_);
    case RelabelAction::kHashMod:
      labels.set(config_.target_label, std::to_string(hash_mod(value, config_.modulus)));
      break;
    case RelabelAction::kLabelMap: label_map(config_, *regex_, labels); break;
    case RelabelAction::kLabelDrop: filter_names(*regex_, false, labels); break;
    case RelabelAction::kLabelKeep: filter_names(*regex_, true, labels); break;
    case RelabelAction::kLowercase:
      labels.set(config_.target_label, gotext::to_lower(value));
      break;
    case RelabelAction::kUppercase:
      labels.set(config_.target_label, gotext::to_upper(value));
      break;
    case RelabelAction::kKeepEqual: return labels.get(config_.target_label) == value;
    case RelabelAction::kDropEqual: return labels.get(config_.target_label) != value;
  }
  return true;
}

bool apply_rules(const std::vector<RelabelRule>& rules, model::Labels& labels,
                 std::size_t* dropped_by) {
  for (std::size_t i = 0; i < rules.size(); ++i) {
    if (rules[i].apply(labels)) continue;
    if (dropped_by != nullptr) *dropped_by = i;
    return false;
  }
  return true;
}

}  // namespace skald::agent
