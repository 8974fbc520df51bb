#pragma once
// Where rule files lie: the operator's directory (read only) and ours (what the API wrote). Each
// has a subdirectory per tenant; a file is a namespace. In ours the file name is the namespace,
// percent-encoded, with ".yaml"; a namespace that is in both is taken from ours.
//
// Threads: safe from several; one mutex, held over file system calls.

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "proto/base/fs.h"
#include "query/alert/rule_file.h"

namespace skald::query::alert {

struct LoadedFile {
  std::string text;
  RuleFile file;
  bool from_api = false;
  std::string path;
};
// namespace -> file
using TenantFiles = std::map<std::string, LoadedFile>;

class RuleStore {
 public:
  // Empty directory names: none of that kind.
  RuleStore(base::FileSystem& fs, std::string operator_dir, std::string api_dir);

  // Everything that can be read. Directories that cannot be listed and files that cannot be read
  // are findings of a file without groups. Texts equal to `known`'s are not parsed again.
  std::map<std::string, TenantFiles> load_all(const std::map<std::string, TenantFiles>& known);

  // The API's calls. kPermissionDenied: the namespace comes from an operator's file.
  // kNotFound: "group does not exist", "group namespace does not exist".
  base::Status set_group(const std::string& tenant, const std::string& space,
                         const RuleGroup& group);
  base::Status delete_group(const std::string& tenant, const std::string& space,
                            const std::string& group);
  base::Status delete_namespace(const std::string& tenant, const std::string& space);

 private:
  base::Result<RuleFile> read_api_file(const std::string& path);
  base::Status write_api_file(const std::string& tenant, const std::string& space,
                              const std::vector<RuleGroup>& groups);
  bool in_operator_dir(const std::string& tenant, const std::string& space);
  std::string api_path(const std::string& tenant, const std::string& space) const;
  void load_dir(const std::string& dir, bool from_api,
                const std::map<std::string, TenantFiles>& known,
                std::map<std::string, TenantFiles>& out);
  void load_tenant(const std::string& dir, const std::string& tenant, bool from_api,
                   const std::map<std::string, TenantFiles>& known, TenantFiles& out);

  base::FileSystem& fs_;
  const std::string operator_dir_, api_dir_;
  std::mutex mutex_;
};

// Names that may stand in a path: not empty, no traversal, not too long. The message is Loki's.
base::Status check_namespace(std::string_view name, const char* what);

}  // namespace skald::query::alert
