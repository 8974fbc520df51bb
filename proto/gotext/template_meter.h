#pragma once
// What one execution of a template takes, and whether it may go on. Internal to the room.

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

#include "proto/gotext/limits.h"
#include "proto/gotext/template.h"

namespace skald::gotext {

class Meter final : public Work {
 public:
  // `text_bytes`: of the template. One that is long is looked at at once, since what it costs is
  // not all in steps.
  Meter(const std::string& name, std::size_t text_bytes, const ExecOptions& options)
      : name_(name),
        options_(options),
        steps_left_(options.steps_max ? options.steps_max : kTemplateStepsMax),
        until_check_(kStepsPerCheck -
                     std::min<std::uint64_t>(kStepsPerCheck - 1, text_bytes / kBytesPerStep)) {}
  ~Meter() override {
    if (taken_ > 0) options_.host->give_back(taken_);
  }
  Meter(const Meter&) = delete;
  Meter& operator=(const Meter&) = delete;

  // Of the executor: counts towards the limit of steps.
  base::Status step(std::uint64_t count) {
    if (steps_left_ >= count) {
      steps_left_ -= count;
      return spend(count);
    }
    steps_left_ = 0;
    return base::resource_exhausted("template: " + name_ +
                                    ": too many steps; a loop of the template is too long");
  }
  base::Status spend(std::uint64_t steps) override {
    if (steps < until_check_) {
      until_check_ -= steps;
      return {};
    }
    until_check_ = kStepsPerCheck;
    return options_.host == nullptr ? base::Status() : options_.host->check();
  }

  base::Status take(std::uint64_t bytes) {
    held_ += bytes;
    untold_ += bytes;
    if (held_ > kTemplateMemoryMax) return out_of_memory();
    if (options_.host == nullptr || untold_ < kMemoryPerAsk) return {};
    if (!options_.host->take(untold_)) return out_of_memory();
    taken_ += std::exchange(untold_, 0);
    return {};
  }
  void give_back(std::uint64_t bytes) {
    held_ -= bytes;
    const std::uint64_t told = bytes - std::min(bytes, untold_);
    untold_ -= bytes - told;
    if (told == 0 || options_.host == nullptr) return;
    options_.host->give_back(told);
    taken_ -= told;
  }

 private:
  base::Status out_of_memory() const {
    return base::resource_exhausted("template: " + name_ + ": out of memory");
  }

  const std::string& name_;
  const ExecOptions& options_;
  std::uint64_t steps_left_, until_check_;
  std::uint64_t held_ = 0;                // of all that was taken
  std::uint64_t taken_ = 0, untold_ = 0;  // of the host's memory, and what it was not asked for
};

}  // namespace skald::gotext
