// Kubernetes' log paths, read as far as they go: kubelet's naming of pods gives namespace, pod, uid
// and container; the API server's name generator gives away the controller.

#include <array>
#include <string>

#include "agent/label/target.h"

namespace skald::agent {

namespace {

bool all_of(std::string_view text, std::string_view allowed) {
  return !text.empty() && text.find_first_not_of(allowed) == std::string_view::npos;
}
constexpr std::string_view kDigits = "0123456789";
constexpr std::string_view kHex = "0123456789abcdef";
// Kubernetes' random names: no vowels and nothing that looks like one.
constexpr std::string_view kRandom = "bcdfghjklmnpqrstvwxz2456789";

// web-5d4f8c7b9-x2k4p: ReplicaSet web-5d4f8c7b9; agent-x2k4p: DaemonSet agent (or a Job);
// db-0: StatefulSet db.
void derive_controller(KubernetesPath& path) {
  const std::size_t dash = path.pod.rfind('-');
  if (dash == std::string::npos || dash == 0) return;
  const std::string_view last = std::string_view(path.pod).substr(dash + 1);
  const std::string_view rest = std::string_view(path.pod).substr(0, dash);
  if (last.size() == 5 && all_of(last, kRandom)) {
    const std::size_t second = rest.rfind('-');
    if (second != std::string_view::npos && second > 0) {
      const std::string_view hash = rest.substr(second + 1);
      if (hash.size() >= 6 && hash.size() <= 10 && all_of(hash, kRandom)) {
        path.controller_kind = "ReplicaSet";
        path.controller_name = rest;
        return;
      }
    }
    path.controller_kind = "DaemonSet";
    path.controller_name = rest;
  } else if (all_of(last, kDigits) && last.size() <= 5) {
    path.controller_kind = "StatefulSet";
    path.controller_name = rest;
  }
}

// <ns>_<pod>_<uid>/<container>/<n>.log
bool parse_pods(std::string_view rest, KubernetesPath& out) {
  const std::size_t slash = rest.find('/');
  if (slash == std::string_view::npos) return false;
  const std::string_view directory = rest.substr(0, slash);
  std::string_view container = rest.substr(slash + 1);
  container = container.substr(0, container.find('/'));
  const std::size_t first = directory.find('_');
  const std::size_t last = directory.rfind('_');
  if (first == std::string_view::npos || first == last || container.empty()) return false;
  out.namespace_name = directory.substr(0, first);
  out.pod = directory.substr(first + 1, last - first - 1);
  out.uid = directory.substr(last + 1);
  out.container = container;
  return !out.namespace_name.empty() && !out.pod.empty() && !out.uid.empty();
}

// <pod>_<ns>_<container>-<64 hex>.log
bool parse_containers(std::string_view name, KubernetesPath& out) {
  if (name.find('/') != std::string_view::npos || !name.ends_with(".log")) return false;
  name.remove_suffix(4);
  const std::size_t first = name.find('_');
  if (first == std::string_view::npos) return false;
  const std::size_t second = name.find('_', first + 1);
  const std::size_t dash = name.rfind('-');
  if (second == std::string_view::npos || dash == std::string_view::npos || dash < second) {
    return false;
  }
  if (name.size() - dash - 1 != 64 || !all_of(name.substr(dash + 1), kHex)) return false;
  out.pod = name.substr(0, first);
  out.namespace_name = name.substr(first + 1, second - first - 1);
  out.container = name.substr(second + 1, dash - second - 1);
  return !out.pod.empty() && !out.namespace_name.empty() && !out.container.empty();
}

}  // namespace

bool parse_kubernetes_path(std::string_view path, KubernetesPath& out) {
  out = {};
  // The directories may be mounted elsewhere (/host/var/log/pods): the marker decides.
  static constexpr std::string_view kPods = "/pods/";
  static constexpr std::string_view kContainers = "/containers/";
  bool found = false;
  if (const auto at = path.rfind(kPods); at != std::string_view::npos) {
    found = parse_pods(path.substr(at + kPods.size()), out);
  } else if (const auto below = path.rfind(kContainers); below != std::string_view::npos) {
    found = parse_containers(path.substr(below + kContainers.size()), out);
  }
  if (!found) {
    out = {};
    return false;
  }
  derive_controller(out);
  return true;
}

model::Labels file_labels(const Target& target, std::string_view path) {
  model::Labels labels = target.labels;
  labels.set("filename", path);
  KubernetesPath kubernetes;
  if (target.kubernetes_path_labels && parse_kubernetes_path(path, kubernetes)) {
    const std::array<std::pair<std::string_view, const std::string*>, 3> derived{
        {{"namespace", &kubernetes.namespace_name},
         {"pod", &kubernetes.pod},
         {"container", &kubernetes.container}}};
    for (const auto& [name, value] : derived) {
      if (!labels.has(name)) labels.set(name, *value);
    }
  }
  return labels;
}

}  // namespace skald::agent
