// How good a store's model is: perplexity over tokens, accuracy over classes, error of real values.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "lutdb/dataset.h"
#include "lutdb/model.h"

namespace lutdb {

struct EvalReport {
  uint64_t count = 0;    // predictions made
  bool has_nll = false;  // language models, and classes told apart by logits
  double nll = 0;        // mean natural log per token or row
  bool has_perplexity = false;
  double perplexity = 0;  // exp(nll)
  uint32_t window = 0;    // as used; language models only
  uint32_t stride = 0;
  bool has_accuracy = false;
  double accuracy = 0;  // fraction
  bool has_mse = false;
  double mse = 0;  // mean squared error over rows and values, in the square of the target's unit
  bool has_r2 = false;  // unless the targets are all alike
  double r2 = 0;        // share of the targets' variance that is explained
  double seconds = 0;
};

struct EvalOptions {
  uint32_t window = 0;  // tokens per window; 0: the model's context
  uint32_t stride = 0;  // tokens from one window to the next; 0: the window
  ProgressFn progress;
  const std::atomic<bool>* cancel = nullptr;
};

// Feeds window i the ids i*S .. i*S+W-1 (S: the stride, W: the window) and predicts the next id of
// each; what an earlier window predicted is not counted again, so that with S below W every
// prediction but the first W sees at least W - S ids before it (the sliding window). The cache is
// emptied between windows, no BOS is inserted, the last window may be short; count = ids - 1.
// InvalidArgument for fewer than two ids, a window beyond the context or a stride beyond the
// window, OutOfRange for an id that is not in the vocabulary.
absl::StatusOr<EvalReport> EvalTokens(Model& model, absl::Span<const int32_t> ids,
                                      const EvalOptions& options);

// The usual protocol for text, whose tokens it encodes: without a stride, half a window, so that
// every token is predicted with half a window before it. Errors of EvalTokens and Model::Encode;
// InvalidArgument for an empty text.
absl::StatusOr<EvalReport> EvalText(Model& model, const std::string& text,
                                    const EvalOptions& options);

// Labelled images in idx files (MNIST's format), plain or gzipped; pixels are fed as pixel / 255.
// NotFound when a file is missing, DataLoss when one is not what it claims or the two do not match,
// InvalidArgument when the model is a language model or has other inputs.
absl::StatusOr<EvalReport> EvalImages(Model& model, const std::string& images_path,
                                      const std::string& labels_path, const EvalOptions& options);

// Rows of a data set, by index: accuracy and nll of classes (nll from the softmax of the outputs,
// unless the graph ends in one; none for integer-only networks), mse and r2 of real values.
// InvalidArgument when the data set does not fit the network or no row is given, OutOfRange for a
// row that is not there.
absl::StatusOr<EvalReport> EvalRows(Model& model, const Dataset& data,
                                    absl::Span<const uint32_t> rows, const EvalOptions& options);
// All rows.
absl::StatusOr<EvalReport> EvalDataset(Model& model, const Dataset& data,
                                       const EvalOptions& options);

// Raw little-endian int32 ids, as written by `int32.tofile`. NotFound when there is no such file,
// DataLoss when its size is not a multiple of 4.
absl::StatusOr<std::vector<int32_t>> ReadTokenFile(const std::string& path);

}  // namespace lutdb
