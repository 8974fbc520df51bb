#include "agent/journal_api.h"

#include <dlfcn.h>

#include <cstdlib>

#include "proto/base/clock.h"

namespace skald::agent {
namespace {

struct sd_journal;  // opaque here and there

// Signatures as documented in sd-journal(3).
struct Library {
  int (*open)(sd_journal**, int flags) = nullptr;
  int (*open_directory)(sd_journal**, const char* path, int flags) = nullptr;
  void (*close)(sd_journal*) = nullptr;
  int (*add_match)(sd_journal*, const void* data, std::size_t size) = nullptr;
  int (*seek_cursor)(sd_journal*, const char* cursor) = nullptr;
  int (*seek_realtime_usec)(sd_journal*, std::uint64_t usec) = nullptr;
  int (*next)(sd_journal*) = nullptr;
  int (*get_realtime_usec)(sd_journal*, std::uint64_t* usec) = nullptr;
  int (*get_cursor)(sd_journal*, char** cursor) = nullptr;
  void (*restart_data)(sd_journal*) = nullptr;
  int (*enumerate_data)(sd_journal*, const void** data, std::size_t* size) = nullptr;
  int (*wait)(sd_journal*, std::uint64_t usec) = nullptr;
  int (*set_data_threshold)(sd_journal*, std::size_t size) = nullptr;
  bool complete = false;
};

constexpr int kLocalOnly = 1;  // SD_JOURNAL_LOCAL_ONLY
constexpr std::size_t kFieldBytesMax = std::size_t{1} << 20;

template <typename Fn>
bool find(void* handle, const char* name, Fn& out) {
  out = reinterpret_cast<Fn>(::dlsym(handle, name));
  return out != nullptr;
}

const Library& library() {
  static const Library loaded = [] {
    Library out;
    void* const handle = ::dlopen("libsystemd.so.0", RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) return out;
    out.complete = find(handle, "sd_journal_open", out.open) &&
                   find(handle, "sd_journal_open_directory", out.open_directory) &&
                   find(handle, "sd_journal_close", out.close) &&
                   find(handle, "sd_journal_add_match", out.add_match) &&
                   find(handle, "sd_journal_seek_cursor", out.seek_cursor) &&
                   find(handle, "sd_journal_seek_realtime_usec", out.seek_realtime_usec) &&
                   find(handle, "sd_journal_next", out.next) &&
                   find(handle, "sd_journal_get_realtime_usec", out.get_realtime_usec) &&
                   find(handle, "sd_journal_get_cursor", out.get_cursor) &&
                   find(handle, "sd_journal_restart_data", out.restart_data) &&
                   find(handle, "sd_journal_enumerate_data", out.enumerate_data) &&
                   find(handle, "sd_journal_wait", out.wait) &&
                   find(handle, "sd_journal_set_data_threshold", out.set_data_threshold);
    return out;
  }();
  return loaded;
}

base::Status failed(const char* what, int code) {
  return base::from_errno(-code, std::string("journal: ") + what);
}

class SystemJournal final : public Journal {
 public:
  explicit SystemJournal(sd_journal* journal) : journal_(journal) {
    library().set_data_threshold(journal_, kFieldBytesMax);
  }
  ~SystemJournal() override { library().close(journal_); }
  SystemJournal(const SystemJournal&) = delete;
  SystemJournal& operator=(const SystemJournal&) = delete;

  base::Status match(const std::string& text) override {
    return check("match", library().add_match(journal_, text.data(), text.size()));
  }
  base::Status seek_cursor(const std::string& cursor) override {
    return check("seek", library().seek_cursor(journal_, cursor.c_str()));
  }
  base::Status seek_time(std::int64_t wall_ns) override {
    return check("seek", library().seek_realtime_usec(
                             journal_, static_cast<std::uint64_t>(wall_ns / base::kNsPerUs)));
  }
  base::Result<bool> next() override {
    const int code = library().next(journal_);
    if (code < 0) return failed("next", code);
    if (code > 0) library().restart_data(journal_);
    return code > 0;
  }
  base::Result<std::int64_t> time_ns() override {
    std::uint64_t usec = 0;
    const int code = library().get_realtime_usec(journal_, &usec);
    if (code < 0) return failed("time", code);
    return static_cast<std::int64_t>(usec) * base::kNsPerUs;
  }
  base::Result<std::string> cursor() override {
    char* text = nullptr;
    const int code = library().get_cursor(journal_, &text);
    if (code < 0) return failed("cursor", code);
    std::string out = text;
    std::free(text);
    return out;
  }
  base::Result<std::string_view> next_field() override {
    const void* data = nullptr;
    std::size_t size = 0;
    const int code = library().enumerate_data(journal_, &data, &size);
    if (code < 0) return failed("field", code);
    if (code == 0) return std::string_view();
    return std::string_view(static_cast<const char*>(data), size);
  }
  void wait(std::int64_t wait_ns) override {
    library().wait(journal_, static_cast<std::uint64_t>(wait_ns / base::kNsPerUs));
  }

 private:
  static base::Status check(const char* what, int code) {
    return code < 0 ? failed(what, code) : base::Status();
  }
  sd_journal* journal_;
};

}  // namespace

bool has_system_journal() { return library().complete; }

base::Result<std::unique_ptr<Journal>> open_system_journal(const std::string& directory) {
  if (!library().complete)
    return base::unsupported("journal: this system has no libsystemd.so.0 (package libsystemd0)");
  sd_journal* journal = nullptr;
  const int code = directory.empty() ? library().open(&journal, kLocalOnly)
                                     : library().open_directory(&journal, directory.c_str(), 0);
  if (code < 0)
    return failed(("open " + (directory.empty() ? "the system's" : directory)).c_str(), code);
  return std::unique_ptr<Journal>(std::make_unique<SystemJournal>(journal));
}

}  // namespace skald::agent
