// Any bytes as a segment: nothing is read out of bounds, and a batch that decodes encodes again to
// one that decodes to the same rows.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "store/wal/batch_codec.h"
#include "store/wal/wal_format.h"

namespace {

void check_payload(std::string_view payload) {
  namespace wal = skald::store::wal;
  const auto batch = wal::decode_batch(payload, nullptr);
  if (!batch.ok()) return;
  skald::model::PushBatch again;
  again.marks = batch->marks;
  for (const auto& labels : batch->streams) again.streams.push_back({labels, {}});
  for (const auto& row : batch->rows)
    again.streams[row.stream].entries.push_back({row.timestamp_ns, row.line, row.metadata});
  const auto encoded = wal::encode_batch(batch->tenant, again, [](auto&&...) { return true; });
  if (!encoded.ok()) return;
  const auto second = wal::decode_batch(encoded->record->payload(), nullptr);
  if (!second.ok() || second->rows.size() != batch->rows.size()) std::abort();
  for (std::size_t i = 0; i < batch->rows.size(); ++i)
    if (second->rows[i].line != batch->rows[i].line ||
        second->rows[i].timestamp_ns != batch->rows[i].timestamp_ns)
      std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace wal = skald::store::wal;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  static_cast<void>(wal::decode_segment_header(bytes).ok());
  for (std::size_t at = wal::find_record(bytes, 0); at != std::string_view::npos;
       at = wal::find_record(bytes, at + 1))
    check_payload(wal::read_record(bytes.substr(at))->payload);
  check_payload(bytes);
  return 0;
}
