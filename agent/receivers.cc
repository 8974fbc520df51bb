#include "agent/receivers.h"

namespace skald::agent {

struct Receivers::Impl {};

Receivers::Receivers(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Receivers::~Receivers() = default;

base::Result<std::unique_ptr<Receivers>> Receivers::start(
    const AgentConfig&, const std::vector<std::unique_ptr<Lane>>&) {
  return std::unique_ptr<Receivers>(new Receivers(std::make_unique<Impl>()));
}

std::vector<std::string> Receivers::addresses() const { return {}; }

}  // namespace skald::agent
