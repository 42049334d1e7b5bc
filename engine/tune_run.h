// Epochs of training with early stopping, and a search over settings: from a network at its start
// to the entries that were best on the validation rows. Knows no store; checkpoints go to a file.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/tune_state.h"
#include "engine/tune_trainer.h"
#include "lutdb/tune.h"

namespace lutdb {

struct TuneRunResult {
  TuneEntries entries;  // best on the validation rows
  TuneRegularity regularity;
  double learning_rate = 0;
  uint64_t epochs = 0, steps = 0;
  bool resumed = false;
  std::string stopped;
};

// The settings of one trial of a search: those of `options` first, then drawn by the seed.
TuneOptions TrialOptions(const TuneOptions& options, uint32_t trial);

// Trains `network` on rows `train`. The learning rate falls along a cosine over the epochs. The
// trainer is prepared; the network is as it shall begin. checkpoint: a file, or empty for none; one
// of another run (fingerprint) is replaced. FailedPrecondition when training diverges, Cancelled
// when options.cancel is set (the checkpoint is kept).
absl::StatusOr<TuneRunResult> RunTraining(TuneTrainer& trainer, TuneNetwork* network,
                                          absl::Span<const uint32_t> train,
                                          absl::Span<const uint32_t> valid,
                                          const TuneOptions& options, const std::string& checkpoint,
                                          uint64_t fingerprint);

// Figures of the integers that would be stored.
absl::StatusOr<TuneFigures> MeasureStored(TuneTrainer& trainer, TuneNetwork* network,
                                          absl::Span<const uint32_t> rows);

}  // namespace lutdb
