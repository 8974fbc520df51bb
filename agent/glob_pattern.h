#pragma once
// A target's __path__ and __path_exclude__ for the tailer, and small questions about a
// configuration that the lane asks.

#include <memory>
#include <optional>

#include "agent/label/glob.h"
#include "agent/parse/yaml_node.h"
#include "agent/tail/file_set.h"

namespace skald::agent {

class GlobPattern final : public PathPattern {
 public:
  static base::Result<std::shared_ptr<const PathPattern>> create(const std::string& path,
                                                                 const std::string& exclude);
  bool matches(std::string_view path) const override;
  void expand(const std::function<void(const std::string&)>& file) const override;
  void expand_directories(const std::function<void(const std::string&)>& directory) const override;

 private:
  GlobPattern(Glob path, std::optional<Glob> exclude)
      : path_(std::move(path)), exclude_(std::move(exclude)) {}
  Glob path_;
  std::optional<Glob> exclude_;
};

// Whether stages may send one file's lines to several tenants.
bool sets_tenant(const Node& stages);

}  // namespace skald::agent
