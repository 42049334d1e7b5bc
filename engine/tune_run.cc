#include "engine/tune_run.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numbers>

#include "base/file.h"
#include "base/status.h"
#include "engine/tune_start.h"

namespace lutdb {
namespace {

constexpr double kDivergedFactor = 10;  // of the loss it began with, or that of a constant answer
constexpr double kLastRate = 0.01;      // of the learning rate, at the end of the cosine

using Clock = std::chrono::steady_clock;

class Run {
 public:
  Run(TuneTrainer& trainer, TuneNetwork* network, absl::Span<const uint32_t> train,
      absl::Span<const uint32_t> valid, const TuneOptions& options, std::string checkpoint,
      uint64_t fingerprint)
      : trainer_(trainer),
        network_(*network),
        train_(train),
        valid_(valid),
        options_(options),
        checkpoint_(std::move(checkpoint)),
        fingerprint_(fingerprint),
        start_(options.search > 1 ? CopyEntries(*network) : TuneEntries()) {}

  absl::StatusOr<TuneRunResult> Go();

 private:
  void Resume();
  absl::Status Save(bool now);
  void BeginTrial();
  void EndTrial();
  absl::Status Trial();
  absl::StatusOr<double> Epoch(const TuneOptions& options);
  absl::Status Judge(double train_loss);
  bool OutOfBudget();
  absl::Status Interrupted() const;
  double seconds() const { return std::chrono::duration<double>(Clock::now() - begin_).count(); }

