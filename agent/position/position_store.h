#pragma once
// How far each file was delivered, durably: POSITIONS.md. An offset is written only after the
// server acknowledged everything before it, so that a crash loses nothing; what was acknowledged
// after the last save is known to Skald (its marks) or sent again to Loki.
//
// The file never stops the agent: a damaged one is set aside (`.bad`) and the previous one
// (`.prev`) used. Thread rule: one thread.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "agent/tail/file_id.h"
#include "proto/base/fs.h"
#include "proto/base/status.h"

namespace skald::agent {

struct FilePosition {
  FileId id;
  FileKey key;
  std::uint64_t offset = 0;
  TailPrint tail;
  std::int64_t seen_ns = 0;  // wall time the file was last there
  std::string path;          // as matched
  friend bool operator==(const FilePosition& a, const FilePosition& b) {
    return a.id == b.id && a.key == b.key && a.offset == b.offset && a.seen_ns == b.seen_ns &&
           a.path == b.path && a.tail.offset == b.tail.offset && a.tail.size == b.tail.size &&
           a.tail.hash == b.tail.hash;
  }
};

struct ClientPositions {
  std::string client;                // ClientConfig::name
  std::vector<std::string> tenants;  // that it has sent for, "" among them
  std::vector<FilePosition> files;
  friend bool operator==(const ClientPositions&, const ClientPositions&) = default;
};

struct Positions {
  std::string agent_id;
  std::vector<ClientPositions> clients;
  friend bool operator==(const Positions&, const Positions&) = default;
};

std::string encode_positions(const Positions& positions);
// kCorrupt names the line; kUnsupported: written by a later version.
base::Result<Positions> decode_positions(std::string_view text);

class PositionStore {
 public:
  // Reads `path` or, if that is missing or damaged, its previous version. A fresh store gets a new
  // random agent id and is saved at once, before anything is sent under that id.
  // With `read_only` nothing is written, now or later (-dry-run).
  static base::Result<PositionStore> open(base::FileSystem& fs, std::string path,
                                          bool read_only = false);

  const Positions& positions() const noexcept { return positions_; }
  bool is_new() const noexcept { return is_new_; }
  // What was wrong with the file at open; empty: nothing.
  const std::string& warning() const noexcept { return warning_; }
  // Atomic and durable. Does nothing if nothing changed.
  base::Status save(Positions positions);

 private:
  PositionStore(base::FileSystem& fs, std::string path) : fs_(&fs), path_(std::move(path)) {}
  base::FileSystem* fs_;
  std::string path_;
  Positions positions_;
  std::string warning_;
  bool is_new_ = false;
};

// Promtail's own positions.yaml.
struct PromtailPosition {
  std::string path;
  std::string value;  // an offset for files; opaque for cursor- and journal- keys
};
base::Result<std::vector<PromtailPosition>> parse_promtail_positions(std::string_view text);
std::string format_promtail_positions(const std::vector<PromtailPosition>& positions);

// No positions file is longer: 100,000 files at 500 bytes, twice over.
constexpr std::uint64_t kPositionsBytesMax = 100U << 20;

}  // namespace skald::agent
