#include "lutdb/eval.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/bytes.h"
#include "base/file.h"
#include "base/status.h"
#include "engine/eval_progress.h"
#include "engine/idx_file.h"
#include "engine/sample.h"
#include "engine/scores.h"

namespace lutdb {
namespace {

// Tokens or images between two looks at whether to go on.
constexpr size_t kPiece = 256;

}  // namespace

absl::StatusOr<EvalReport> EvalText(Model& model, const std::string& text,
                                    const EvalOptions& options) {
  LUTDB_ASSIGN_OR_RETURN(const std::vector<int32_t> ids, model.Encode(text));
  if (ids.empty()) return InvalidArgument("the text is empty: there is nothing to predict");
  EvalOptions windows = options;
  if (windows.stride == 0) {
    const uint32_t window = options.window == 0 ? model.context() : options.window;
    windows.stride = std::max(1u, window / 2);
  }
  return EvalTokens(model, ids, windows);
}

absl::StatusOr<EvalReport> EvalTokens(Model& model, absl::Span<const int32_t> ids,
                                      const EvalOptions& options) {
  if (!model.is_language_model()) {
    return InvalidArgument("this is not a language model: it cannot be evaluated on tokens");
  }
  if (ids.size() < 2) return InvalidArgument("at least two tokens are needed, to predict one");
  if (options.window > model.context()) {
    return InvalidArgument("a window of {} tokens is beyond the context of {}", options.window,
                           model.context());
  }
  const uint32_t window = options.window == 0 ? model.context() : options.window;
  const uint32_t stride = options.stride == 0 ? window : options.stride;
  if (stride > window) {
    return InvalidArgument("a stride of {} tokens leaves out what lies between windows of {}",
                           stride, window);
  }
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0 || static_cast<uint32_t>(ids[i]) >= model.output_width()) {
      return OutOfRange("token {} (number {}) is not in the vocabulary of {}", ids[i], i,
                        model.output_width());
    }
  }
  const Model::CommitHold hold(model);
  EvalReport report;
  report.count = ids.size() - 1;
  EvalProgress progress(options, report.count);
  double nll = 0;
  size_t counted = 0;  // predictions made and counted
  for (size_t begin = 0; counted < report.count; begin += stride) {
    model.Reset();
    const size_t end = std::min<size_t>(begin + window, report.count);
    // What an earlier window predicted is context alone.
    const size_t first = std::max(begin, counted);
    LUTDB_RETURN_IF_ERROR(model.FeedAll(ids.subspan(begin, first - begin), {}));
    for (size_t piece = first; piece < end; piece += kPiece) {
      const auto fed = ids.subspan(piece, std::min(kPiece, end - piece));
      LUTDB_RETURN_IF_ERROR(model.FeedEach(fed, [&](size_t i, absl::Span<const float> logits) {
        nll += NegativeLogShare(logits, static_cast<size_t>(ids[piece + i + 1]));
        return absl::OkStatus();
      }));
      LUTDB_RETURN_IF_ERROR(progress.Tick(piece + fed.size()));
    }
    counted = end;
  }
  model.Reset();
  report.has_nll = report.has_perplexity = true;
  report.nll = nll / static_cast<double>(report.count);
  report.perplexity = std::exp(report.nll);
  report.window = window;
  report.stride = stride;
  report.seconds = progress.seconds();
  return report;
}

absl::StatusOr<EvalReport> EvalImages(Model& model, const std::string& images_path,
                                      const std::string& labels_path, const EvalOptions& options) {
  if (model.is_language_model()) {
    return InvalidArgument("this is a language model: it cannot be evaluated on images");
  }
  LUTDB_ASSIGN_OR_RETURN(const std::unique_ptr<IdxFile> images, IdxFile::Open(images_path));
  LUTDB_ASSIGN_OR_RETURN(const std::unique_ptr<IdxFile> labels, IdxFile::Open(labels_path));
  if (labels->sizes().size() != 1)
    return DataLoss("{} holds no labels: it has {} dimensions", labels_path,
                    labels->sizes().size());
  if (images->count() != labels->count()) {
    return DataLoss("{} has {} images but {} has {} labels", images_path, images->count(),
                    labels_path, labels->count());
  }
  if (images->count() == 0) return DataLoss("{} holds no images", images_path);
  if (images->item_bytes() != model.input_width()) {
    return InvalidArgument("the images of {} have {} pixels, but the network takes {} inputs",
                           images_path, images->item_bytes(), model.input_width());
  }
  const Model::CommitHold hold(model);
  EvalReport report;
  report.count = images->count();
  EvalProgress progress(options, report.count);
  const bool answers = model.is_integer_only() && model.output_width() == 1;
  std::vector<uint8_t> pixels, wanted;
  std::vector<float> output;
  uint64_t right = 0;
  for (uint64_t i = 0; i < report.count; i += kPiece) {
    const auto count = static_cast<size_t>(std::min<uint64_t>(kPiece, report.count - i));
    pixels.resize(count * model.input_width());
    output.resize(count * model.output_width());
    wanted.resize(count);
    LUTDB_RETURN_IF_ERROR(images->Read(absl::MakeSpan(pixels)));
    LUTDB_RETURN_IF_ERROR(labels->Read(absl::MakeSpan(wanted)));
    const uint8_t largest = *std::max_element(wanted.begin(), wanted.end());
    if (!answers && largest >= model.output_width()) {
      return DataLoss("{} has the label {}, but the network tells {} classes apart", labels_path,
                      largest, model.output_width());
    }
    LUTDB_RETURN_IF_ERROR(model.RunPixels(pixels, count, absl::MakeSpan(output)));
    for (size_t k = 0; k < count; ++k) {
      const auto row =
          absl::MakeConstSpan(output).subspan(k * model.output_width(), model.output_width());
      right += (answers ? static_cast<uint32_t>(row[0]) : ArgMax(row)) == wanted[k] ? 1 : 0;
    }
    LUTDB_RETURN_IF_ERROR(progress.Tick(i + count));
  }
  LUTDB_RETURN_IF_ERROR(images->ExpectEnd());
  LUTDB_RETURN_IF_ERROR(labels->ExpectEnd());
  report.has_accuracy = true;
  report.accuracy = static_cast<double>(right) / static_cast<double>(report.count);
  report.seconds = progress.seconds();
  return report;
}

absl::StatusOr<std::vector<int32_t>> ReadTokenFile(const std::string& path) {
  constexpr uint64_t kBytesMax = uint64_t{4} << 30;
  LUTDB_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path, kBytesMax));
  if (bytes.size() % sizeof(int32_t) != 0) {
    return DataLoss("{} has {} bytes, not a whole number of 32-bit tokens", path, bytes.size());
  }
  std::vector<int32_t> ids(bytes.size() / sizeof(int32_t));
  for (size_t i = 0; i < ids.size(); ++i) {
    ids[i] = LoadLittle<int32_t>(bytes.data() + i * sizeof(int32_t));
  }
  return ids;
}

}  // namespace lutdb