  TuneTrainer& trainer_;
  TuneNetwork& network_;
  absl::Span<const uint32_t> train_, valid_;
  const TuneOptions& options_;
  const std::string checkpoint_;
  const uint64_t fingerprint_;
  const TuneEntries start_;  // of every trial; empty when there is one, which begins there
  TuneState state_;
  bool resumed_ = false;
  bool diverged_ = false;
  Clock::time_point begin_ = Clock::now(), saved_ = Clock::now();
};

void Run::Resume() {
  if (checkpoint_.empty()) return;
  const auto checkpoint = Checkpoint::Open(checkpoint_, kStateMagic, fingerprint_);
  if (!checkpoint.has_value()) return;
  absl::StatusOr<TuneState> state = ReadState(checkpoint->body(), &network_, &trainer_.moments());
  if (!state.ok()) {
    // Nothing is lost but time: the run begins again.
    BeginTrial();
    return;
  }
  state_ = *std::move(state);
  resumed_ = true;
}

absl::Status Run::Save(bool now) {
  if (checkpoint_.empty()) return absl::OkStatus();
  const double passed = std::chrono::duration<double>(Clock::now() - saved_).count();
  if (!now && passed < options_.checkpoint_seconds) return absl::OkStatus();
  LUTDB_RETURN_IF_ERROR(WriteCheckpoint(
      checkpoint_, kStateMagic, fingerprint_,
      [&](CheckpointWriter& writer) { WriteState(state_, network_, trainer_.moments(), writer); }));
  saved_ = Clock::now();
  return absl::OkStatus();
}

void Run::BeginTrial() {
  PutEntries(start_, &network_);
  for (size_t t = 0; t < network_.tables.size(); ++t) {
    if (network_.tables[t].trained) trainer_.moments()[t].Reset(network_.tables[t]);
  }
  state_.epoch = 0;
  state_.steps = 0;
  state_.best_epoch = 0;
  state_.best.clear();
}

void Run::EndTrial() {
  if (!state_.best.empty() && (!state_.has_winner || state_.best_loss < state_.winner_loss)) {
    state_.has_winner = true;
    state_.winner = state_.trial;
    state_.winner_loss = state_.best_loss;
    state_.winner_epochs = state_.epoch;
    state_.winner_steps = state_.steps;
    state_.winner_entries = std::move(state_.best);
  }
  ++state_.trial;
  BeginTrial();
}

absl::Status Run::Interrupted() const {
  if (!checkpoint_.empty() && PathExists(checkpoint_)) {
    return absl::CancelledError("interrupted; the same command goes on from its last checkpoint");
  }
  return absl::CancelledError(
      "interrupted before the first checkpoint (--checkpoint-seconds); the same command begins "
      "again");
}

bool Run::OutOfBudget() {
  if (options_.steps_max > 0 && state_.steps_all >= options_.steps_max) state_.stopped = "steps";
  if (options_.seconds_max > 0 && seconds() >= options_.seconds_max) state_.stopped = "time";
  return state_.stopped == "steps" || state_.stopped == "time";
}

// Rows left over when the last batch is not whole wait for the next epoch's order.
absl::StatusOr<double> Run::Epoch(const TuneOptions& options) {
  const std::vector<uint32_t> order =
      ShuffledRows(static_cast<uint32_t>(train_.size()), options.seed * 1000003 + state_.epoch);
  const size_t batches = train_.size() / options.batch;
  const double steps_planned = static_cast<double>(batches) * options.epochs;
  std::vector<uint32_t> batch(options.batch);
  TuneUpdateOptions update;
  update.penalties = {.smooth = options.regularity.smooth,
                      .curve = options.regularity.curve,
                      .near = options.regularity.near};
  update.training_rows = static_cast<double>(train_.size());
  double loss = 0;
  size_t done = 0;
  for (; done < batches; ++done) {
    if (options_.cancel != nullptr && options_.cancel->load(std::memory_order_relaxed)) {
      return Interrupted();
    }
    if (done > 0 && OutOfBudget()) break;
    for (size_t i = 0; i < batch.size(); ++i) batch[i] = train_[order[done * batch.size() + i]];
    const double along = static_cast<double>(state_.steps) / steps_planned;
    const double cosine = 0.5 * (1 + std::cos(std::numbers::pi * along));
    update.learning_rate =
        static_cast<float>(options.learning_rate * (kLastRate + (1 - kLastRate) * cosine));
    LUTDB_ASSIGN_OR_RETURN(const double of_batch, trainer_.Step(batch, update));
    if (state_.steps == 0) state_.first_loss = of_batch;
    loss += of_batch;
    ++state_.steps;
    ++state_.steps_all;
    if (!std::isfinite(of_batch)) break;
  }
  ++state_.epoch;
  return loss / static_cast<double>(std::max<size_t>(1, done));
}

absl::Status Run::Judge(double train_loss) {
  LUTDB_ASSIGN_OR_RETURN(const TuneFigures valid, MeasureStored(trainer_, &network_, valid_));
  if (!std::isfinite(train_loss) || !std::isfinite(valid.loss) ||
      train_loss > kDivergedFactor * std::max(state_.first_loss, trainer_.constant_loss())) {
    diverged_ = true;
    return absl::OkStatus();
  }
  if (state_.best.empty() || valid.loss < state_.best_loss) {
    state_.best_loss = valid.loss;
    state_.best_epoch = state_.epoch;
    state_.best.clear();  // its memory goes to the copy
    state_.best = CopyEntries(network_);
  }
  if (options_.progress) {
    TuneProgress progress;
    progress.stage = options_.search > 0 ? "search" : "train";
    progress.done = state_.epoch;
    progress.total = options_.epochs;
    progress.trial = state_.trial + 1;
    progress.trials = std::max(1u, options_.search);
    progress.has_figures = true;
    progress.train_loss = train_loss;
    progress.valid_loss = valid.loss;
    progress.valid_accuracy = valid.accuracy;
    options_.progress(progress);
  }
  return absl::OkStatus();
}

absl::Status Run::Trial() {
  const TuneOptions options = TrialOptions(options_, state_.trial);
  diverged_ = false;
  state_.stopped = "epochs";
  while (state_.epoch < options.epochs) {
    LUTDB_ASSIGN_OR_RETURN(const double loss, Epoch(options));
    LUTDB_RETURN_IF_ERROR(Judge(loss));
    if (diverged_) {
      state_.stopped = "diverged";
      state_.best.clear();
      break;
    }
    if (OutOfBudget()) break;
    if (state_.epoch - state_.best_epoch >= options.patience) {
      state_.stopped = "patience";
      break;
    }
    LUTDB_RETURN_IF_ERROR(Save(false));
  }
  return absl::OkStatus();
}

absl::StatusOr<TuneRunResult> Run::Go() {
  BeginTrial();
  Resume();
  const uint32_t trials = std::max(1u, options_.search);
  std::string stopped;
  while (state_.trial < trials) {
    const absl::Status status = Trial();
    if (absl::IsCancelled(status)) return status;
    LUTDB_RETURN_IF_ERROR(status);
    const bool spent = OutOfBudget();
    stopped = state_.stopped;
    EndTrial();
    LUTDB_RETURN_IF_ERROR(Save(trials > 1));
    if (spent) break;
  }
  if (!state_.has_winner) {
    return FailedPrecondition(
        "training diverged at a learning rate of {}: nothing is committed; use a smaller one",
        options_.learning_rate);
  }
  const TuneOptions winner = TrialOptions(options_, state_.winner);
  return TuneRunResult{.entries = std::move(state_.winner_entries),
                       .regularity = winner.regularity,
                       .learning_rate = winner.learning_rate,
                       .epochs = state_.winner_epochs,
                       .steps = state_.winner_steps,
                       .resumed = resumed_,
                       .stopped = stopped};
}

}  // namespace

TuneOptions TrialOptions(const TuneOptions& options, uint32_t trial) {
  TuneOptions chosen = options;
  if (trial == 0) return chosen;
  // Wide enough for tables of a few codes and of thousands; the given settings come first.
  constexpr float kSmooth[] = {0, 0.3f, 1, 3};
  constexpr float kCurve[] = {0, 3, 10, 30, 100};
  constexpr float kNear[] = {0, 0, 0.03f, 0.1f, 0.3f};
  constexpr double kRate[] = {0.005, 0.01, 0.02, 0.04};
  const auto pick = [&](const auto& list, uint64_t which) {
    const auto count = static_cast<double>(std::size(list));
    return list[static_cast<size_t>(TuneUniform(options.seed, trial * 8 + which) * count)];
  };
  chosen.regularity = {
      .smooth = pick(kSmooth, 0), .curve = pick(kCurve, 1), .near = pick(kNear, 2)};
  chosen.learning_rate = pick(kRate, 3);
  return chosen;
}

absl::StatusOr<TuneFigures> MeasureStored(TuneTrainer& trainer, TuneNetwork* network,
                                          absl::Span<const uint32_t> rows) {
  for (TuneTable& table : network->tables) table.Round();
  absl::StatusOr<TuneFigures> figures = trainer.Measure(rows);
  for (TuneTable& table : network->tables) table.stored.clear();
  return figures;
}

absl::StatusOr<TuneRunResult> RunTraining(TuneTrainer& trainer, TuneNetwork* network,
                                          absl::Span<const uint32_t> train,
                                          absl::Span<const uint32_t> valid,
                                          const TuneOptions& options, const std::string& checkpoint,
                                          uint64_t fingerprint) {
  return Run(trainer, network, train, valid, options, checkpoint, fingerprint).Go();
}

}  // namespace lutdb
