#pragma once
// The composition root: store, engine, API and HTTP server of one process.

#include <memory>
#include <string>

#include "proto/base/status.h"
#include "query/server/config.h"

namespace skald::query::server {

class Server {
 public:
  // Opens the store, binds, serves. `config_path` is read again on reload(); may be empty.
  static base::Result<std::unique_ptr<Server>> start(ServerConfig config, std::string config_path);
  ~Server();

  std::string url() const;
  // Limits, tenants, credentials, certificates and log level. What is wrong changes nothing.
  base::Status reload();
  // Stops taking requests, lets those under way finish, makes the head durable as parts.
  void stop();

  struct Impl;

 private:
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// The program: flags, signals. Returns the exit code.
int run(int argc, char** argv);

}  // namespace skald::query::server
