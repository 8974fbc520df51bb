#include "store/index/index_db.h"

#include <lmdb.h>

#include <memory>
#include <utility>

#include "proto/base/bytes.h"
#include "proto/base/crc32c.h"
#include "store/index/limits.h"
#include "store/index/lmdb_check.h"

namespace skald::store::index {
namespace {

constexpr std::string_view kVersionKey = "v";
constexpr std::string_view kVersion = "skald index 2";
constexpr char kStreamKey = 's', kPartKey = 'p', kMarksKey = 'm';

base::Status from_lmdb(int code, std::string_view what) {
  if (code == MDB_SUCCESS) return {};
  if (code == MDB_MAP_FULL)
    return base::resource_exhausted("index: full while " + std::string(what));
  if (code > 0) return base::from_errno(code, "index: " + std::string(what));
  return base::corrupt("index: " + std::string(what) + ": " + mdb_strerror(code));
}

// Aborts unless committed.
class Transaction {
 public:
  static base::Result<Transaction> begin(MDB_env* env, unsigned flags) {
    MDB_txn* handle = nullptr;
    SKALD_TRY(from_lmdb(mdb_txn_begin(env, nullptr, flags, &handle), "begin"));
    Transaction out(handle);
    SKALD_TRY(from_lmdb(mdb_dbi_open(handle, nullptr, 0, &out.dbi_), "open"));
    return out;
  }
  Transaction(Transaction&& other) noexcept
      : handle_(std::exchange(other.handle_, nullptr)), dbi_(other.dbi_) {}
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction() {
    if (handle_ != nullptr) mdb_txn_abort(handle_);
  }

  base::Status put(std::string_view key, std::string value) {
    base::put_le(value, base::crc32c(value));
    MDB_val k{key.size(), const_cast<char*>(key.data())}, v{value.size(), value.data()};
    return from_lmdb(mdb_put(handle_, dbi_, &k, &v, 0), "put");
  }
  base::Status remove(std::string_view key) {
    MDB_val k{key.size(), const_cast<char*>(key.data())};
    const int code = mdb_del(handle_, dbi_, &k, nullptr);
    return code == MDB_NOTFOUND ? base::Status() : from_lmdb(code, "delete");
  }
  base::Status clear() { return from_lmdb(mdb_drop(handle_, dbi_, 0), "clear"); }
  base::Status commit() {
    return from_lmdb(mdb_txn_commit(std::exchange(handle_, nullptr)), "commit");
  }
  MDB_txn* handle() const noexcept { return handle_; }
  MDB_dbi dbi() const noexcept { return dbi_; }

