#include "agent/label/target.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <set>

#include "agent/label/glob.h"
#include "agent/label/limits.h"
#include "proto/base/fs.h"

namespace skald::agent {

namespace {

constexpr std::string_view kPath = "__path__";
constexpr std::string_view kExclude = "__path_exclude__";
constexpr std::string_view kHost = "__host__";

void remove_reserved(model::Labels& labels) {
  const std::vector<model::Labels::Pair> before = labels.pairs();
  for (const auto& [name, value] : before) {
    if (name.starts_with("__")) labels.erase(name);
  }
}

std::uint64_t file_stamp(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return 0;
  std::uint64_t stamp = static_cast<std::uint64_t>(info.st_mtim.tv_sec) * 1'000'000'007U;
  stamp ^= static_cast<std::uint64_t>(info.st_mtim.tv_nsec) * 31U;
  stamp ^= static_cast<std::uint64_t>(info.st_size) << 20U;
  stamp ^= static_cast<std::uint64_t>(info.st_ino) << 40U;
  return stamp | 1U;
}

std::vector<std::string> list_directories(const std::string& path) {
  std::vector<std::string> names;
  DIR* dir = ::opendir(path.c_str());
  if (dir == nullptr) return names;
  while (const dirent* entry = ::readdir(dir)) {
    const std::string_view name = entry->d_name;
    if (name.starts_with(".")) continue;
    bool is_directory = entry->d_type == DT_DIR;
    if (entry->d_type == DT_LNK || entry->d_type == DT_UNKNOWN) {
      struct stat info {};
      const std::string full = path + "/" + std::string(name);
      is_directory = ::stat(full.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
    }
    if (is_directory) names.emplace_back(name);
  }
  ::closedir(dir);
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

std::string Target::identity() const {
  return path + "\n" + labels.to_string() + "\n" + path_exclude;
}

TargetDiscovery::Host TargetDiscovery::Host::local() {
  if (const char* name = std::getenv("HOSTNAME"); name != nullptr && *name != '\0') return {name};
  char name[256] = {};
  if (::gethostname(name, sizeof(name) - 1) != 0) return {};
  return {name};
}

base::Result<std::unique_ptr<TargetDiscovery>> TargetDiscovery::create(TargetConfig config,
                                                                       Host host,
                                                                       ParseGroups parse_groups) {
  std::unique_ptr<TargetDiscovery> discovery(new TargetDiscovery());
  for (std::size_t i = 0; i < config.relabel_configs.size(); ++i) {
    auto rule = RelabelRule::create(config.relabel_configs[i]);
    if (!rule.ok()) {
      return std::move(rule).status().with_context(config.job_name + ": relabel_configs[" +
                                                   std::to_string(i) + "]");
    }
    discovery->rules_.push_back(std::move(rule).value());
  }
  discovery->config_ = std::move(config);
  discovery->host_ = std::move(host);
  discovery->parse_groups_ = parse_groups;
  return discovery;
}

void TargetDiscovery::add(model::Labels discovered, TargetList& out) {
  auto drop = [&](std::string reason) {
    if (out.dropped.size() < kDroppedTargetsMax) {
      out.dropped.push_back({config_.job_name, std::move(reason), discovered});
    }
  };
  model::Labels labels = discovered;
  std::size_t rule = 0;
  if (!apply_rules(rules_, labels, &rule)) {
    return drop("relabel_configs[" + std::to_string(rule) + "]");
  }
  Target target;
  target.job_name = config_.job_name;
  target.path = labels.get(kPath);
  target.path_exclude = labels.get(kExclude);
  const std::string host(labels.get(kHost));
  if (target.path.empty()) return drop("no_path");
  if (!host.empty() && host != host_.name) return drop("wrong_host");
  remove_reserved(labels);
  target.labels = std::move(labels);
  target.kubernetes_path_labels = config_.kubernetes_path_labels;
  const std::string identity = target.identity();
  if (seen_.contains(identity)) return drop("exists");
  if (auto glob = Glob::compile(target.path); !glob.ok()) {
    out.warnings.push_back(config_.job_name + ": __path__ `" + target.path +
                           "`: " + std::string(glob.status().message()));
    return drop("bad_path");
  }
  identities_.push_back(identity);
  seen_.insert(identity);
  target.discovered = std::move(discovered);
  out.targets.push_back(std::move(target));
}

void TargetDiscovery::add_group(const TargetGroup& group, const model::Labels& meta,
                                TargetList& out) {
  std::vector<std::string> addresses = group.targets;
  if (addresses.empty()) addresses.emplace_back("localhost");
  for (const auto& address : addresses) {
    model::Labels labels = group.labels;
    for (const auto& [name, value] : meta) labels.set(name, value);
    if (!labels.has("__address__")) labels.set("__address__", address);
    add(std::move(labels), out);
  }
}

void TargetDiscovery::poll_files(TargetList& out) {
  std::set<std::string> present;
  for (const auto& config : config_.file_sd_configs) {
    for (const auto& pattern : config.files) {
      auto glob = Glob::compile(pattern);
      if (!glob.ok()) continue;  // refused when the configuration was loaded
      glob->expand([&](const std::string& path) { present.insert(path); });
    }
  }
  std::erase_if(sd_files_, [&](const auto& known) { return !present.contains(known.first); });
  for (const auto& path : present) {
    SdFile& file = sd_files_[path];
    const std::uint64_t stamp = file_stamp(path);
    if (stamp != file.stamp) {
      file.stamp = stamp;
      file.error.clear();
      auto text = base::FileSystem::posix().read_file(path, kSdFileBytesMax);
      auto groups = text.ok() ? parse_groups_(*text, path)
                              : base::Result<std::vector<TargetGroup>>(std::move(text).status());
      if (groups.ok()) {
        file.groups = std::move(groups).value();
      } else {
        file.error = groups.status().to_string();  // the groups read before stay
      }
    }
    if (!file.error.empty()) out.warnings.push_back(config_.job_name + ": " + file.error);
    for (const auto& group : file.groups) {
      add_group(group, model::Labels{{"__meta_filepath", path}}, out);
    }
  }
}

void TargetDiscovery::poll_kubernetes(TargetList& out) {
  for (const auto& config : config_.kubernetes_sd_configs) {
    for (const auto& pod : list_directories(config.pods_directory)) {
      for (const auto& container : list_directories(config.pods_directory + "/" + pod)) {
        std::string directory = config.pods_directory;
        directory.append("/").append(pod).append("/").append(container);
        KubernetesPath path;
        if (!parse_kubernetes_path("/pods/" + pod + "/" + container + "/0.log", path)) continue;
        const auto& wanted = config.namespaces;
        if (!wanted.empty() &&
            std::find(wanted.begin(), wanted.end(), path.namespace_name) == wanted.end()) {
          continue;
        }
        // A static pod's directory carries the hash of its manifest instead of the pod's uid; the
        // chart's rules then build the path from that annotation. The directory name is right in
        // both cases, so both get it.
        model::Labels labels = model::Labels::from_pairs({
            {"__meta_kubernetes_namespace", path.namespace_name},
            {"__meta_kubernetes_pod_name", path.pod},
            {"__meta_kubernetes_pod_uid", path.uid},
            {"__meta_kubernetes_pod_container_name", path.container},
            {"__meta_kubernetes_pod_node_name", host_.name},
            {"__meta_kubernetes_pod_controller_kind", path.controller_kind},
            {"__meta_kubernetes_pod_controller_name", path.controller_name},
            {"__host__", host_.name},
            {"__path__", directory + "/*.log"},
        });
        add(std::move(labels), out);
      }
    }
  }
}

const TargetList& TargetDiscovery::poll() {
  std::vector<std::string> before = std::move(identities_);
  identities_.clear();
  seen_.clear();
  TargetList list;
  for (const auto& group : config_.static_configs) add_group(group, {}, list);
  poll_files(list);
  poll_kubernetes(list);
  changed_ = before != identities_;
  list_ = std::move(list);
  return list_;
}

}  // namespace skald::agent
