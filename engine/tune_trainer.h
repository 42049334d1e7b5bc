// Mini-batches over a trainable network: codes of the data set, gradients row by row on all
// threads, updates chunk by chunk on all threads. Every number has one thread that computes it, in
// one order, so that a run gives the same entries for any number of threads.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/thread_team.h"
#include "engine/tune_network.h"
#include "engine/tune_update.h"

namespace lutdb {

// Rows to learn from; the arrays belong to the caller and outlive the trainer.
struct TuneRows {
  size_t rows = 0;
  uint32_t width = 0;
  const float* inputs = nullptr;     // rows x width
  const uint32_t* labels = nullptr;  // classes: cross-entropy; null: squared error
  const float* targets = nullptr;    // rows x output width
  double loss_unit = 1;  // losses are divided by it: the targets' variance for squared errors
};

struct TuneFigures {
  size_t rows = 0;
  double loss = 0;      // cross-entropy (natural log) or mean squared error, per row
  double accuracy = 0;  // classes only
};

class TuneTrainer {
 public:
  // Both outlive it.
  TuneTrainer(TuneNetwork& network, ThreadTeam& team);

  // Codes every row for the ops that read the network's input. ResourceExhausted when they need
  // more memory than half of what is usable.
  absl::Status Prepare(const TuneRows& data);

  // One step on a batch of row numbers; returns the batch's mean loss before it.
  absl::StatusOr<double> Step(absl::Span<const uint32_t> batch, const TuneUpdateOptions& options);

  // Over the rows named, with the tables' stored entries where they have any.
  absl::StatusOr<TuneFigures> Measure(absl::Span<const uint32_t> rows);

  // Forward for each row in turn, on the calling thread.
  template <typename Look>
  void ForEachRow(absl::Span<const uint32_t> rows, const Look& look) {
    for (const uint32_t row : rows) {
      ForwardRow(*passes_[0], given_[0], row);
      look(static_cast<const TunePass&>(*passes_[0]));
    }
  }

  // About what the best constant answer loses.
  double constant_loss() const;

  std::vector<TuneMoments>& moments() { return moments_; }
  // Sums of gradients of the last step per op, for tests.
  const std::vector<float>& gradients(uint32_t op) const { return gradients_[op]; }

 private:
  // Loss of the row in `pass` and, where `gradient` is not null, its gradient by the output.
  double Loss(const TunePass& pass, uint32_t row, float* gradient, bool* right) const;
  void ForwardRow(TunePass& pass, std::vector<TunePass::Given>& given, uint32_t row) const;

  TuneNetwork& network_;
  ThreadTeam& team_;
  TuneRows data_;
  std::vector<TuneMoments> moments_;                 // per table
  std::vector<std::unique_ptr<TunePass>> passes_;    // per thread
  std::vector<TuneScratch> scratch_;                 // per thread
  std::vector<std::vector<TunePass::Given>> given_;  // per thread, per op
  // Per op that reads the input: codes (rows x chunks) and scales (rows) of the data set.
  std::vector<std::vector<uint16_t>> input_codes_;
  std::vector<std::vector<float>> input_scales_;
  // Of the last batch, per op: codes (batch x chunks), gradients by sums (batch x neurons).
  std::vector<std::vector<uint16_t>> codes_;
  std::vector<std::vector<float>> gradients_;
  std::vector<double> losses_;  // per row of the batch
  std::vector<uint8_t> right_;
};

}  // namespace lutdb
