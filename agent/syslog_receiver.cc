// The syslog target: messages over TCP or UDP through the job's pipeline.

#include <unordered_map>

#include "agent/limits.h"
#include "agent/log.h"
#include "agent/receiver.h"
#include "agent/syslog_message.h"
#include "proto/net/byte_listener.h"

namespace skald::agent {
namespace {

// What structured data names may hold, '@' aside, is more than a label name may.
std::string label_part(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c == '@') c = '_';
  return out;
}

class SyslogReceiver final : public Receiver, public net::ByteSink {
 public:
  SyslogReceiver(const ScrapeConfig& config, std::size_t job,
                 const std::vector<std::unique_ptr<Lane>>& lanes, ReceivedLabels labels)
      : config_(config),
        syslog_(*config.syslog),
        // TCP holds its senders back when nobody reads; a datagram has no such way.
        fanout_(lanes, job,
                config.syslog->listen_protocol == "udp" ? WhenFull::kLose : WhenFull::kWait),
        labels_(std::move(labels)) {}
  ~SyslogReceiver() override { SyslogReceiver::stop(); }
  void stop() override {
    fanout_.cancel();
    if (listener_ != nullptr) listener_->stop();
  }

  base::Status listen() {
    net::ByteListenerOptions options;
    options.listen = syslog_.listen_address;
    options.udp = syslog_.listen_protocol == "udp";
    options.idle_timeout_ns = syslog_.idle_timeout_ns;
    if (const ServerTlsConfig& tls = syslog_.tls; !tls.cert_file.empty())
      options.tls = net::ServerTls{tls.cert_file, tls.key_file, tls.client_ca_file,
                                   tls.client_auth_type == "VerifyClientCertIfGiven"};
    SKALD_TRY_ASSIGN(listener_, net::ByteListener::start(options, *this));
    return {};
  }

  ReceiverSnapshot snapshot() const override {
    return {
        "syslog",          config_.job_name(), syslog_.listen_protocol + " " + listener_->address(),
        counters_.entries, counters_.errors,   counters_.empty,
        fanout_.dropped()};
  }

  void on_open(std::uint64_t connection, const std::string& peer) override {
    connections_.try_emplace(connection, peer, syslog_.max_message_length);
  }
  bool on_bytes(std::uint64_t number, std::string_view bytes) override {
    Connection& connection = connections_.at(number);
    const base::Status status = connection.framer.feed(
        bytes, [&](std::string_view message) { return take(connection.peer, message); },
        [&] { count_error(connection.peer, "a message is longer than max_message_length"); });
    if (!status.ok() && status.code() != base::Code::kCancelled)
      count_error(connection.peer, std::string(status.message()));
    return status.ok();
  }
  void on_failure(std::uint64_t number, const std::string& what) override {
    count_error(connections_.at(number).peer, what);
  }
  void on_close(std::uint64_t number) override {
    const auto it = connections_.find(number);
    if (it == connections_.end()) return;
    if (const std::string_view rest = it->second.framer.rest(); !rest.empty())
      take(it->second.peer, rest);
    connections_.erase(it);
  }
  void on_datagram(const std::string& peer, std::string_view bytes) override {
    if (bytes.size() > syslog_.max_message_length)
      return count_error(peer, "a message is longer than max_message_length");
    while (bytes.ends_with('\n') || bytes.ends_with('\0')) bytes.remove_suffix(1);
    if (!bytes.empty()) take(peer, bytes);
  }

 private:
  struct Connection {
    Connection(std::string from, std::size_t message_bytes_max)
        : peer(std::move(from)), framer(message_bytes_max) {}
    std::string peer;
    SyslogFramer framer;
  };

  void count_error(const std::string& peer, const std::string& what) {
    const std::uint64_t count = ++counters_.errors;
    if ((count & (count - 1)) == 0)  // a broken sender is a dozen lines
      log_warn(config_.job_name() + ": syslog from " + peer + ": " + what + " (" +
               std::to_string(count) + " such messages so far)");
  }

  // False: stopping.
  bool take(const std::string& peer, std::string_view text) {
    const std::int64_t now_ns = base::Clock::system().wall_ns();
    auto parsed = parse_syslog(text, syslog_.rfc3164, now_ns);
    if (!parsed.ok()) {
      count_error(peer, std::string(parsed.status().message()));
      return true;
    }
    const SyslogMessage& message = *parsed;
    if (message.message.empty()) {
      ++counters_.empty;
      return true;
    }
    model::Labels labels = meta_labels(peer, message);
    if (!labels_.finish(labels)) return true;
    const std::int64_t time_ns =
        syslog_.use_incoming_timestamp ? message.timestamp_ns.value_or(now_ns) : now_ns;
    const std::string_view line = syslog_.use_rfc5424_message ? text : message.message;
    const base::Status status = fanout_.push(labels, {line, time_ns, {}});
    if (status.ok()) ++counters_.entries;
    return status.code() != base::Code::kCancelled;
  }

  model::Labels meta_labels(const std::string& peer, const SyslogMessage& message) const {
    std::vector<model::Labels::Pair> pairs(syslog_.labels.begin(), syslog_.labels.end());
    const auto add = [&](std::string name, std::string_view value) {
      if (!value.empty()) pairs.emplace_back(std::move(name), value);
    };
    add("__syslog_connection_ip_address", peer);
    add("__syslog_connection_hostname", peer);  // no name server is asked
    add("__syslog_message_severity", syslog_severity(message.severity));
    add("__syslog_message_facility", syslog_facility(message.facility));
    add("__syslog_message_hostname", message.hostname);
    add("__syslog_message_app_name", message.app_name);
    add("__syslog_message_proc_id", message.proc_id);
    add("__syslog_message_msg_id", message.msg_id);
    if (syslog_.label_structured_data)
      for (const SyslogMessage::Field& field : message.structured)
        add("__syslog_message_sd_" + label_part(field.id) + "_" + std::string(field.name),
            field.value);
    return model::Labels::from_pairs(std::move(pairs));
  }

  const ScrapeConfig& config_;
  const SyslogConfig& syslog_;
  Fanout fanout_;
  const ReceivedLabels labels_;
  ReceiverCounters counters_;
  std::unordered_map<std::uint64_t, Connection> connections_;  // the listener's thread's
  std::unique_ptr<net::ByteListener> listener_;
};

}  // namespace

base::Result<std::unique_ptr<Receiver>> start_syslog_receiver(
    const ScrapeConfig& config, std::size_t job, const std::vector<std::unique_ptr<Lane>>& lanes) {
  SKALD_TRY_ASSIGN(ReceivedLabels labels, ReceivedLabels::create(config));
  auto receiver = std::make_unique<SyslogReceiver>(config, job, lanes, std::move(labels));
  SKALD_TRY(receiver->listen());
  return std::unique_ptr<Receiver>(std::move(receiver));
}

}  // namespace skald::agent
