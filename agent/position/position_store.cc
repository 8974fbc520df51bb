#include "agent/position/position_store.h"

#include <sys/random.h>

#include <charconv>
#include <cstdio>

#include "proto/base/crc32c.h"
#include "proto/model/labels.h"

namespace skald::agent {
namespace {

std::string hex(std::uint64_t value) {
  char text[20];
  const int size = std::snprintf(text, sizeof text, "%llx", static_cast<unsigned long long>(value));
  return std::string(text, static_cast<std::size_t>(size));
}

std::string crc_hex(std::string_view bytes) {
  char text[12];
  std::snprintf(text, sizeof text, "%08x", base::crc32c(bytes));
  return text;
}

// Fields of one line, separated by single spaces.
class Fields {
 public:
  explicit Fields(std::string_view line) : rest_(line) {}
  std::string_view word() {
    const std::size_t space = rest_.find(' ');
    const std::string_view word = rest_.substr(0, space);
    rest_.remove_prefix(space == std::string_view::npos ? rest_.size() : space + 1);
    if (word.empty()) bad_ = true;
    return word;
  }
  template <typename T>
  T number(int base = 10) {
    const std::string_view text = word();
    T value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (error != std::errc() || end != text.data() + text.size()) bad_ = true;
    return value;
  }
  std::string quoted_rest() {
    auto text = model::go_unquote(rest_);
    rest_ = {};
    if (text.ok()) return std::move(text).value();
    bad_ = true;
    return {};
  }
  bool good() const noexcept { return !bad_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool bad_ = false;
};

constexpr std::string_view kNoId = "0-0-0-0-0";

bool parse_file(Fields& fields, FilePosition& file) {
  const std::string_view id = fields.word();
  if (id != kNoId) {
    const auto parsed = FileId::parse(id);
    if (!parsed) return false;
    file.id = *parsed;
  }
  file.key.device = fields.number<std::uint64_t>(16);
  file.key.inode = fields.number<std::uint64_t>(16);
  file.offset = fields.number<std::uint64_t>();
  file.tail.offset = fields.number<std::uint64_t>();
  file.tail.size = fields.number<std::uint32_t>();
  file.tail.hash = fields.number<std::uint64_t>(16);
  file.seen_ns = fields.number<std::int64_t>();
  file.path = fields.quoted_rest();
  return fields.good() && file.tail.size <= kTailBytes && file.tail.size <= file.tail.offset;
}

base::Status damaged(std::size_t line, const char* what) {
  return base::corrupt("positions, line " + std::to_string(line) + ": " + what);
}

bool parse_record(std::string_view line, Positions& positions) {
  Fields fields(line);
  const std::string_view kind = fields.word();
  if (kind == "client") {
    positions.clients.emplace_back();
    positions.clients.back().client = fields.quoted_rest();
    return fields.good();
  }
  if (positions.clients.empty()) return false;
  ClientPositions& client = positions.clients.back();
  if (kind == "tenant") {
    client.tenants.push_back(fields.quoted_rest());
    return fields.good();
  }
  if (kind != "file") return false;
  client.files.emplace_back();
  return parse_file(fields, client.files.back());
}

std::string random_id() {
  std::uint64_t value = 0;
  if (::getrandom(&value, sizeof value, 0) != sizeof value) value = 1;
  char text[20];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(value));
  return text;
}

}  // namespace

std::string encode_positions(const Positions& positions) {
  std::string out = "skald-positions 1\nagent " + positions.agent_id + "\n";
  for (const ClientPositions& client : positions.clients) {
    out += "client " + model::go_quote(client.client) + "\n";
    for (const std::string& tenant : client.tenants)
      out += "tenant " + model::go_quote(tenant) + "\n";
    for (const FilePosition& file : client.files) {
      out += "file ";
      out += file.id.head_size == 0 ? std::string(kNoId) : file.id.to_string();
      out += " " + hex(file.key.device) + " " + hex(file.key.inode);
      out += " " + std::to_string(file.offset) + " " + std::to_string(file.tail.offset);
      out += " " + std::to_string(file.tail.size) + " " + hex(file.tail.hash);
      out += " " + std::to_string(file.seen_ns) + " " + model::go_quote(file.path) + "\n";
    }
  }
  out += "end " + crc_hex(out) + "\n";
  return out;
}

base::Result<Positions> decode_positions(std::string_view text) {
  if (!text.starts_with("skald-positions ")) return damaged(1, "not a positions file");
  if (!text.starts_with("skald-positions 1\n"))
    return base::unsupported("positions file of another version: only version 1 is read");
  const std::size_t end_at = text.rfind("\nend ");
  if (end_at == std::string_view::npos) return damaged(1, "the end line is missing");
  const std::string_view body = text.substr(0, end_at + 1);
  if (text.substr(end_at + 1) != "end " + crc_hex(body) + "\n")
    return damaged(1, "the checksum does not match");
  Positions positions;
  std::size_t number = 0;
  for (std::string_view rest = body; !rest.empty();) {
    const std::size_t newline = rest.find('\n');
    const std::string_view line = rest.substr(0, newline);
    rest.remove_prefix(newline + 1);
    ++number;
    if (number == 1) continue;
    if (number == 2) {
      if (!line.starts_with("agent ") || line.size() != 22) return damaged(2, "no agent id");
      positions.agent_id = line.substr(6);
      if (positions.agent_id.find_first_not_of("0123456789abcdef") != std::string::npos)
        return damaged(2, "the agent id is not hexadecimal");
      continue;
    }
    if (!parse_record(line, positions)) return damaged(number, "malformed record");
  }
  if (number < 2) return damaged(number, "no agent id");
  return positions;
}

base::Result<PositionStore> PositionStore::open(base::FileSystem& fs, std::string path,
                                                bool read_only) {
  PositionStore store(fs, std::move(path));
  for (const std::string& candidate : {store.path_, store.path_ + ".prev"}) {
    auto text = fs.read_file(candidate, kPositionsBytesMax);
    if (!text.ok()) {
      if (text.status().code() == base::Code::kNotFound) continue;
      return std::move(text).status().with_context("positions");
    }
    auto positions = decode_positions(*text);
    if (positions.ok()) {
      store.positions_ = std::move(positions).value();
      return store;
    }
    if (positions.status().code() == base::Code::kUnsupported)
      return std::move(positions).status().with_context(candidate);
    store.warning_ +=
        candidate + ": " + std::string(positions.status().message()) + "; set aside as .bad. ";
    if (!read_only) SKALD_TRY(fs.rename(candidate, candidate + ".bad"));
  }
  store.is_new_ = true;
  Positions fresh;
  fresh.agent_id = random_id();
  if (read_only)
    store.positions_ = std::move(fresh);
  else
    SKALD_TRY(store.save(std::move(fresh)));
  return store;
}

base::Status PositionStore::save(Positions positions) {
  if (positions == positions_) return {};
  const std::string previous = path_ + ".prev";
  if (base::Status removed = fs_->remove(previous);
      !removed.ok() && removed.code() != base::Code::kNotFound)
    return removed;
  if (base::Status linked = fs_->link(path_, previous);
      !linked.ok() && linked.code() != base::Code::kNotFound)
    return linked;
  SKALD_TRY(base::write_file_atomically(*fs_, path_, encode_positions(positions)));
  positions_ = std::move(positions);
  return {};
}

}  // namespace skald::agent
