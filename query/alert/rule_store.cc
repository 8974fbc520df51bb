#include "query/alert/rule_store.h"

#include <algorithm>

#include "proto/base/text_code.h"
#include "proto/gotext/strings.h"
#include "proto/net/url.h"
#include "query/alert/limits.h"

namespace skald::query::alert {
namespace {

// Everything but letters, digits, '_', '-' and inner dots as %XX: one file name per namespace.
std::string file_name(std::string_view name) {
  std::string out;
  for (const char c : name) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       c == '_' || c == '-' || (c == '.' && !out.empty());
    if (plain) {
      out += c;
    } else {
      out += '%';
      base::append_hex(out, c, base::kUpperHexDigits);
    }
  }
  return out;
}

bool is_rule_file(std::string_view name) {
  return !name.starts_with('.') && !name.ends_with(".tmp") && !name.ends_with('~');
}

}  // namespace

base::Status check_namespace(std::string_view name, const char* what) {
  bool local = !name.empty() && name[0] != '/' && name.find('\0') == std::string_view::npos;
  std::int64_t depth = 0;
  for (const std::string_view part : gotext::split(name, "/")) {
    if (part == "..") --depth;
    if (depth < 0) local = false;
    if (part != ".." && part != "." && !part.empty()) ++depth;
  }
  if (!local)
    return base::invalid_argument("invalid " + std::string(what) + ": path traversal not allowed");
  if (file_name(name).size() > kNamespaceBytesMax)
    return base::invalid_argument("invalid " + std::string(what) + ": longer than " +
                                  std::to_string(kNamespaceBytesMax) + " bytes");
  return {};
}

RuleStore::RuleStore(base::FileSystem& fs, std::string operator_dir, std::string api_dir)
    : fs_(fs), operator_dir_(std::move(operator_dir)), api_dir_(std::move(api_dir)) {}

std::string RuleStore::api_path(const std::string& tenant, const std::string& space) const {
  return api_dir_ + "/" + file_name(tenant) + "/" + file_name(space) + ".yaml";
}

std::map<std::string, TenantFiles> RuleStore::load_all(
    const std::map<std::string, TenantFiles>& known) {
  const std::lock_guard lock(mutex_);
  std::map<std::string, TenantFiles> out;
  if (!operator_dir_.empty()) load_dir(operator_dir_, false, known, out);
  if (!api_dir_.empty()) load_dir(api_dir_, true, known, out);
  return out;
}

void RuleStore::load_dir(const std::string& dir, bool from_api,
                         const std::map<std::string, TenantFiles>& known,
                         std::map<std::string, TenantFiles>& out) {
  auto tenants = fs_.list(dir);
  if (!tenants.ok()) {
    if (tenants.status().code() == base::Code::kNotFound && from_api) return;
    LoadedFile finding;
    finding.path = dir;
    finding.file.errors.push_back({0, 0, std::string(tenants.status().message())});
    out[""][dir] = std::move(finding);
    return;
  }
  for (const auto& entry : *tenants) {
    // A link to a directory (as Kubernetes mounts have) lists as none: try it.
    if (entry.name.starts_with('.') || out.size() >= kRuleTenantsMax) continue;
    if (!entry.is_directory && !fs_.list(dir + "/" + entry.name).ok()) continue;
    const std::string tenant = from_api ? net::percent_decode(entry.name) : entry.name;
    TenantFiles files = std::move(out[tenant]);
    load_tenant(dir + "/" + entry.name, tenant, from_api, known, files);
    out[tenant] = std::move(files);
    if (out[tenant].empty()) out.erase(tenant);
  }
}

void RuleStore::load_tenant(const std::string& dir, const std::string& tenant, bool from_api,
                            const std::map<std::string, TenantFiles>& known, TenantFiles& out) {
  auto entries = fs_.list(dir);
  if (!entries.ok()) {
    LoadedFile finding;
    finding.path = dir;
    finding.file.errors.push_back({0, 0, std::string(entries.status().message())});
    out[dir] = std::move(finding);
    return;
  }
  const auto before = known.find(tenant);
  for (const auto& entry : *entries) {
    if (entry.is_directory || !is_rule_file(entry.name) || out.size() >= kRuleFilesMax) continue;
    std::string space = entry.name;
    if (from_api) {
      if (!space.ends_with(".yaml")) continue;
      space = net::percent_decode(space.substr(0, space.size() - 5));
    }
    LoadedFile loaded;
    loaded.from_api = from_api;
    loaded.path = dir + "/" + entry.name;
    auto text = fs_.read_file(loaded.path, kRuleFileMax);
    if (!text.ok()) {
      // A dangling link or a directory behind one is no rule file; anything else is a finding.
      if (text.status().code() == base::Code::kNotFound) continue;
      loaded.file.errors.push_back({0, 0, std::string(text.status().message())});
      out[space] = std::move(loaded);
      continue;
    }
    if (before != known.end()) {
      const auto same = before->second.find(space);
      if (same != before->second.end() && same->second.text == *text &&
          same->second.from_api == from_api) {
        out[space] = same->second;
        continue;
      }
    }
    loaded.text = std::move(text).value();
    loaded.file = parse_rule_file(loaded.text);
    out[space] = std::move(loaded);
  }
}

