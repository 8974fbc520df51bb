#include "query/exec/tenant_scan.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

namespace skald::query {
namespace {

using store::Block;
using store::Selection;

// A block of one tenant's scan, its streams counted from `first`.
class TenantBlock final : public Block {
 public:
  TenantBlock(Block& block, std::uint32_t scan, std::uint32_t first)
      : block_(block), first_(first) {
    store::BlockId id = block.id();
    id.scan = scan;
    set_id(id);
  }

  std::uint32_t rows() const noexcept override { return block_.rows(); }
  model::TimestampNs min_time_ns() const noexcept override { return block_.min_time_ns(); }
  model::TimestampNs max_time_ns() const noexcept override { return block_.max_time_ns(); }
  std::uint64_t sequence() const noexcept override { return block_.sequence(); }
  const store::Shape& shape() const noexcept override { return block_.shape(); }
  base::Result<Selection> select() override { return block_.select(); }
  std::optional<std::vector<store::StreamCount>> whole_counts() override {
    auto counts = block_.whole_counts();
    if (counts)
      for (store::StreamCount& count : *counts) count.stream += first_;
    return counts;
  }
  base::Result<std::span<const model::TimestampNs>> timestamps() override {
    return block_.timestamps();
  }
  base::Result<std::span<const std::uint32_t>> streams() override {
    if (!streams_.empty()) return std::span<const std::uint32_t>(streams_);
    SKALD_TRY_ASSIGN(const auto own, block_.streams());
    streams_.assign(own.begin(), own.end());
    for (std::uint32_t& stream : streams_) stream += first_;
    return std::span<const std::uint32_t>(streams_);
  }
  base::Result<std::span<const std::uint32_t>> ranks() override { return block_.ranks(); }
  base::Result<std::span<const std::uint32_t>> line_sizes() override { return block_.line_sizes(); }
  base::Status filter_lines(const store::LineFilter& filter, Selection& selection) override {
    return block_.filter_lines(filter, selection);
  }
  base::Status read_lines(const Selection& selection, store::TextColumn& out) override {
    return block_.read_lines(selection, out);
  }
  store::FieldStats field_stats(std::size_t field) const override {
    return block_.field_stats(field);
  }
  base::Status filter_field(std::size_t field, const store::ValuePredicate& predicate,
                            Selection& selection) override {
    return block_.filter_field(field, predicate, selection);
  }
  base::Status read_text(std::size_t field, const Selection& selection,
                         store::TextColumn& out) override {
    return block_.read_text(field, selection, out);
  }
  base::Status read_written(std::size_t field, const Selection& selection,
                            store::TextColumn& out) override {
    return block_.read_written(field, selection, out);
  }
  std::span<const std::string_view> line_literals() const noexcept override {
    return block_.line_literals();
  }
  std::array<std::uint64_t, 4> field_bytes(std::size_t field) const noexcept override {
    return block_.field_bytes(field);
  }
  base::Status read_numbers(std::size_t field, const Selection& selection,
                            std::vector<double>& out) override {
    return block_.read_numbers(field, selection, out);
  }
  bool has_metadata() const noexcept override { return block_.has_metadata(); }
  bool may_have_metadata(std::string_view name) const override {
    return block_.may_have_metadata(name);
  }
  base::Status read_metadata(const Selection& selection, std::vector<model::Labels>& out) override {
    return block_.read_metadata(selection, out);
  }
  base::Status read_metadata_sets(std::size_t sets_max, store::MetadataSets& out) override {
    return block_.read_metadata_sets(sets_max, out);
  }

 private:
  Block& block_;
  const std::uint32_t first_;
  std::vector<std::uint32_t> streams_;
};

class TenantVisitor final : public store::BlockVisitor {
 public:
  TenantVisitor(store::BlockVisitor& inner, std::uint32_t scan, std::uint32_t first)
      : inner_(inner), scan_(scan), first_(first) {}
  base::Status visit(Block& block, unsigned worker) override {
    TenantBlock shifted(block, scan_, first_);
    return inner_.visit(shifted, worker);
  }
  bool wants(model::TimestampNs min_ns, model::TimestampNs max_ns) override {
    return inner_.wants(min_ns, max_ns);
  }

