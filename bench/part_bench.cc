// Sizes and speeds of the part format over log files: builds parts as the store does, prints bytes
// per column, encode MB/s, and CPU time of typical scans.
//
//   part_bench FILE...    lines of FILE are a pod's; streams are (file, "level" of the line)
//   Environment: PART_GROUP_MB (raw per row group, 24), PART_EFFORT (fast, small), PART_COLUMNS=1
//   (list them), PART_SCANS=0 (encode only), PART_ONLY=text (scans with it in their name),
//   PART_VERIFY=1 (read all back)

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "store/part/group_spec.h"
#include "store/part/part_reader.h"
#include "store/part/part_writer.h"

namespace skald::store::part {
namespace {

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

class Bytes final : public base::MappedFile {
 public:
  std::string_view bytes() const noexcept override { return text; }
  std::string text;
};

struct Input {
  std::vector<std::unique_ptr<base::MappedFile>> files;
  std::vector<InputRow> rows;
  std::vector<StreamInfo> streams;
  std::uint64_t bytes = 0;
};

std::string_view between(std::string_view line, std::string_view key) {
  const std::size_t at = line.rfind(key);
  if (at == std::string_view::npos) return {};
  const std::size_t start = at + key.size();
  return line.substr(start, line.find('"', start) - start);
}

std::int64_t time_of(std::string_view line) {
  const std::string_view text = between(line, "\"timestamp\": \"");
  static std::int64_t last = 1'700'000'000'000'000'000;
  if (text.size() < 20) return last += 1000;
  const TimestampFormat format = timestamp_format_of(text, timestamp_prefix(text));
  std::int64_t ns = 0;
  return parse_timestamp(text, format, ns) ? ns : last += 1000;
}

// Rows in the order the agent's batches would bring them: 1 MiB of each file in turn.
Input load(int count, char** paths) {
  Input input;
  std::vector<std::string_view> left;
  for (int i = 0; i < count; ++i) {
    auto file = base::FileSystem::posix().map(paths[i]);
    if (!file.ok()) {
      std::fprintf(stderr, "%s\n", file.status().to_string().c_str());
      std::exit(1);
    }
    input.files.push_back(std::move(*file));
    left.push_back(input.files.back()->bytes());
  }
  std::map<std::pair<std::size_t, std::string>, std::uint32_t> streams;
  for (bool more = true; more;) {
    more = false;
    for (std::size_t f = 0; f < left.size(); ++f) {
      for (std::size_t used = 0; used < (1U << 20) && !left[f].empty();) {
        const std::size_t end = std::min(left[f].find('\n'), left[f].size());
        const std::string_view line = left[f].substr(0, end);
        left[f].remove_prefix(std::min(end + 1, left[f].size()));
        used += line.size();
        const std::string level(between(line, "\"level\": \""));
        const auto [it, fresh] =
            streams.try_emplace({f, level}, static_cast<std::uint32_t>(input.streams.size()));
        if (fresh)
          input.streams.push_back(
              {model::StreamId{it->second}, {{"pod", std::to_string(f)}, {"level", level}}});
        input.rows.push_back({it->second, time_of(line), line, nullptr});
        input.bytes += line.size();
      }
      more |= !left[f].empty();
    }
  }
  return input;
}

std::vector<std::shared_ptr<const PartReader>> build(
    const Input& input, std::uint64_t group_bytes, Effort effort,
    std::vector<std::shared_ptr<const Bytes>>& files) {
  std::vector<std::shared_ptr<const PartReader>> parts;
  double cpu = 0;
  std::uint64_t file_bytes = 0;
  for (std::size_t start = 0; start < input.rows.size();) {
    std::size_t end = start;
    for (std::uint64_t used = 0; end < input.rows.size() && used < group_bytes; ++end)
      used += input.rows[end].line.size();
    auto file = std::make_shared<Bytes>();
    const double before = cpu_seconds();
    PartWriter writer({effort}, [&](std::string_view bytes) {
      file->text.append(bytes);
      return base::Status();
    });
    for (const StreamInfo& stream : input.streams) writer.add_stream(stream);
    const auto added = writer.add_row_group({input.rows.data() + start, end - start});
    const auto summary = writer.finish();
    cpu += cpu_seconds() - before;
    if (!added.ok() || !summary.ok()) std::abort();
    file_bytes += summary->file_bytes;
    files.push_back(file);
    auto reader = PartReader::open(file, std::to_string(parts.size()));
    if (!reader.ok()) std::abort();
    parts.push_back(*reader);
    start = end;
  }
  const auto raw = static_cast<double>(input.bytes);
  std::printf("%zu rows, %.1f MB raw -> %zu parts, %.2f MB (%.2fx); encode %.0f MB/s per core\n",
              input.rows.size(), raw / 1e6, parts.size(), static_cast<double>(file_bytes) / 1e6,
              raw / static_cast<double>(file_bytes), raw / 1e6 / cpu);
  return parts;
}

const char* name_of(Encoding encoding) {
  constexpr const char* kNames[] = {"constant",  "dictionary", "text",  "decimal",
                                    "timestamp", "uuid",       "hex",   "ipv4",
                                    "digits",    "template",   "words", "derived"};
  return kNames[static_cast<std::size_t>(encoding)];
}

std::uint64_t stored(const PageRef& page) {
  return page.kind == PageRef::Kind::kInline ? 0 : page.stored;
}

std::uint64_t column_bytes(const ColumnSpec& column, std::map<std::string, std::uint64_t>& sums) {
  std::uint64_t own = column.ints.stored_bytes() +
                      (column.words != nullptr ? column.words->stored_bytes() : 0) +
                      stored(column.page) + stored(column.entries.page);
  sums[name_of(column.encoding)] += own;
  for (const ColumnSpec& child : column.children) own += column_bytes(child, sums);
  return own;
}

void describe(const ColumnSpec& column, std::string& out) {
  out += name_of(column.encoding);
  if (column.children.empty()) return;
  out += '(';
  for (const ColumnSpec& child : column.children) {
    describe(child, out);
    out += ' ';
  }
  out += ')';
}

void print_sizes(const std::vector<std::shared_ptr<const PartReader>>& parts, bool columns) {
  std::map<std::string, std::uint64_t> kinds;
  std::map<std::string, std::pair<std::uint64_t, std::string>> by_name;
  std::uint64_t meta = 0;
  for (const auto& part : parts)
    for (std::size_t g = 0; g < part->row_groups().size(); ++g) {
      const auto group = part->group_for_tools(g);
      if (!group.ok()) std::abort();
      const GroupSpec& spec = **group;
      meta += part->row_groups()[g].file_bytes - spec.shared.source.group_size();
      kinds["uuid table"] += stored(spec.shared.uuid_table);
      kinds["hex filter"] += stored(spec.shared.hex_filter);
      kinds["uuid filter"] += stored(spec.shared.uuid_filter);
      for (const BlockSpec& block : spec.blocks) {
        const std::string shape = std::to_string(block.shape.id % 1000);
        kinds["times"] += block.times.stored_bytes();
        kinds["streams"] += block.stream_ids.stored_bytes();
        by_name[shape + " times"].first += block.times.stored_bytes();
        for (std::size_t c = 0; c < block.columns.size(); ++c) {
          std::string name = shape + " ";
          if (block.shape.kind == Shape::Kind::kJson)
            for (const PathSegment& segment : block.shape.fields[c].path)
              name += "/" + (segment.index >= 0 ? std::to_string(segment.index) : segment.key);
          auto& entry = by_name[name];
          entry.first += column_bytes(block.columns[c], kinds);
          entry.second.clear();
          describe(block.columns[c], entry.second);
        }
      }
    }
  kinds["metadata of groups"] = meta;
  for (const auto& [kind, bytes] : kinds)
    std::printf("  %-20s %8.3f MB\n", kind.c_str(), static_cast<double>(bytes) / 1e6);
  if (!columns) return;
  for (const auto& [name, entry] : by_name)
    std::printf("    %-40s %8.3f MB  %.100s\n", name.c_str(),
                static_cast<double>(entry.first) / 1e6, entry.second.c_str());
}

struct Above final : ValuePredicate {
  explicit Above(double limit) : limit_(limit) {}
  bool test(std::string_view) const override { return false; }
  std::optional<Interval> interval() const override {
    return Interval{limit_, std::numeric_limits<double>::infinity(), true, false};
  }
  double limit_;
};

struct Regex final : LineMatcher {
  bool matches(std::string_view line) const override {
    return line.find("UpstreamTimeout") != std::string_view::npos ||
           line.find("UpstreamRefused") != std::string_view::npos;
  }
};

template <typename Visit>
void scan(const char* name, const std::vector<std::shared_ptr<const PartReader>>& parts,
          std::size_t streams, const std::vector<LineFilter>& filters, Visit visit) {
  static const char* const only = std::getenv("PART_ONLY");
  if (only != nullptr && std::string_view(name).find(only) == std::string_view::npos) return;
  double best = 1e9;
  std::uint64_t result = 0;
  for (int round = 0; round < (only != nullptr ? 100 : 5); ++round) {
    const double before = cpu_seconds();
    result = 0;
    for (const auto& part : parts) {
      auto context = std::make_shared<BlockContext>();
      for (std::uint32_t s = 0; s < streams; ++s) context->streams.push_back(s);
      for (std::size_t g = 0; g < part->row_groups().size(); ++g) {
        const auto wanted = part->blocks_that_may_match(filters, g);
        if (!wanted) std::abort();
        auto blocks = part->open_row_group(g, context, &*wanted);
        if (!blocks.ok()) std::abort();
        for (const auto& block : *blocks) result += visit(*block);
      }
    }
    best = std::min(best, cpu_seconds() - before);
  }
  std::printf("  %-44s %9.3f ms  result %llu\n", name, best * 1e3,
              static_cast<unsigned long long>(result));
}

std::size_t field_named(const Block& block, std::string_view key) {
  const auto& fields = block.shape().fields;
  for (std::size_t i = 0; i < fields.size(); ++i)
    if (fields[i].path.size() == 1 && fields[i].path[0].key == key) return i;
  return fields.size();
}

// What a start pays per part, and the first query per row group.
void print_cold(const std::vector<std::shared_ptr<const Bytes>>& files) {
  double open = 0, parse = 0;
  std::size_t groups = 0;
  for (const auto& file : files) {
    double before = cpu_seconds();
    const auto reader = PartReader::open(file, "again");
    open += cpu_seconds() - before;
    if (!reader.ok()) std::abort();
    before = cpu_seconds();
    for (std::size_t g = 0; g < (*reader)->row_groups().size(); ++g, ++groups)
      if (!(*reader)->group_for_tools(g).ok()) std::abort();
    parse += cpu_seconds() - before;
  }
  std::printf("  open a part: %.1f us; parse a row group's metadata: %.1f us\n",
              open * 1e6 / static_cast<double>(files.size()),
              parse * 1e6 / static_cast<double>(groups));
}

std::uint64_t row_hash(std::uint32_t stream, std::int64_t time, std::string_view line) {
  return hash_bytes(line, mix_hash(stream, static_cast<std::uint64_t>(time)));
}

// Every row of every part against the rows that went in, as sums of hashes.
void verify(const std::vector<std::shared_ptr<const PartReader>>& parts, const Input& input) {
  std::uint64_t in = 0, out = 0;
  for (const InputRow& row : input.rows) in += row_hash(row.stream, row.timestamp_ns, row.line);
  for (const auto& part : parts)
    for (std::size_t g = 0; g < part->row_groups().size(); ++g) {
      const auto rows = part->read_rows(g);
      if (!rows.ok()) std::abort();
      for (const auto& row : rows->rows) out += row_hash(row.stream, row.timestamp_ns, row.line);
    }
  std::printf("  every row read back: %s\n", in == out ? "equal" : "DIFFERENT");
}

void run_column_scans(const std::vector<std::shared_ptr<const PartReader>>& parts,
                      std::size_t streams) {
  scan("whole counts", parts, streams, {}, [](Block& block) {
    std::uint64_t entries = 0;
    const auto counts = block.whole_counts();
    if (counts)
      for (const StreamCount& one : *counts) entries += one.entries;
    return entries;
  });
  scan("read duration of http_request", parts, streams, {}, [](Block& block) -> std::uint64_t {
    const std::size_t field = field_named(block, "duration");
    if (block.shape().kind != Shape::Kind::kJson || field_named(block, "method") != 0) return 0;
    if (field == block.shape().fields.size()) return 0;
    std::vector<double> numbers;
    TextColumn methods;
    const Selection all(block.rows(), true);
    if (!block.read_numbers(field, all, numbers).ok() || !block.read_text(0, all, methods).ok())
      std::abort();
    return numbers.size();
  });
  scan("times and streams", parts, streams, {}, [](Block& block) -> std::uint64_t {
    return block.timestamps()->size() + block.streams()->size();
  });
  scan("line sizes", parts, streams, {}, [](Block& block) -> std::uint64_t {
    std::uint64_t bytes = 0;
    const auto sizes = block.line_sizes();
    if (!sizes.ok()) std::abort();
    for (const std::uint32_t size : *sizes) bytes += size;
    return bytes;
  });
  scan("rebuild every line", parts, streams, {}, [](Block& block) -> std::uint64_t {
    TextColumn lines;
    if (!block.read_lines(Selection(block.rows(), true), lines).ok()) std::abort();
    std::uint64_t bytes = 0;
    for (std::size_t i = 0; i < block.rows(); ++i) bytes += lines.at(i).size();
    return bytes;
  });
}

void run_scans(const std::vector<std::shared_ptr<const PartReader>>& parts, const Input& input) {
  const std::size_t streams = input.streams.size();
  const auto count = [](const LineFilter& filter) {
    return [&filter](Block& block) -> std::uint64_t {
      auto selection = block.select();
      if (!selection.ok() || !block.filter_lines(filter, *selection).ok()) std::abort();
      return selection->count();
    };
  };
  const auto needle = [&](const char* name, const std::string& text, bool fold = false) {
    LineFilter filter;
    filter.clauses = {{text}};
    filter.fold_case = fold;
    scan(name, parts, streams, {filter}, count(filter));
  };
  LineFilter predictions;
  predictions.clauses = {{"ml_prediction"}};
  scan("ml_prediction, duration > 100", parts, streams, {predictions},
       [&](Block& block) -> std::uint64_t {
         auto selection = block.select();
         if (!selection.ok() || !block.filter_lines(predictions, *selection).ok()) std::abort();
         if (selection->none()) return 0;
         const std::size_t field = field_named(block, "duration");
         if (field == block.shape().fields.size()) return 0;
         if (!block.filter_field(field, Above(100), *selection).ok()) std::abort();
         return selection->count();
       });
  std::string uuid;
  for (std::size_t i = input.rows.size() / 2; i < input.rows.size() && uuid.empty(); ++i)
    uuid = between(input.rows[i].line, "\"conversation_id\": \"");
  needle("present UUID", uuid);
  needle("absent UUID", "00000000-1111-4222-a333-444444444444");
  std::string id;
  for (std::size_t i = input.rows.size() / 2; i < input.rows.size() && id.empty(); ++i)
    id = between(input.rows[i].line, "\"request_id\": \"");
  needle("present request id", id);
  needle("absent word", "zebra crossing");
  needle("absent hex", "deadbeef12345678");
  needle("absent digits", "9870123");
  needle("absent, folded", "kaputt", true);
  needle("common word", "entrenamiento");
  needle("spanning: \"tier\": \"pro\"", "\"tier\": \"pro\"");
  needle("spanning: 200, \"duration\": 1", "200, \"duration\": 1");
  Regex matcher;
  LineFilter regex;
  regex.clauses = {{"Upstream"}};
  regex.matcher = &matcher;
  scan("Upstream(Timeout|Refused), rebuilt", parts, streams, {regex}, count(regex));
  regex.clauses = {{"UpstreamTimeout", "UpstreamRefused"}};
  regex.matcher = nullptr;
  scan("Upstream(Timeout|Refused), literals", parts, streams, {regex}, count(regex));
  run_column_scans(parts, streams);
}

}  // namespace
}  // namespace skald::store::part

int main(int argc, char** argv) {
  using namespace skald::store::part;
  if (argc < 2) {
    std::printf("part_bench: no files given; nothing measured\n");
    return 0;
  }
  const char* const group = std::getenv("PART_GROUP_MB");
  const char* const effort = std::getenv("PART_EFFORT");
  const Input input = load(argc - 1, argv + 1);
  const bool small = effort != nullptr && std::string_view(effort) == "small";
  std::vector<std::shared_ptr<const Bytes>> files;
  const auto parts = build(input, (group != nullptr ? std::strtoull(group, nullptr, 10) : 24) << 20,
                           small ? Effort::kSmall : Effort::kFast, files);
  print_cold(files);
  if (std::getenv("PART_VERIFY") != nullptr) verify(parts, input);
  print_sizes(parts, std::getenv("PART_COLUMNS") != nullptr);
  if (std::getenv("PART_SCANS") == nullptr || std::getenv("PART_SCANS")[0] != '0')
    run_scans(parts, input);
  return 0;
}