bool RuleStore::in_operator_dir(const std::string& tenant, const std::string& space) {
  if (operator_dir_.empty() || space.find('/') != std::string::npos) return false;
  return fs_.read_file(operator_dir_ + "/" + tenant + "/" + space, kRuleFileMax).ok();
}

base::Result<RuleFile> RuleStore::read_api_file(const std::string& path) {
  auto text = fs_.read_file(path, kRuleFileMax);
  if (!text.ok()) {
    if (text.status().code() == base::Code::kNotFound) return RuleFile{};
    return std::move(text).status();
  }
  RuleFile file = parse_rule_file(*text);
  if (!file.ok()) return base::corrupt("rule file " + path + ": " + file.errors[0].to_string());
  return file;
}

base::Status RuleStore::write_api_file(const std::string& tenant, const std::string& space,
                                       const std::vector<RuleGroup>& groups) {
  const std::string path = api_path(tenant, space);
  if (groups.empty()) {
    SKALD_TRY(fs_.remove(path));
    return fs_.sync_directory(api_dir_ + "/" + file_name(tenant));
  }
  SKALD_TRY(fs_.make_directories(api_dir_ + "/" + file_name(tenant)));
  const std::string text = rule_file_to_yaml(groups);
  if (text.size() > kRuleFileMax)
    return base::resource_exhausted("namespace is longer than " + std::to_string(kRuleFileMax) +
                                    " bytes; use several");
  return base::write_file_atomically(fs_, path, text);
}

namespace {

base::Status not_ours(const std::string& space) {
  return base::Status(base::Code::kPermissionDenied,
                      "namespace " + space + " comes from a rule file; change the file");
}

base::Status no_api() { return base::unsupported("the rule API is off: no data directory"); }

}  // namespace

base::Status RuleStore::set_group(const std::string& tenant, const std::string& space,
                                  const RuleGroup& group) {
  const std::lock_guard lock(mutex_);
  if (api_dir_.empty()) return no_api();
  if (in_operator_dir(tenant, space)) return not_ours(space);
  SKALD_TRY_ASSIGN(RuleFile file, read_api_file(api_path(tenant, space)));
  const auto known = std::find_if(file.groups.begin(), file.groups.end(),
                                  [&](const RuleGroup& g) { return g.name == group.name; });
  if (known == file.groups.end())
    file.groups.push_back(group);
  else
    *known = group;
  return write_api_file(tenant, space, file.groups);
}

base::Status RuleStore::delete_group(const std::string& tenant, const std::string& space,
                                     const std::string& group) {
  const std::lock_guard lock(mutex_);
  if (api_dir_.empty()) return no_api();
  SKALD_TRY_ASSIGN(RuleFile file, read_api_file(api_path(tenant, space)));
  const auto gone = std::remove_if(file.groups.begin(), file.groups.end(),
                                   [&](const RuleGroup& g) { return g.name == group; });
  if (gone == file.groups.end())
    return in_operator_dir(tenant, space) ? not_ours(space)
                                          : base::not_found("group does not exist");
  file.groups.erase(gone, file.groups.end());
  return write_api_file(tenant, space, file.groups);
}

base::Status RuleStore::delete_namespace(const std::string& tenant, const std::string& space) {
  const std::lock_guard lock(mutex_);
  if (api_dir_.empty()) return no_api();
  const base::Status status = fs_.remove(api_path(tenant, space));
  if (status.ok()) return fs_.sync_directory(api_dir_ + "/" + file_name(tenant));
  if (status.code() != base::Code::kNotFound) return status;
  return in_operator_dir(tenant, space) ? not_ours(space)
                                        : base::not_found("group namespace does not exist");
}

}  // namespace skald::query::alert
