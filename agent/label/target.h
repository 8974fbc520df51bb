#pragma once
// From a scrape config's target blocks to tail targets: static groups, file_sd files and the
// Kubernetes pod directories of this node, each relabelled. What comes out is what the tailer
// needs: a path pattern, an exclusion and the labels every line of it starts with.
//
// Thread rule: one thread. Does blocking reads of small local files and directories.

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "agent/label/relabel.h"
#include "proto/base/status.h"
#include "proto/model/labels.h"

namespace skald::agent {

struct TargetGroup {                 // static_configs[] and each group of a file_sd file
  std::vector<std::string> targets;  // decorative; becomes __address__
  model::Labels labels;              // __path__, __path_exclude__, __host__ among them
  int line = 0;
};

struct FileSdConfig {
  std::vector<std::string> files;  // the last path segment may hold one '*'
  std::int64_t refresh_interval_ns = 300'000'000'000;
};

// Role pod only, without the API server: namespace, pod, uid, container and node come from
// /var/log/pods/<ns>_<pod>_<uid>/<container>/; the controller's name and kind are read off the
// pod's name. Pod labels and annotations are not to be had this way.
struct KubernetesSdConfig {
  std::string role = "pod";
  std::vector<std::string> namespaces;  // empty: all
  std::string pods_directory = "/var/log/pods";
  int line = 0;
};

// The target side of one scrape config.
struct TargetConfig {
  std::string job_name;
  std::vector<TargetGroup> static_configs;
  std::vector<FileSdConfig> file_sd_configs;
  std::vector<KubernetesSdConfig> kubernetes_sd_configs;
  std::vector<RelabelConfig> relabel_configs;
  // Extension `path_labels: kubernetes`: namespace, pod, container, (stream by the cri stage) are
  // added to every file under /var/log/pods or /var/log/containers, where not already set.
  bool kubernetes_path_labels = false;
};

struct Target {
  std::string job_name;
  std::string path;          // __path__: a pattern for Glob
  std::string path_exclude;  // __path_exclude__ or empty
  model::Labels labels;      // final, no __*
  model::Labels discovered;  // before relabelling: for /service-discovery
  bool kubernetes_path_labels = false;
  std::string identity() const;  // path + labels + exclude: equal identities are one target
};

struct DroppedTarget {
  std::string job_name;
  std::string reason;  // no_path, wrong_host, exists, or "relabel_configs[2]"
  model::Labels discovered;
};

struct TargetList {
  std::vector<Target> targets;
  std::vector<DroppedTarget> dropped;  // the first kDroppedTargetsMax
  std::vector<std::string>
      warnings;  // unreadable or broken file_sd files: their last good groups stay
};

class TargetDiscovery {
 public:
  struct Host {
    std::string name;  // $HOSTNAME or the kernel's; compared with __host__
    static Host local();
  };
  // kInvalidArgument if a relabel rule does not build. `parse_groups` reads a file_sd file's bytes
  // (JSON or YAML); given by the caller so that this room knows no YAML.
  using ParseGroups = base::Result<std::vector<TargetGroup>> (*)(std::string_view text,
                                                                 std::string_view file);
  static base::Result<std::unique_ptr<TargetDiscovery>> create(TargetConfig config, Host host,
                                                               ParseGroups parse_groups);

  // The targets as of now. file_sd files are read again when their size, time or inode changed;
  // pod directories are listed each time. Call it every target_config.sync_period; changed() says
  // whether the last call differed from the one before.
  const TargetList& poll();
  bool changed() const noexcept { return changed_; }

 private:
  struct SdFile {
    std::uint64_t stamp = 0;
    std::vector<TargetGroup> groups;
    std::string error;
  };
  TargetDiscovery() = default;
  void add_group(const TargetGroup& group, const model::Labels& meta, TargetList& out);
  void add(model::Labels discovered, TargetList& out);
  void poll_files(TargetList& out);
  void poll_kubernetes(TargetList& out);

  TargetConfig config_;
  Host host_;
  ParseGroups parse_groups_ = nullptr;
  std::vector<RelabelRule> rules_;
  std::map<std::string, SdFile> sd_files_;
  TargetList list_;
  std::vector<std::string> identities_;  // of list_, in order
  std::unordered_set<std::string> seen_;
  bool changed_ = false;
};

// What a kubelet log path says. /var/log/pods/<ns>_<pod>_<uid>/<container>/<n>.log[.<rotation>] or
// /var/log/containers/<pod>_<ns>_<container>-<64 hex>.log (no uid there).
struct KubernetesPath {
  std::string namespace_name, pod, uid, container;
  std::string controller_kind, controller_name;  // read off the pod's name; empty: none known
};
bool parse_kubernetes_path(std::string_view path, KubernetesPath& out);

// The labels of one file of a target: the target's, `filename`, and the path-derived ones if asked.
model::Labels file_labels(const Target& target, std::string_view path);

}  // namespace skald::agent
