// Everything a run of training is, between two epochs: what a checkpoint holds.
//
// Resuming from it gives bit for bit what the run would have given uninterrupted. Written
// atomically, so that a killed run leaves the last whole one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/tune_checkpoint.h"
#include "engine/tune_network.h"
#include "engine/tune_update.h"

namespace lutdb {

// Entries of all tables, in order; empty for tables that are not trained.
using TuneEntries = std::vector<std::vector<float>>;
TuneEntries CopyEntries(const TuneNetwork& network);
void PutEntries(const TuneEntries& entries, TuneNetwork* network);
void PutEntries(TuneEntries&& entries, TuneNetwork* network);

inline constexpr char kStateMagic[] = "lutdb-tune-1\n";

struct TuneState {
  uint32_t trial = 0;  // of a search; the one that is running
  uint32_t epoch = 0;  // finished ones of this trial
  uint64_t steps = 0;  // of this trial
  uint64_t steps_all = 0;
  double best_loss = 0;  // validation, of this trial; valid once epoch > 0
  uint32_t best_epoch = 0;
  double first_loss = 0;  // training, of the first epoch of this trial
  TuneEntries best;       // at best_epoch
  // Of the trials before.
  bool has_winner = false;
  uint32_t winner = 0;
  double winner_loss = 0;
  uint32_t winner_epochs = 0;
  uint64_t winner_steps = 0;
  std::string stopped;
  TuneEntries winner_entries;
};

// The body of a checkpoint: the state, the network's entries and their moments as they are now.
void WriteState(const TuneState& state, const TuneNetwork& network,
                const std::vector<TuneMoments>& moments, CheckpointWriter& writer);
// Reads what WriteState wrote into all three. DataLoss when it does not fit the network, whose
// entries are then as before; the moments are undefined.
absl::StatusOr<TuneState> ReadState(std::string_view body, TuneNetwork* network,
                                    std::vector<TuneMoments>* moments);

}  // namespace lutdb
