#pragma once
// Who may do what: basic auth against argon2 and crypt(3) hashes (bcrypt, yescrypt, sha512) and
// bearer tokens, each with scopes and tenants. Off unless configured: then any Authorization is
// ignored, as Loki does.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proto/base/status.h"
#include "proto/net/http_server.h"

namespace skald::query::api {

enum Scope : unsigned char { kPush = 1, kQuery = 2, kRules = 4, kAdmin = 8, kOpen = 0 };
base::Result<unsigned> parse_scope(std::string_view name);  // "push", "query", "rules", "admin"

struct AuthUser {
  std::string name;                  // basic auth
  std::string password_hash;         // "$argon2id$...", or as crypt(3) writes it: "$2b$..."
  std::string token_sha256;          // bearer: hex of the token's SHA-256
  unsigned scopes = 0;               // kPush | kQuery ...
  std::vector<std::string> tenants;  // empty: all
};

struct AuthSettings {
  std::vector<AuthUser> users;
  bool enabled() const { return !users.empty(); }
};

// Checks passwords and remembers, for a while, those that were right: bcrypt takes 50 ms and argon2
// 64 MiB by design. One is computed at a time, so that guessing costs one core and one such memory
// at most. Thread-safe.
class Authenticator {
 public:
  Authenticator();
  ~Authenticator();
  // kUnauthenticated or kPermissionDenied. Takes the same time whether or not the user exists.
  base::Status check(const AuthSettings& settings, const net::ServerRequest& request, Scope scope,
                     const std::vector<std::string>& tenants);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

std::string sha256_hex(std::string_view text);
bool equal_in_constant_time(std::string_view a, std::string_view b) noexcept;

}  // namespace skald::query::api
