// tail: entries as they arrive, over Loki's WebSocket.

#include <string>

#include "query/cli/answer.h"
#include "query/cli/commands.h"
#include "query/cli/websocket.h"

namespace skald::query::cli {

base::Status run_tail(const Options& options, Client& client, const Io& io) {
  static_cast<void>(client);  // a WebSocket is no exchange of request and answer
  const Parameters parameters = {{"query", options.query},
                                 {"start", std::to_string(options.start_ns)},
                                 {"limit", std::to_string(options.limit)},
                                 {"delay_for", std::to_string(options.delay_for_s)}};
  WebSocketClient socket;
  SKALD_TRY(socket.connect(options.addr + "/loki/api/v1/tail?" + encode_parameters(parameters),
                           identity_headers(options)));
  while (true) {
    auto frame = socket.receive();
    if (!frame.ok()) return std::move(frame).status();
    SKALD_TRY_ASSIGN(const Answer answer, parse_tail_frame(*frame));
    std::string text;
    for (const AnswerEntry& entry : answer.entries) {
      append_entry_text(text, options, answer.streams[entry.stream], {}, entry.timestamp_ns,
                        entry.line);
    }
    io.out(text);
  }
}

}  // namespace skald::query::cli
