// What the agent costs: the real skald-agent, a file to read, and a receiver that counts and
// forgets.
//
//   agent_bench [--benchmark_filter=...]       SKALD_BENCH_LOG=file   structlog JSON to read
//                                              (default: 64 MB made up here, by a fixed seed)
//
// Counters: MBps_core (raw bytes per CPU second of the agent, all its threads), rss_MB (peak),
// egress_ratio (raw bytes per byte sent), idle_cpu_percent.

#include <benchmark/benchmark.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

// Answers every push with 204 and the question for marks with an empty list (Skald) or 404 (Loki).
class NullReceiver {
 public:
  explicit NullReceiver(bool is_skald) : is_skald_(is_skald) {
    listen_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::bind(listen_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(listen_, 8) != 0)
      std::abort();
    socklen_t size = sizeof address;
    ::getsockname(listen_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { accept_all(); });
  }
  ~NullReceiver() {
    stopping_ = true;
    ::shutdown(listen_, SHUT_RDWR);
    thread_.join();
    ::close(listen_);
  }
  std::string url() const {
    return "http://127.0.0.1:" + std::to_string(port_) + "/loki/api/v1/push";
  }
  std::uint64_t body_bytes() const { return body_bytes_; }
  Clock::time_point last_push() const { return Clock::time_point(Clock::duration(last_push_)); }

 private:
  void accept_all() {
    while (!stopping_) {
      const int fd = ::accept4(listen_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) return;
      serve(fd);
      ::close(fd);
    }
  }

  void serve(int fd) {
    std::string head;
    std::vector<char> bytes(1 << 16);
    for (;;) {
      std::size_t end = head.find("\r\n\r\n");
      if (end == std::string::npos) {
        pollfd poller{fd, POLLIN, 0};
        while (::poll(&poller, 1, 50) == 0)
          if (stopping_) return;
        const ssize_t n = ::recv(fd, bytes.data(), bytes.size(), 0);
        if (n <= 0) return;
        head.append(bytes.data(), static_cast<std::size_t>(n));
        continue;
      }
      const bool is_push = head.starts_with("POST");
      std::size_t length = 0;
      if (const std::size_t at = head.find("Content-Length: "); at < end)
        length = std::stoul(head.substr(at + 16));
      std::size_t have = head.size() - end - 4;
      while (have < length) {
        const ssize_t n = ::recv(fd, bytes.data(), std::min(bytes.size(), length - have), 0);
        if (n <= 0) return;
        have += static_cast<std::size_t>(n);
      }
      head.clear();
      std::string_view answer = "HTTP/1.1 204 No Content\r\n\r\n";
      if (!is_push)
        answer = is_skald_ ? "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"
                           : "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
      if (is_push) {
        body_bytes_ += length;
        last_push_ = Clock::now().time_since_epoch().count();
      }
      if (::send(fd, answer.data(), answer.size(), MSG_NOSIGNAL) < 0) return;
    }
  }

  const bool is_skald_;
  int listen_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> body_bytes_{0};
  std::atomic<Clock::rep> last_push_{0};
  std::thread thread_;
};

std::string hex(std::mt19937_64& random, int digits) {
  std::string out;
  for (int i = 0; i < digits; ++i) out += "0123456789abcdef"[random() % 16];
  return out;
}

// Lines as a structlog service writes them.
void make_log(const fs::path& path, std::size_t bytes) {
  std::mt19937_64 random(1);
  std::ofstream out(path, std::ios::binary);
  const char* levels[] = {"info", "info", "info", "debug", "warning", "error"};
  const char* paths[] = {"/api/v1/predictions", "/api/v1/conversations", "/healthz",
                         "/api/v1/login"};
  std::size_t written = 0;
  for (long i = 0; written < bytes; ++i) {
    char line[512];
    const int size = std::snprintf(
        line, sizeof line,
        R"({"method": "GET", "path": "%s", "status": %d, "duration": %.3f, "request_id": "%s", )"
        R"("client_ip": "10.%d.%d.%d", "event": "http_request", "level": "%s", )"
        R"("logger": "ngx.api.middleware", "timestamp": "2026-11-20T06:%02ld:%02ld.%06ldZ"})"
        "\n",
        paths[random() % 4], random() % 50 == 0 ? 500 : 200,
        static_cast<double>(random() % 100000) / 1000, hex(random, 16).c_str(),
        static_cast<int>(random() % 4), static_cast<int>(random() % 256),
        static_cast<int>(random() % 256), levels[random() % 6], i / 600000 % 60, i / 10000 % 60,
        i % 10000 * 100);
    out.write(line, size);
    written += static_cast<std::size_t>(size);
  }
}

