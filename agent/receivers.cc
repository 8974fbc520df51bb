#include "agent/receivers.h"

#include "agent/archive_reader.h"
#include "agent/journal_reader.h"
#include "agent/log.h"

namespace skald::agent {
namespace {

using Lanes = std::vector<std::unique_ptr<Lane>>;

base::Result<std::unique_ptr<Receiver>> start_one(const AgentConfig& config, std::size_t job,
                                                  const Lanes& lanes, Cursors& cursors) {
  const ScrapeConfig& scrape = config.scrape_configs[job];
  if (scrape.push_api) return start_push_receiver(scrape, job, lanes);
  if (scrape.syslog) return start_syslog_receiver(scrape, job, lanes);
  if (scrape.journal) return start_journal_reader(scrape, job, lanes, cursors);
  if (scrape.decompression.enabled)
    return start_archive_reader(scrape, job, lanes, cursors, config.target_config.sync_period_ns);
  return std::unique_ptr<Receiver>();
}

}  // namespace

Receivers::~Receivers() { stop(); }

void Receivers::stop() {
  for (const auto& receiver : all_) receiver->stop();
}

base::Result<std::unique_ptr<Receivers>> Receivers::start(const AgentConfig& config,
                                                          const Lanes& lanes, Cursors& cursors) {
  std::unique_ptr<Receivers> receivers(new Receivers());
  for (std::size_t job = 0; job < config.scrape_configs.size(); ++job) {
    auto receiver = start_one(config, job, lanes, cursors);
    if (!receiver.ok())
      return std::move(receiver).status().with_context("job " +
                                                       config.scrape_configs[job].job_name());
    if (*receiver == nullptr) continue;
    const ReceiverSnapshot shown = (*receiver)->snapshot();
    log_info(shown.kind + " " + shown.job + " " + shown.address);
    receivers->all_.push_back(std::move(receiver).value());
  }
  return receivers;
}

std::vector<ReceiverSnapshot> Receivers::snapshot() const {
  std::vector<ReceiverSnapshot> out;
  for (const auto& receiver : all_) out.push_back(receiver->snapshot());
  return out;
}

}  // namespace skald::agent
