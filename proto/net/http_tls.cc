#include "proto/net/http_connection.h"

namespace skald::net {

std::shared_ptr<ConnectionBase> make_tls_connection(ServerCore& core,
                                                    boost::asio::ip::tcp::socket socket) {
  boost::system::error_code error;
  const auto endpoint = socket.remote_endpoint(error);
  std::string peer;
  if (!error) peer = endpoint.address().to_string() + ":" + std::to_string(endpoint.port());
  // The context may be replaced by reload_tls(); OpenSSL keeps what a session uses alive.
  return std::make_shared<Connection<boost::asio::ssl::stream<boost::asio::ip::tcp::socket>>>(
      core, std::move(peer), std::move(socket), *core.tls);
}

}  // namespace skald::net
