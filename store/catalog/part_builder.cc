#include "store/catalog/part_builder.h"

#include <utility>

namespace skald::store::catalog {

PartBuilder::PartBuilder(base::FileSystem& fs, std::string directory, PartName name)
    : fs_(fs), directory_(std::move(directory)), name_(name) {
  path_ = directory_ + "/" + name_.to_string();
  temporary_ = path_ + std::string(kTemporarySuffix);
}

base::Result<std::unique_ptr<PartBuilder>> PartBuilder::create(base::FileSystem& fs,
                                                               const std::string& parts_directory,
                                                               PartName name, part::Effort effort) {
  std::unique_ptr<PartBuilder> builder(new PartBuilder(fs, parts_directory, name));
  SKALD_TRY_ASSIGN(builder->file_, fs.create(builder->temporary_));
  builder->writer_ = std::make_unique<part::PartWriter>(
      part::WriterOptions{effort}, [self = builder.get()](std::string_view bytes) {
        self->written_ += bytes.size();
        return self->file_->append(bytes);
      });
  return builder;
}

PartBuilder::~PartBuilder() {
  if (published_ || file_ == nullptr) return;
  file_.reset();
  static_cast<void>(fs_.remove(temporary_).ok());  // start-up removes it otherwise
}

base::Status PartBuilder::add_row_group(std::span<const part::InputRow> rows) {
  entries_ += rows.size();
  return writer_->add_row_group(rows);
}

base::Result<std::shared_ptr<PartHandle>> PartBuilder::publish() {
  SKALD_TRY_ASSIGN(const part::PartSummary summary, writer_->finish());
  SKALD_TRY(file_->sync());
  SKALD_TRY(fs_.rename(temporary_, path_));
  published_ = true;
  file_.reset();
  PartMeta meta;
  meta.name = name_;
  meta.min_time_ns = summary.min_time_ns;
  meta.max_time_ns = summary.max_time_ns;
  meta.entries = summary.entries;
  meta.line_bytes = summary.line_bytes;
  meta.file_bytes = summary.file_bytes;
  for (const part::StreamTotals& stream : summary.streams)
    meta.streams.add(numbers_[stream.stream]);
  meta.streams.shrink();
  meta.search = summary.search;
  return std::make_shared<PartHandle>(fs_, path_, std::move(meta));
}

}  // namespace skald::store::catalog
