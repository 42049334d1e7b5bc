// Train the entries of a store ("ultra-fine-tuning") and commit the result to a branch.
//
//   lutdb::TuneOptions options;
//   options.message = "more digits";
//   auto report = lutdb::TuneRowsOf("digits.lut", data, split, options);
//
// Entries are trained, never weights: each is one number for one connection (or chunk) and one
// value of its inputs, so a layer can learn functions that weights cannot express, at the same
// number of look-ups. What is measured last, and decides, is the network of integers that would be
// stored, on rows that were not trained on; nothing is committed unless it is better.
//
// Goals: the same result for a seed whatever the number of threads and however often the run was
// killed and started again. Non-goals: training weights, steps, biases or levels.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "lutdb/dataset.h"

namespace lutdb {

// Weights of the regularisers, in training rows: a penalty of 3 pulls like three rows that say
// "as the neighbour". All work on the corrections (entry less entry before), in units of the
// table's typical output.
struct TuneRegularity {
  float smooth = 0;  // neighbouring codes differ by little, in each direction of a chunk's grid
  float curve = 0;   // neighbouring differences differ by little
  float near = 0;    // corrections are small
};

// Figures of one set of rows, or of one stream of tokens.
struct TuneMeasure {
  uint64_t count = 0;
  double loss = 0;      // mean cross-entropy (natural log), or mean squared error
  double accuracy = 0;  // classes; fraction
};

struct TuneProgress {
  const char* stage = "";        // "search", "train", "fit", "measure"
  uint64_t done = 0, total = 0;  // epochs, or tables
  uint64_t trial = 0, trials = 0;
  std::string table;         // being fitted
  bool has_figures = false;  // of the epoch that just ended
  double train_loss = 0, valid_loss = 0, valid_accuracy = 0;
  bool classes = false;
};

struct TuneOptions {
  // Behaviour.
  std::string branch = "main";
  std::string author, message;            // empty message: one that says what was done
  std::vector<std::string> only, freeze;  // names of tables; empty only: all
  uint64_t seed = 1;
  double learning_rate = 0.02;  // in units of each table's typical output
  uint32_t batch = 128;
  uint32_t epochs = 60;
  uint32_t patience = 15;  // epochs without a better validation figure; then it stops
  TuneRegularity regularity;
  uint32_t search = 0;     // try this many settings and keep the best on validation rows
  uint64_t steps_max = 0;  // budgets; 0: none
  double seconds_max = 0;
  uint64_t entries_max = 0;  // entries a commit may change: those that matter most
  // Round corrections, or whole entries where these then take less room and entries_max does not
  // forbid it, to as few bits as may cost this share of the validation loss, for the sake of disk;
  // 0: as few as the entries' own.
  double coarse = 0;
  bool commit = true;        // false: train and report only
  double wait_seconds = 30;  // for another writer, when it comes to the commit
  // Performance.
  unsigned threads = 0;  // 0: all cores
  double checkpoint_seconds = 10;
  std::function<void(const TuneProgress&)> progress;
  const std::atomic<bool>* cancel = nullptr;
};

struct TuneReport {
  std::string objective = "task";
  uint64_t seed = 1;
  bool improved = false;
  bool classes = false;
  TuneMeasure train_before, train_after, valid_before, valid_after;
  double learning_rate = 0;  // as used, or as found by the search
  TuneRegularity regularity;
  uint64_t epochs = 0, steps = 0;  // of the run that won
  bool resumed = false;            // from a checkpoint
  std::string stopped;             // "epochs", "patience", "steps", "time"
  double seconds = 0;
  uint64_t entries = 0;  // of the tables that were trained
  uint64_t entries_changed = 0;
  std::vector<std::string> tables;
  std::vector<uint32_t> coarse_bits;  // per table, with `coarse`: low bits left out,
  std::vector<bool> coarse_whole;     // of whole entries or else of corrections
  std::string commit;                 // its id; empty: nothing was committed
};

// Objective `task`, for feed-forward networks: cross-entropy where the data has classes, squared
// error otherwise. Trains on split.train, decides on split.valid. InvalidArgument for data that
// does not fit the network, fewer rows than a batch or options that make no sense;
// FailedPrecondition for a network that cannot be trained so, constant inputs or a run that
// diverges; Aborted when the branch moved meanwhile (nothing is committed, no checkpoint is kept);
// Cancelled when interrupted, ResourceExhausted when training and committing the entries would take
// more than half of the usable memory.
absl::StatusOr<TuneReport> TuneRowsOf(const std::string& store, const Dataset& data,
                                      const RowSplit& split, const TuneOptions& options);

struct ReconstructOptions {
  uint32_t window = 0;  // tokens per window; 0: the model's context
  // The last windows decide: nothing is committed unless their perplexity falls.
  double valid_fraction = 0.1;
  // Fit weights (entries that stay products of a weight and a level) instead of entries: the
  // comparison that says what tables are worth.
  bool weights_only = false;
};

// Objective `reconstruct`, for language models: table by table, in the order they run, entries are
// fitted so that the coded layer gives what the f32 layer of the kept weights gives on the tokens,
// from the codes that the network tuned so far makes. Per neuron this is least squares, sparse in
// the codes, drawn to the entries before by regularity.near (searched on held-out tokens when
// search > 0). Measures are nll per token. Errors as above; FailedPrecondition also for a store
// without kept weights.
absl::StatusOr<TuneReport> ReconstructTokens(const std::string& store,
                                             absl::Span<const int32_t> ids,
                                             const ReconstructOptions& reconstruct,
                                             const TuneOptions& options);

}  // namespace lutdb
