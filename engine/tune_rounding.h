// Rounding of trained entries to multiples of a power of two: to the nearest, or in such a way that
// the errors of the entries a row looks up cancel instead of adding up. Then each entry makes up
// for what the ones rounded before it left, on average over the rows that have its code. The idea
// of optimal brain quantisation and its successors (Frantar and Alistarh, 2022), without second
// derivatives.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "engine/tune_trainer.h"

namespace lutdb {

// What is a multiple of 2^shift: every correction (entry less entry before, as stored integers), or
// the whole entry, so that the record needs no slopes beneath.
struct CoarseUnit {
  uint32_t shift = 0;
  bool whole = false;
  bool cancel = false;  // errors make up for each other: coarser units, less regular entries
};

// Not thread-safe.
class TuneRounding {
 public:
  // Keeps the codes that up to 8,192 of `rows` have now, and the entries as they are trained.
  TuneRounding(TuneTrainer& trainer, TuneNetwork* network, absl::Span<const uint32_t> rows);

  // Overwrites the entries of a trained table by the rounded ones, within its limit. Corrections
  // that are zero stay so.
  void Round(size_t table, CoarseUnit unit);

 private:
  void RoundNeurons(TuneTable* table, const std::vector<uint16_t>& codes,
                    const std::vector<float>& trained, CoarseUnit unit, uint32_t begin,
                    uint32_t end);

  TuneNetwork& network_;
  size_t rows_ = 0;
  std::vector<std::vector<uint16_t>> codes_;  // per table: chunks x rows; empty: not trained
  std::vector<std::vector<float>> trained_;   // per table
  std::vector<float> left_;                   // rows x neurons: errors so far, to be cancelled
  std::vector<float> sums_;                   // codes x neurons of a chunk
  std::vector<uint32_t> counts_;              // per code
};

// The stored integer that an entry was before training.
int32_t EntryBefore(const TuneTable& table, size_t row, uint32_t neuron);

}  // namespace lutdb
