#include "proto/net/http_connection.h"

namespace skald::net {

namespace asio = boost::asio;

base::Result<std::shared_ptr<asio::ssl::context>> load_tls(const ServerTls& tls) {
  using Context = asio::ssl::context;
  auto context = std::make_shared<Context>(Context::tls_server);
  boost::system::error_code error;
  const auto failed = [&](const std::string& what) {
    return base::invalid_argument("TLS: " + what + ": " + error.message());
  };
  context->set_options(Context::default_workarounds | Context::no_sslv2 | Context::no_sslv3 |
                           Context::no_tlsv1 | Context::no_tlsv1_1,
                       error);
  if (error) return failed("options");
  context->use_certificate_chain_file(tls.cert_file, error);
  if (error) return failed("certificate file '" + tls.cert_file + "'");
  context->use_private_key_file(tls.key_file, Context::pem, error);
  if (error) return failed("key file '" + tls.key_file + "'");
  if (!tls.client_ca_file.empty()) {
    context->load_verify_file(tls.client_ca_file, error);
    if (error) return failed("client CA file '" + tls.client_ca_file + "'");
    int mode = asio::ssl::verify_peer;
    if (!tls.client_cert_optional) mode |= asio::ssl::verify_fail_if_no_peer_cert;
    context->set_verify_mode(mode, error);
    if (error) return failed("verify mode");
    // Sessions are resumed without the certificate being looked at again, which needs a context.
    static constexpr unsigned char kSessionContext[] = "skald";
    SSL_CTX_set_session_id_context(context->native_handle(), kSessionContext,
                                   sizeof kSessionContext - 1);
  }
  return context;
}

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
