#include "base/status.h"
#include "engine/dataset.h"
#include "engine/idx_file.h"

namespace lutdb {

absl::StatusOr<Dataset> LoadIdxImages(const DataOptions& options, const DataShape& shape) {
  if (options.labels.empty()) {
    return InvalidArgument("{}: give the images' labels with --labels", options.images);
  }
  LUTDB_ASSIGN_OR_RETURN(const std::unique_ptr<IdxFile> images, IdxFile::Open(options.images));
  LUTDB_ASSIGN_OR_RETURN(const std::unique_ptr<IdxFile> labels, IdxFile::Open(options.labels));
  if (labels->sizes().size() != 1) {
    return DataLoss("{} holds no labels: it has {} dimensions", options.labels,
                    labels->sizes().size());
  }
  if (images->count() != labels->count()) {
    return DataLoss("{} has {} images but {} has {} labels", options.images, images->count(),
                    options.labels, labels->count());
  }
  if (shape.inputs > 0 && images->item_bytes() != shape.inputs) {
    return InvalidArgument("the images of {} have {} pixels, but the network takes {} inputs",
                           options.images, images->item_bytes(), shape.inputs);
  }
  if (shape.outputs == 1) {
    return InvalidArgument("{}: labels are classes, but the network answers one real value",
                           options.labels);
  }
  Dataset data;
  data.source = options.images;
  data.width = static_cast<uint32_t>(images->item_bytes());
  data.has_classes = true;
  ClassNumbering classes;
  std::vector<uint8_t> pixels(data.width);
  // Grows as it reads, so that a claimed count costs nothing.
  for (uint32_t i = 0; i < images->count(); ++i) {
    uint8_t label = 0;
    LUTDB_RETURN_IF_ERROR(images->Read(absl::MakeSpan(pixels)));
    LUTDB_RETURN_IF_ERROR(labels->Read(absl::MakeSpan(&label, 1)));
    LUTDB_RETURN_IF_ERROR(
        CheckDataBytes(options.images, data.rows + 1, data.width, options.bytes_max));
    for (const uint8_t pixel : pixels) data.inputs.push_back(static_cast<float>(pixel) / 255.0f);
    LUTDB_ASSIGN_OR_RETURN(
        const uint32_t number,
        classes.Number(std::to_string(label), fmt::format("{}, item {}", options.labels, i)));
    data.labels.push_back(number);
    ++data.rows;
  }
  LUTDB_RETURN_IF_ERROR(images->ExpectEnd());
  LUTDB_RETURN_IF_ERROR(labels->ExpectEnd());
  if (data.rows == 0) return DataLoss("{} holds no images", options.images);
  LUTDB_RETURN_IF_ERROR(classes.Finish(options, shape, &data));
  return data;
}

}  // namespace lutdb
