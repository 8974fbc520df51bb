#include "query/api/auth.h"

#include <argon2.h>
#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include <algorithm>
#include <mutex>
#include <unordered_set>

#include "proto/base/text_code.h"

namespace skald::query::api {
namespace {

constexpr std::size_t kRememberedMax = 1024;
constexpr std::size_t kCredentialsMax = 4096;
// Unknown users cost as much as known ones: a known one's hash is computed, or, without any, this.
constexpr char kDummyHash[] = "$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy";

std::string sha256(std::string_view text) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
  return std::string(reinterpret_cast<const char*>(digest), sizeof digest);
}

std::string base64_decode(std::string_view text) {
  if (text.size() % 4 != 0 || text.size() > kCredentialsMax) return {};
  std::string out(text.size() / 4 * 3 + 1, '\0');
  const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                   reinterpret_cast<const unsigned char*>(text.data()),
                                   static_cast<int>(text.size()));
  if (size < 0) return {};
  std::size_t padding = 0;
  if (text.size() >= 1 && text.back() == '=') ++padding;
  if (text.size() >= 2 && text[text.size() - 2] == '=') ++padding;
  out.resize(static_cast<std::size_t>(size) -
             std::min<std::size_t>(padding, static_cast<std::size_t>(size)));
  return out;
}

bool password_matches(const std::string& password, const std::string& hash) {
  for (const auto& [prefix, type] :
       {std::pair("$argon2id$", Argon2_id), std::pair("$argon2i$", Argon2_i)})
    if (hash.rfind(prefix, 0) == 0)
      return argon2_verify(hash.c_str(), password.data(), password.size(), type) == ARGON2_OK;
  auto data = std::make_unique<crypt_data>();
  const char* computed = crypt_r(password.c_str(), hash.c_str(), data.get());
  return computed != nullptr && computed[0] != '*' && equal_in_constant_time(computed, hash);
}

bool iprefix(std::string_view text, std::string_view lower) {
  return text.size() >= lower.size() &&
         std::equal(lower.begin(), lower.end(), text.begin(), [](char a, char b) {
           return a == std::tolower(static_cast<unsigned char>(b));
         });
}

base::Status unauthenticated(const char* text) {
  return base::Status(base::Code::kUnauthenticated, text);
}

}  // namespace

base::Result<unsigned> parse_scope(std::string_view name) {
  if (name == "push") return unsigned{kPush};
  if (name == "query") return unsigned{kQuery};
  if (name == "rules") return unsigned{kRules};
  if (name == "admin") return unsigned{kAdmin};
  return base::invalid_argument("scope '" + std::string(name) +
                                "' is none of push, query, rules, admin");
}

std::string sha256_hex(std::string_view text) { return base::hex_encode(sha256(text)); }

bool equal_in_constant_time(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

struct Authenticator::Impl {
  std::mutex slow_mutex;  // held while a hash is computed
  std::mutex mutex;
  std::unordered_set<std::string> remembered;  // SHA-256 of user, hash and password that matched

  bool check_password(const AuthUser* user, const std::string& password,
                      const std::string& hash_of_others) {
    if (user == nullptr) {
      const std::lock_guard slow(slow_mutex);
      password_matches(password, hash_of_others);
      return false;
    }
    const std::string key = sha256(user->name + '\0' + user->password_hash + '\0' + password);
    {
      std::lock_guard lock(mutex);
      if (remembered.count(key) != 0) return true;
    }
    {
      const std::lock_guard slow(slow_mutex);
      if (!password_matches(password, user->password_hash)) return false;
    }
    std::lock_guard lock(mutex);
    if (remembered.size() >= kRememberedMax) remembered.clear();
    remembered.insert(key);
    return true;
  }

  const AuthUser* basic(const AuthSettings& settings, std::string_view credentials) {
    const std::string decoded = base64_decode(credentials);
    const std::size_t colon = decoded.find(':');
    if (colon == std::string::npos) return nullptr;
    const AuthUser* user = nullptr;
    std::string hash_of_others = kDummyHash;
    for (const AuthUser& candidate : settings.users) {
      if (candidate.password_hash.empty()) continue;
      hash_of_others = candidate.password_hash;
      if (equal_in_constant_time(candidate.name, std::string_view(decoded).substr(0, colon)))
        user = &candidate;
    }
    return check_password(user, decoded.substr(colon + 1), hash_of_others) ? user : nullptr;
  }

  static const AuthUser* bearer(const AuthSettings& settings, std::string_view token) {
    const std::string digest = sha256_hex(token);
    const AuthUser* user = nullptr;
    for (const AuthUser& candidate : settings.users)
      if (equal_in_constant_time(candidate.token_sha256, digest)) user = &candidate;
    return user;
  }
};

Authenticator::Authenticator() : impl_(std::make_unique<Impl>()) {}
Authenticator::~Authenticator() = default;

base::Status Authenticator::check(const AuthSettings& settings, const net::ServerRequest& request,
                                  Scope scope, const std::vector<std::string>& tenants) {
  if (!settings.enabled() || scope == kOpen) return {};
  const std::string_view header = request.header("authorization");
  const AuthUser* user = nullptr;
  if (header.size() > kCredentialsMax) return unauthenticated("credentials too long");
  if (iprefix(header, "basic ")) {
    user = impl_->basic(settings, header.substr(6));
  } else if (iprefix(header, "bearer ")) {
    user = Impl::bearer(settings, header.substr(7));
  } else {
    return unauthenticated("credentials required");
  }
  if (user == nullptr) return unauthenticated("wrong credentials");
  if ((user->scopes & scope) == 0 && (user->scopes & kAdmin) == 0)
    return base::Status(base::Code::kPermissionDenied, "these credentials lack the scope for this");
  for (const std::string& tenant : tenants)
    if (!user->tenants.empty() &&
        std::find(user->tenants.begin(), user->tenants.end(), tenant) == user->tenants.end())
      return base::Status(base::Code::kPermissionDenied,
                          "these credentials are not for tenant '" + tenant + "'");
  return {};
}

}  // namespace skald::query::api
