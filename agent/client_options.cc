// From a client's configuration to what sender and transport want.

#include <memory>

#include "agent/lane.h"
#include "proto/base/fs.h"
#include "proto/base/text_code.h"

namespace skald::agent {
namespace {

constexpr std::uint64_t kSecretBytesMax = 64U << 10;

// A secret given inline or in a file; files are read at each request, since they are rotated.
base::Result<std::string> secret(const std::string& inline_value, const std::string& file) {
  if (file.empty()) return inline_value;
  SKALD_TRY_ASSIGN(std::string text, base::FileSystem::posix().read_file(file, kSecretBytesMax));
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' '))
    text.pop_back();
  return text;
}

base::Result<std::string> basic(const BasicAuth& auth) {
  SKALD_TRY_ASSIGN(const std::string user, secret(auth.username, auth.username_file));
  SKALD_TRY_ASSIGN(const std::string password, secret(auth.password, auth.password_file));
  return "Basic " + base::base64_encode(user + ":" + password);
}

base::Result<std::string> token(const Authorization& auth) {
  SKALD_TRY_ASSIGN(const std::string credentials, secret(auth.credentials, auth.credentials_file));
  return auth.type + " " + credentials;
}

}  // namespace

SenderOptions sender_options(const ClientConfig& client, const std::string& agent_id) {
  SenderOptions options;
  options.name = "client " + client.name;
  options.url = client.url;
  options.timeout_ns = client.timeout_ns;
  options.backoff_min_ns = client.backoff.min_period_ns;
  options.backoff_max_ns = client.backoff.max_period_ns;
  options.drop_rate_limited = client.drop_rate_limited_batches;
  options.headers = client.headers;
  options.follow_redirects = client.follow_redirects;
  options.agent_id = agent_id;
  if (client.basic_auth)
    options.authorization = [auth = *client.basic_auth] { return basic(auth); };
  else if (client.authorization)
    options.authorization = [auth = *client.authorization] { return token(auth); };
  return options;
}

net::HttpClientOptions http_options(const ClientConfig& client) {
  net::HttpClientOptions options;
  options.body_max = kAnswerBytesMax;
  options.tls.ca_file = client.tls.ca_file;
  options.tls.cert_file = client.tls.cert_file;
  options.tls.key_file = client.tls.key_file;
  options.tls.ca_pem = client.tls.ca;
  options.tls.cert_pem = client.tls.cert;
  options.tls.key_pem = client.tls.key;
  options.tls.server_name = client.tls.server_name;
  options.tls.insecure_skip_verify = client.tls.insecure_skip_verify;
  options.tls.min_version = client.tls.min_version;
  options.tls.max_version = client.tls.max_version;
  return options;
}

}  // namespace skald::agent
