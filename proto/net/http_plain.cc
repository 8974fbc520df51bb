#include "proto/net/http_connection.h"

namespace skald::net {
namespace {

std::string peer_text(const boost::asio::ip::tcp::socket& socket) {
  boost::system::error_code error;
  const auto endpoint = socket.remote_endpoint(error);
  if (error) return {};
  return endpoint.address().to_string() + ":" + std::to_string(endpoint.port());
}

}  // namespace

std::shared_ptr<ConnectionBase> make_plain_connection(ServerCore& core,
                                                      boost::asio::ip::tcp::socket socket) {
  std::string peer = peer_text(socket);
  return std::make_shared<Connection<boost::asio::ip::tcp::socket>>(core, std::move(peer),
                                                                    std::move(socket));
}

}  // namespace skald::net
