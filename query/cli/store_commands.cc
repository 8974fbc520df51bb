// flush, backup, check, restore, delete: keeping a store.

#include <string>

#include "proto/gotext/time_layout.h"
#include "query/cli/answer.h"
#include "query/cli/commands.h"
#include "store/store.h"

namespace skald::query::cli {

base::Status run_flush(Client& client, const Io& io) {
  SKALD_TRY(client.call("POST", "/flush", {}));
  io.out("flushed\n");
  const auto compacted = client.call("POST", "/skald/v1/compact", {});
  if (compacted.ok()) {
    io.out("compacted\n");
  } else if (compacted.status().code() != base::Code::kNotFound) {  // Loki has no such route
    return compacted.status();
  }
  return {};
}

base::Status run_backup(const Options& options, Client& client, const Io& io) {
  SKALD_TRY_ASSIGN(const net::HttpResponse response,
                   client.call("POST", "/skald/v1/backup", {{"dir", options.paths.front()}}));
  io.out(response.body.empty() ? "backup written to " + options.paths.front() + "\n"
                               : response.body + "\n");
  return {};
}

base::Status run_check(const Options& options, const Io& io) {
  SKALD_TRY_ASSIGN(const store::CheckReport report,
                   store::check(base::FileSystem::posix(), options.paths.front(), options.deep,
                                options.rebuild_index));
  for (const std::string& finding : report.findings) io.out(finding + "\n");
  io.out(std::to_string(report.parts) + " parts, " + std::to_string(report.bytes) + " bytes, " +
         std::to_string(report.damaged_parts) + " damaged\n");
  if (report.damaged_parts > 0) {
    return base::corrupt(std::to_string(report.damaged_parts) + " of " +
                         std::to_string(report.parts) +
                         " parts are damaged; the server serves the others");
  }
  return {};
}

base::Status run_restore(const Options& options, const Io& io) {
  SKALD_TRY(store::restore(base::FileSystem::posix(), options.name, options.destination));
  io.out("restored to " + options.destination + "\n");
  return {};
}

namespace {

base::Status create_delete(const Options& options, Client& client, const Io& io) {
  const Parameters parameters = {
      {"query", options.query},
      {"start", gotext::format_rfc3339_nano(options.start_ns)},
      {"end", gotext::format_rfc3339_nano(options.end_ns)},
  };
  SKALD_TRY_ASSIGN(const net::HttpResponse response,
                   client.call("POST", "/loki/api/v1/delete", parameters));
  const std::string_view id = response.header("x-delete-request-id");
  io.out(id.empty() ? std::string("requested\n") : "requested, id " + std::string(id) + "\n");
  return {};
}

}  // namespace

base::Status run_delete(const Options& options, Client& client, const Io& io) {
  if (options.command == Command::kDeleteCreate) return create_delete(options, client, io);
  if (options.command == Command::kDeleteList) {
    SKALD_TRY_ASSIGN(const std::string body, client.get("/loki/api/v1/delete", {}));
    SKALD_TRY_ASSIGN(const std::string text, parse_member(body, ""));
    io.out(text + "\n");
    return {};
  }
  Parameters parameters = {{"request_id", options.name}};
  if (options.force) parameters.emplace_back("force", "true");
  SKALD_TRY(client.call("DELETE", "/loki/api/v1/delete", parameters));
  io.out("cancelled\n");
  return {};
}

}  // namespace skald::query::cli
