#include "agent/glob_pattern.h"

namespace skald::agent {

base::Result<std::shared_ptr<const PathPattern>> GlobPattern::create(const std::string& path,
                                                                     const std::string& exclude) {
  SKALD_TRY_ASSIGN(Glob glob, Glob::compile(path));
  std::optional<Glob> without;
  if (!exclude.empty()) {
    SKALD_TRY_ASSIGN(without, Glob::compile(exclude));
  }
  return std::shared_ptr<const PathPattern>(new GlobPattern(std::move(glob), std::move(without)));
}

bool GlobPattern::matches(std::string_view path) const {
  return path_.matches(path) && !(exclude_ && exclude_->matches(path));
}

void GlobPattern::expand(const std::function<void(const std::string&)>& file) const {
  path_.expand([&](const std::string& path) {
    if (!exclude_ || !exclude_->matches(path)) file(path);
  });
}

void GlobPattern::expand_directories(
    const std::function<void(const std::string&)>& directory) const {
  path_.expand_directories(directory);
}

bool sets_tenant(const Node& stages) {
  for (const Node& stage : stages.items)
    for (const auto& [name, body] : stage.fields) {
      if (name == "tenant") return true;
      if (const Node* inner = body.find("stages"); inner != nullptr && sets_tenant(*inner))
        return true;
      // Labels may be called __tenant_id__ by hand.
      for (const auto& [key, value] : body.fields)
        if (key == "__tenant_id__") return true;
    }
  return false;
}

}  // namespace skald::agent