 private:
  explicit Transaction(MDB_txn* handle) : handle_(handle) {}
  MDB_txn* handle_;
  MDB_dbi dbi_ = 0;
};

std::string key_of(char kind, std::string_view tenant) {
  std::string key(1, kind);
  base::put_bytes(key, tenant);
  return key;
}
std::string stream_key(std::string_view tenant, std::uint32_t number) {
  std::string key = key_of(kStreamKey, tenant);
  base::put_le(key, __builtin_bswap32(number));  // big-endian: keys sort by number
  return key;
}

std::string encode_stream(const IndexedStream& stream) {
  std::string out;
  base::put_le(out, stream.id.value);
  base::put_varint(out, stream.labels.size());
  for (const auto& [name, value] : stream.labels) {
    base::put_bytes(out, name);
    base::put_bytes(out, value);
  }
  return out;
}

std::string encode_part(const IndexedPart& part) {
  std::string out;
  base::put_le(out, part.min_time_ns);
  base::put_le(out, part.max_time_ns);
  base::put_varint(out, part.entries);
  base::put_varint(out, part.line_bytes);
  base::put_varint(out, part.file_bytes);
  base::put_bytes(out, part.streams.encode());
  base::put_varint(out, part.search_bytes);
  base::put_varint(out, part.search_offset);
  base::put_le(out, part.search_crc);
  return out;
}

base::Status malformed(const char* what) {
  return base::corrupt(std::string("index: malformed ") + what);
}

base::Status take_stream(base::ByteReader& key, std::string_view record, IndexedTenant& tenant) {
  const std::uint32_t number = __builtin_bswap32(key.read_le<std::uint32_t>());
  const bool next = !key.failed() && number == tenant.streams.size();
  return next && tenant.streams.append(record) ? base::Status() : malformed("stream");
}

base::Status take_part(base::ByteReader& key, base::ByteReader& value, IndexedTenant& tenant) {
  IndexedPart part;
  const std::string_view name = key.read_bytes();
  part.min_time_ns = value.read_le<std::int64_t>();
  part.max_time_ns = value.read_le<std::int64_t>();
  part.entries = value.read_varint();
  part.line_bytes = value.read_varint();
  part.file_bytes = value.read_varint();
  auto streams = Bitmap::decode(value.read_bytes());
  part.search_bytes = static_cast<std::uint32_t>(value.read_varint());
  part.search_offset = value.read_varint();
  part.search_crc = value.read_le<std::uint32_t>();
  if (key.failed() || value.failed() || !streams) return malformed("part");
  part.streams = std::move(*streams);
  tenant.parts.emplace(name, std::move(part));
  return {};
}

base::Status take_record(std::string_view key_bytes, std::string_view value_bytes,
                         IndexContents& out, bool& versioned) {
  if (key_bytes.empty() || value_bytes.size() < 4) return malformed("record");
  const std::string_view body = value_bytes.substr(0, value_bytes.size() - 4);
  if (base::load_le<std::uint32_t>(value_bytes.data() + body.size()) != base::crc32c(body))
    return base::corrupt("index: a record's checksum does not match");
  if (key_bytes == kVersionKey) {
    versioned = body == kVersion;
    return versioned ? base::Status() : base::unsupported("index: another version");
  }
  base::ByteReader key(key_bytes.substr(1)), value(body);
  IndexedTenant& tenant = out[std::string(key.read_bytes())];
  if (key.failed()) return malformed("key");
  switch (key_bytes.front()) {
    case kStreamKey: return take_stream(key, body, tenant);
    case kPartKey: return take_part(key, value, tenant);
    case kMarksKey: tenant.marks = body; return {};
    default: return malformed("key");
  }
}

}  // namespace

bool StreamRecords::append(std::string_view record) {
  base::ByteReader reader(record);
  static_cast<void>(reader.read_le<std::uint64_t>());
  const std::uint64_t labels = reader.read_varint();
  if (labels > kLabelPairsMax) return false;
  std::string_view before;
  for (std::uint64_t i = 0; i < labels; ++i) {
    const std::string_view name = reader.read_bytes();
    if (i > 0 && name <= before) return false;
    before = name;
    static_cast<void>(reader.read_bytes());
  }
  if (reader.failed() || !reader.done()) return false;
  bytes_.append(record);
  ++count_;
  return true;
}

IndexDb::~IndexDb() { mdb_env_close(env_); }

base::Result<IndexContents> IndexDb::load() const {
  SKALD_TRY_ASSIGN(const Transaction transaction, Transaction::begin(env_, MDB_RDONLY));
  MDB_cursor* handle = nullptr;
  SKALD_TRY(from_lmdb(mdb_cursor_open(transaction.handle(), transaction.dbi(), &handle), "cursor"));
  const std::unique_ptr<MDB_cursor, decltype(&mdb_cursor_close)> cursor(handle, &mdb_cursor_close);
  IndexContents out;
  bool versioned = false;
  MDB_val key{}, value{};
  int code = mdb_cursor_get(cursor.get(), &key, &value, MDB_FIRST);
  for (; code == MDB_SUCCESS; code = mdb_cursor_get(cursor.get(), &key, &value, MDB_NEXT))
    SKALD_TRY(take_record({static_cast<const char*>(key.mv_data), key.mv_size},
                          {static_cast<const char*>(value.mv_data), value.mv_size}, out,
                          versioned));
  if (code != MDB_NOTFOUND) return from_lmdb(code, "read");
  if (!versioned) return base::not_found("index: empty");
  return out;
}

base::Result<IndexDb::Opened> IndexDb::open(base::FileSystem& fs, const std::string& directory) {
  SKALD_TRY(fs.make_directories(directory));
  const std::string path = directory + "/data.mdb";
  Opened out;
  if (const auto file = fs.map(path); file.ok()) {
    const base::Status status = check_lmdb_file((*file)->bytes());
    if (!status.ok()) {
      out.rebuilt = status.to_string();
      SKALD_TRY(fs.remove(path));
    }
  }
  for (int attempt = 0;; ++attempt) {
    MDB_env* env = nullptr;
    SKALD_TRY(from_lmdb(mdb_env_create(&env), "create"));
    out.db = std::unique_ptr<IndexDb>(new IndexDb(env));
    SKALD_TRY(from_lmdb(mdb_env_set_mapsize(env, kMapBytes), "map size"));
    base::Status status =
        from_lmdb(mdb_env_open(env, path.c_str(), MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOTLS, 0640),
                  "open " + path);
    if (status.ok()) {
      auto contents = out.db->load();
      if (contents.ok()) {
        out.contents = std::move(contents).value();
        return out;
      }
      if (out.rebuilt.empty()) out.rebuilt = contents.status().to_string();
      status = out.db->clear();
      if (status.ok()) return out;
    }
    out.db.reset();
    if (attempt > 0) return status;
    if (out.rebuilt.empty()) out.rebuilt = status.to_string();
    static_cast<void>(fs.remove(path).ok());
  }
}

base::Status IndexDb::clear() {
  SKALD_TRY_ASSIGN(Transaction transaction, Transaction::begin(env_, 0));
  SKALD_TRY(transaction.clear());
  SKALD_TRY(transaction.put(kVersionKey, std::string(kVersion)));
  return transaction.commit();
}

base::Status IndexDb::write(const std::vector<IndexChange>& changes) {
  SKALD_TRY_ASSIGN(Transaction transaction, Transaction::begin(env_, 0));
  for (const IndexChange& change : changes) {
    std::uint32_t number = change.first_number;
    for (const IndexedStream& stream : change.new_streams)
      SKALD_TRY(transaction.put(stream_key(change.tenant, number++), encode_stream(stream)));
    const auto part_key = [&](const std::string& name) {
      std::string key = key_of(kPartKey, change.tenant);
      base::put_bytes(key, name);
      return key;
    };
    for (const auto& [name, part] : change.new_parts)
      SKALD_TRY(transaction.put(part_key(name), encode_part(part)));
    for (const std::string& name : change.gone_parts) SKALD_TRY(transaction.remove(part_key(name)));
    if (!change.marks.empty())
      SKALD_TRY(transaction.put(key_of(kMarksKey, change.tenant), change.marks));
  }
  return transaction.commit();
}

}  // namespace skald::store::index
