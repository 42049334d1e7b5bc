// How good a store's model is: perplexity over tokens, accuracy over labelled images.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "lutdb/model.h"

namespace lutdb {

struct EvalReport {
  uint64_t count = 0;     // predictions made
  bool has_nll = false;   // language models
  double nll = 0;         // mean natural log per token
  double perplexity = 0;  // exp(nll)
  bool has_accuracy = false;
  double accuracy = 0;  // fraction
  double seconds = 0;
};

struct EvalOptions {
  uint32_t window = 0;  // tokens per window; 0: the model's context
  ProgressFn progress;
  const std::atomic<bool>* cancel = nullptr;
};

// Feeds window i the ids i*W .. i*W+W-1 and predicts the next id of each; the cache is emptied
// between windows, no BOS is inserted, the last window may be short; count = ids - 1.
// InvalidArgument for fewer than two ids or a window beyond the context, OutOfRange for an id that
// is not in the vocabulary.
absl::StatusOr<EvalReport> EvalTokens(Model& model, absl::Span<const int32_t> ids,
                                      const EvalOptions& options);

// Labelled images in idx files (MNIST's format), plain or gzipped; pixels are fed as pixel / 255.
// DataLoss when a file is not what it claims or the two do not match.
absl::StatusOr<EvalReport> EvalImages(Model& model, const std::string& images_path,
                                      const std::string& labels_path, const EvalOptions& options);

// Raw little-endian int32 ids, as written by `int32.tofile`.
absl::StatusOr<std::vector<int32_t>> ReadTokenFile(const std::string& path);

}  // namespace lutdb