 private:
  store::BlockVisitor& inner_;
  const std::uint32_t scan_, first_;
};

class TenantsScan final : public store::Scan {
 public:
  void add(const std::string& tenant, std::unique_ptr<store::Scan> scan) {
    const auto first = static_cast<std::uint32_t>(streams_.size());
    for (store::StreamInfo stream : scan->streams()) {
      const std::string own(stream.labels.get(kTenantLabel));
      if (!own.empty()) stream.labels.set(std::string("original_") + kTenantLabel, own);
      stream.labels.set(kTenantLabel, tenant);
      streams_.push_back(std::move(stream));
    }
    scans_.emplace_back(first, std::move(scan));
  }

  std::span<const store::StreamInfo> streams() const noexcept override { return streams_; }
  base::Status run(store::BlockVisitor& visitor, const store::ScanOptions& options) override {
    for (std::size_t i = 0; i < scans_.size(); ++i) {
      const auto& [first, scan] = scans_[i];
      TenantVisitor shifted(visitor, static_cast<std::uint32_t>(i), first);
      const base::Status status = scan->run(shifted, options);
      add_stats(scan->stats());
      SKALD_TRY(status);
    }
    return {};
  }
  base::Status revisit(std::span<const store::BlockId> blocks, store::BlockVisitor& visitor,
                       const store::ScanOptions& options) override {
    for (std::size_t i = 0; i < scans_.size(); ++i) {
      std::vector<store::BlockId> own;
      std::copy_if(blocks.begin(), blocks.end(), std::back_inserter(own),
                   [i](const store::BlockId& id) { return id.scan == i; });
      if (own.empty()) continue;
      const auto& [first, scan] = scans_[i];
      TenantVisitor shifted(visitor, static_cast<std::uint32_t>(i), first);
      SKALD_TRY(scan->revisit(own, shifted, options));
    }
    return {};
  }
  const store::ScanStats& stats() const noexcept override { return stats_; }
  std::vector<std::string> warnings() const override {
    std::vector<std::string> all;
    for (const auto& [first, scan] : scans_)
      for (std::string& warning : scan->warnings()) all.push_back(std::move(warning));
    return all;
  }

 private:
  void add_stats(const store::ScanStats& from) {
    stats_.parts += from.parts;
    stats_.parts_skipped += from.parts_skipped;
    stats_.blocks += from.blocks;
    stats_.blocks_skipped += from.blocks_skipped;
    stats_.rows += from.rows;
    stats_.bytes_read += from.bytes_read;
    stats_.bytes_decoded += from.bytes_decoded;
  }

  std::vector<std::pair<std::uint32_t, std::unique_ptr<store::Scan>>> scans_;
  std::vector<store::StreamInfo> streams_;
  store::ScanStats stats_;
};

}  // namespace

base::Result<std::unique_ptr<store::Scan>> open_tenants_scan(store::Store& store,
                                                             store::ScanRequest request) {
  if (request.tenant.find(kTenantSeparator) == std::string::npos) return store.open_scan(request);
  const auto choice = std::stable_partition(
      request.matchers.begin(), request.matchers.end(),
      [](const model::Matcher& matcher) { return matcher.name() != kTenantLabel; });
  const model::Matchers chosen(choice, request.matchers.end());
  request.matchers.erase(choice, request.matchers.end());
  if (request.matchers.empty()) {  // a scan needs one: every stream's
    SKALD_TRY_ASSIGN(auto any,
                     model::Matcher::create("__name__", model::Matcher::Op::kRegex, ".*"));
    request.matchers.push_back(std::move(any));
  }
  auto all = std::make_unique<TenantsScan>();
  const std::string names = request.tenant;
  for (std::size_t at = 0; at <= names.size();) {
    const std::size_t end = std::min(names.find(kTenantSeparator, at), names.size());
    request.tenant = names.substr(at, end - at);
    at = end + 1;
    if (!std::all_of(chosen.begin(), chosen.end(),
                     [&](const auto& matcher) { return matcher.matches(request.tenant); }))
      continue;
    SKALD_TRY_ASSIGN(auto scan, store.open_scan(request));
    all->add(request.tenant, std::move(scan));
  }
  return std::unique_ptr<store::Scan>(std::move(all));
}

}  // namespace skald::query