class Directory {
 public:
  Directory() {
    char name[] = "/tmp/agent_bench.XXXXXX";
    path_ = ::mkdtemp(name);
  }
  ~Directory() { fs::remove_all(path_); }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

pid_t start_agent(const fs::path& dir, const std::string& url, const std::string& log_glob) {
  std::ofstream(dir / "agent.yaml")
      << "server: {disable: true, log_level: error}\n"
      << "positions: {filename: " << (dir / "positions.yaml").string() << "}\n"
      << "clients: [{url: '" << url << "'}]\n"
      << "scrape_configs:\n- job_name: bench\n  static_configs:\n  - targets: [localhost]\n"
      << "    labels: {job: ngx-api, __path__: '" << log_glob << "'}\n"
      << "  pipeline_stages:\n  - json: {expressions: {level: level, timestamp: timestamp}}\n"
      << "  - labels: {level: }\n  - timestamp: {source: timestamp, format: RFC3339Nano}\n";
  char self[4096];
  const ssize_t size = ::readlink("/proc/self/exe", self, sizeof self - 1);
  const fs::path program =
      fs::path(std::string(self, static_cast<std::size_t>(size))).parent_path() / "skald-agent";
  const std::string config = "--config=" + (dir / "agent.yaml").string();
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::execl(program.c_str(), program.c_str(), config.c_str(), nullptr);
    ::_exit(127);
  }
  return pid;
}

double cpu_seconds(const rusage& usage) {
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

rusage stop_agent(pid_t pid) {
  ::kill(pid, SIGTERM);
  int status = 0;
  rusage usage{};
  ::wait4(pid, &status, 0, &usage);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) std::abort();
  return usage;
}

void ship(benchmark::State& state, bool is_skald) {
  for (auto _ : state) {
    const Directory dir;
    NullReceiver receiver(is_skald);
    const fs::path log = dir.path() / "app.log";
    if (const char* given = std::getenv("SKALD_BENCH_LOG"))
      fs::create_symlink(fs::absolute(given), log);
    else
      make_log(log, 64U << 20);
    const double raw = static_cast<double>(fs::file_size(log));
    const auto start = Clock::now();
    const pid_t pid = start_agent(dir.path(), receiver.url(), log.string());
    // All is sent when a second passes without a push.
    while (receiver.body_bytes() == 0 ||
           Clock::now() - receiver.last_push() < std::chrono::milliseconds(1500))
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    const std::chrono::duration<double> wall = receiver.last_push() - start;
    const rusage usage = stop_agent(pid);
    state.SetIterationTime(wall.count());
    state.counters["MBps_core"] = raw / 1e6 / cpu_seconds(usage);
    state.counters["MBps_wall"] = raw / 1e6 / wall.count();
    state.counters["rss_MB"] = static_cast<double>(usage.ru_maxrss) / 1024;
    state.counters["egress_ratio"] = raw / static_cast<double>(receiver.body_bytes());
  }
}

void idle(benchmark::State& state) {
  for (auto _ : state) {
    const Directory dir;
    NullReceiver receiver(true);
    for (int i = 0; i < state.range(0); ++i)
      std::ofstream(dir.path() / ("app-" + std::to_string(i) + ".log")) << "hello\n";
    const pid_t pid = start_agent(dir.path(), receiver.url(), dir.path().string() + "/*.log");
    std::this_thread::sleep_for(std::chrono::seconds(4));
    const auto ticks = [&] {
      std::ifstream stat("/proc/" + std::to_string(pid) + "/schedstat");
      double nanoseconds = 0;
      std::ifstream tasks;
      for (const auto& task : fs::directory_iterator("/proc/" + std::to_string(pid) + "/task")) {
        double own = 0;
        std::ifstream(task.path() / "schedstat") >> own;
        nanoseconds += own;
      }
      return nanoseconds;
    };
    const double before = ticks();
    const auto start = Clock::now();
    std::this_thread::sleep_for(std::chrono::seconds(65));  // a look at all files is among them
    const std::chrono::duration<double> wall = Clock::now() - start;
    const double used = ticks() - before;
    const rusage usage = stop_agent(pid);
    state.SetIterationTime(wall.count());
    state.counters["idle_cpu_percent"] = used / 1e9 / wall.count() * 100;
    state.counters["rss_MB"] = static_cast<double>(usage.ru_maxrss) / 1024;
  }
}

BENCHMARK_CAPTURE(ship, skald, true)->Iterations(1)->UseManualTime()->Unit(benchmark::kSecond);
BENCHMARK_CAPTURE(ship, loki, false)->Iterations(1)->UseManualTime()->Unit(benchmark::kSecond);
BENCHMARK(idle)->Arg(1)->Arg(10000)->Iterations(1)->UseManualTime()->Unit(benchmark::kSecond);

}  // namespace
