#include "engine/tune_walk.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/file.h"
#include "base/status.h"
#include "engine/kernels/kernels.h"
#include "engine/scores.h"
#include "engine/tune_bind.h"
#include "engine/tune_commit.h"

namespace lutdb {
namespace {

constexpr uint64_t kBlockBytes = uint64_t{256} << 20;  // of one array of a block of neurons

// One value of one network, for all rows.
using Rows = std::vector<float>;

class Walk {
 public:
  Walk(const StoreReader& store, const Store& entries, absl::Span<const int32_t> ids,
       const WalkOptions& options, std::vector<WalkTable> known,
       const std::function<absl::Status(const std::vector<WalkTable>&)>& done)
      : store_(store),
        entries_(entries),
        ids_(ids),
        options_(options),
        done_(done),
        team_(options.threads) {
    result_.tables = std::move(known);
    known_ = result_.tables.size();
  }

  absl::StatusOr<WalkResult> Go();

 private:
  struct Network {
    std::vector<Rows> values;
  };

  absl::Status Prepare();
  absl::Status RunOp(uint32_t op, Network& network);
  absl::Status TableOp(uint32_t op);
  absl::Status FitBlock(const Op& op, uint32_t begin, uint32_t end, const Rows& targets,
                        WalkTable* found);
  absl::Status Choose(TuneFit& fit, const Rows& residual, uint32_t neurons,
                      std::vector<float>* corrections);
  absl::StatusOr<double> Unexplained(const std::vector<float>& corrections, const Rows& residual,
                                     uint32_t neurons);
  void Place(const Op& op, uint32_t begin, uint32_t end);
  void Free(uint32_t op);
  void Score();
  uint32_t PositionOf(size_t row) const { return static_cast<uint32_t>(row % options_.window); }
  size_t rows() const { return ids_.size(); }
  const Graph& graph() const { return forward_->plan().graph; }
  FitRows RowsFrom(size_t begin, size_t end) const {
    return {.rows = end - begin,
            .codes = codes_.data() + begin * table_.chunks(),
            .scales = scales_.data() + begin};
  }

  const StoreReader& store_;
  const Store& entries_;
  const absl::Span<const int32_t> ids_;
  const WalkOptions& options_;
  const std::function<absl::Status(const std::vector<WalkTable>&)>& done_;
  ThreadTeam team_;
  std::unique_ptr<Forward> forward_;  // f32
  Network f32_, coded_;
  std::vector<uint32_t> last_use_;  // per value: the last op that reads it
  WalkResult result_;
  size_t known_ = 0;  // tables of the result that were fitted before
  size_t tables_seen_ = 0;

  // Of the table in hand.
  TuneTable table_;                   // of the block of neurons in hand
  std::vector<uint16_t> codes_;       // rows x chunks
  std::vector<float> scales_, bias_;  // rows; neurons
  double lost_before_ = 0, lost_after_ = 0, spread_ = 0, near_ = 0;
};

absl::Status Walk::Prepare() {
  LUTDB_ASSIGN_OR_RETURN(
      forward_, Forward::Create(store_, nullptr, {.threads = options_.threads, .reference = true}));
  if (!graph().is_language_model()) {
    return InvalidArgument("this is not a language model: tune it with --objective task");
  }
  last_use_.assign(graph().values.size(), 0);
  uint64_t width = 0;
  std::vector<bool> used(store_.manifest().tables.size(), false);
  for (uint32_t i = 0; i < graph().ops.size(); ++i) {
    const Op& op = graph().ops[i];
    for (const uint32_t input : op.inputs) last_use_[input] = i;
    width = std::max<uint64_t>(width, graph().values[op.output].width);
    if (op.kind != OpKind::kTable) continue;
    if (used[op.table]) {
      return Unimplemented("table '{}' is used twice: it cannot be fitted layer by layer",
                           store_.spec(op.table).name);
    }
    used[op.table] = true;
  }
  last_use_[graph().output] = static_cast<uint32_t>(graph().ops.size());
  // About eight of the widest value are alive at a time, in two networks.
  const uint64_t bytes = rows() * width * sizeof(float) * 16;
  if (bytes > UsableMemoryBytes() / 2) {
    return ResourceExhausted("the values of {} tokens need about {} MiB of memory: give fewer",
                             rows(), bytes >> 20);
  }
  f32_.values.resize(graph().values.size());
  coded_.values.resize(graph().values.size());
  return absl::OkStatus();
}

// Every op but the coded network's tables.
absl::Status Walk::RunOp(uint32_t index, Network& network) {
  const Op& op = graph().ops[index];
  const Step& step = forward_->plan().steps[index];
  const size_t width = step.output->width;
  Rows& out = network.values[op.output];
  out.resize(rows() * width);
  for (size_t row = 0; row < rows(); ++row) {
    for (size_t k = 0; k < op.inputs.size(); ++k) {
      if (step.inputs[k]->type == ValueType::kToken) {
        step.inputs[k]->index = static_cast<uint32_t>(ids_[row]);
        continue;
      }
      const size_t in_width = step.inputs[k]->width;
      std::copy_n(network.values[op.inputs[k]].data() + row * in_width, in_width,
                  step.inputs[k]->numbers.get());
    }
    LUTDB_RETURN_IF_ERROR(forward_->RunOne(index, PositionOf(row)));
    std::copy_n(step.output->numbers.get(), width, out.data() + row * width);
  }
  return absl::OkStatus();
}

absl::Status Walk::TableOp(uint32_t index) {
  const Op& op = graph().ops[index];
  // First the targets: the f32 layer, on its own network's inputs or on the coded one's.
  LUTDB_RETURN_IF_ERROR(RunOp(index, f32_));
  Rows targets = f32_.values[op.output];
  if (options_.own_targets) {
    LUTDB_RETURN_IF_ERROR(RunOp(index, coded_));
    targets = std::move(coded_.values[op.output]);
  }
  LUTDB_ASSIGN_OR_RETURN(table_, BindTable(store_, op.table));
  const uint32_t neurons = table_.neurons;
  codes_.resize(rows() * table_.chunks());
  scales_.resize(rows());
  const Rows& x = coded_.values[op.inputs[0]];
  LUTDB_RETURN_IF_ERROR(
      team_.Split(rows(), 1, rows() * table_.inputs * 16, [&](unsigned, size_t begin, size_t end) {
        const TuneCoder coder = table_.coders();
        for (size_t row = begin; row < end; ++row) {
          scales_[row] =
              coder(x.data() + row * table_.inputs, nullptr, codes_.data() + row * table_.chunks());
        }
      }));
  bias_.assign(neurons, 0.0f);
  if (const uint32_t tensor = store_.spec(op.table).bias_tensor; tensor != kNone) {
    LUTDB_RETURN_IF_ERROR(store_.ReadTensorRows(tensor, 0, 1, bias_.data()));
  }
  coded_.values[op.output].assign(rows() * neurons, 0.0f);
  const bool known = tables_seen_ < known_;
  if (!known) result_.tables.push_back({.table = op.table, .edits = {}});
  WalkTable& found = result_.tables[tables_seen_++];
  if (found.table != op.table) return DataLoss("the checkpoint is of another model");
  lost_before_ = lost_after_ = spread_ = 0;
  const uint64_t block = std::max<uint64_t>(
      kBlockNeurons, kBlockBytes / sizeof(float) / std::max<uint64_t>(table_.rows(), rows()) /
                         kBlockNeurons * kBlockNeurons);
  for (uint64_t begin = 0; begin < neurons; begin += block) {
    const auto end = static_cast<uint32_t>(std::min<uint64_t>(neurons, begin + block));
    LUTDB_RETURN_IF_ERROR(FitBlock(op, static_cast<uint32_t>(begin), end, targets, &found));
  }
  if (known || !options_.fit) return absl::OkStatus();
  if (options_.fitted && spread_ > 0) {
    options_.fitted(op.table, lost_before_ / spread_, lost_after_ / spread_, near_);
  }
  return done_(result_.tables);
}

absl::Status Walk::FitBlock(const Op& op, uint32_t begin, uint32_t end, const Rows& targets,
                            WalkTable* found) {
  const uint32_t neurons = end - begin;
  const uint32_t all = store_.spec(op.table).neurons;
  const std::vector<float> unit = table_.unit;
  LUTDB_RETURN_IF_ERROR(ReadEntries(entries_, store_, op.table, begin, end, &table_));
  table_.neurons = neurons;
  table_.unit.assign(unit.begin() + begin, unit.begin() + end);
  const bool fit = options_.fit && tables_seen_ > known_ &&
                   (options_.trained == nullptr || (*options_.trained)[op.table]);
  if (fit) {
    Rows residual;
    LUTDB_RETURN_IF_ERROR(
        TuneFit::Apply(table_, RowsFrom(0, rows()), table_.entries, neurons, team_, &residual));
    for (size_t row = 0; row < rows(); ++row) {
      for (uint32_t n = 0; n < neurons; ++n) {
        float& r = residual[row * neurons + n];
        r = targets[row * all + begin + n] - bias_[begin + n] - r;
      }
    }
    TuneFit solver(table_, RowsFrom(0, options_.train_rows), team_);
    std::vector<float> corrections;
    LUTDB_RETURN_IF_ERROR(Choose(solver, residual, neurons, &corrections));
    for (size_t i = 0; i < corrections.size(); ++i) table_.entries[i] += corrections[i];
    for (size_t row = options_.train_rows; row < rows(); ++row) {
      for (uint32_t n = 0; n < neurons; ++n) {
        spread_ += std::pow(double{targets[row * all + begin + n]}, 2);
      }
    }
    AppendEdits(table_, op.table, begin, &found->edits);
  } else {
    for (const EntryEdit& edit : found->edits) {
      if (edit.neuron < begin || edit.neuron >= end) continue;
      const size_t row = table_.chunk_row[edit.chunk] + edit.code;
      table_.entries[row * neurons + edit.neuron - begin] =
          table_.unit[edit.neuron - begin] * static_cast<float>(edit.value);
    }
  }
  table_.Round();
  Place(op, begin, end);
  table_.neurons = all;
  table_.unit = unit;
  return absl::OkStatus();
}

absl::StatusOr<double> Walk::Unexplained(const std::vector<float>& corrections,
                                         const Rows& residual, uint32_t neurons) {
  Rows out;
  const size_t begin = options_.train_rows;
  LUTDB_RETURN_IF_ERROR(
      TuneFit::Apply(table_, RowsFrom(begin, rows()), corrections, neurons, team_, &out));
  double lost = 0;
  for (size_t i = 0; i < out.size(); ++i) {
    lost += std::pow(double{out[i]} - residual[begin * neurons + i], 2);
  }
  return lost;
}

// Goes from strong to weak penalties, each beginning where the last one ended, and keeps what loses
// least on the rows that were not fitted to; no correction at all is a candidate.
absl::Status Walk::Choose(TuneFit& fit, const Rows& residual, uint32_t neurons,
                          std::vector<float>* corrections) {
  std::vector<float> now(size_t{table_.rows()} * neurons, 0.0f);
  *corrections = now;
  LUTDB_ASSIGN_OR_RETURN(double best, Unexplained(now, residual, neurons));
  lost_before_ += best;
  const Rows train(residual.begin(),
                   residual.begin() + static_cast<ptrdiff_t>(options_.train_rows * neurons));
  for (const double smooth : options_.smooth) {
    std::fill(now.begin(), now.end(), 0.0f);
    for (const double near : options_.near) {
      LUTDB_RETURN_IF_ERROR(
          fit.Solve(train, neurons,
                    {.near = near, .smooth = smooth, .weights_only = options_.weights_only}, &now));
      LUTDB_ASSIGN_OR_RETURN(const double lost, Unexplained(now, residual, neurons));
      if (lost < best) {
        best = lost;
        near_ = near;
        *corrections = now;
      }
    }
  }
  lost_after_ += best;
  return absl::OkStatus();
}

// Runs the coded layer with the integers that would be stored, as the engine does.
void Walk::Place(const Op& op, uint32_t begin, uint32_t end) {
  const uint32_t neurons = end - begin;
  const uint32_t all = store_.spec(op.table).neurons;
  Rows& out = coded_.values[op.output];
  std::vector<int32_t> sums(neurons);
  for (size_t row = 0; row < rows(); ++row) {
    std::fill(sums.begin(), sums.end(), 0);
    for (uint32_t c = 0; c < table_.chunks(); ++c) {
      const size_t at = table_.chunk_row[c] + codes_[row * table_.chunks() + c];
      const int16_t* from = table_.stored.data() + at * neurons;
      for (uint32_t n = 0; n < neurons; ++n) sums[n] += from[n];
    }
    kernels::ScaleSums(sums.data(), table_.unit.data(), bias_.data() + begin, scales_[row], neurons,
                       out.data() + row * all + begin);
  }
}

void Walk::Free(uint32_t index) {
  for (const uint32_t value : graph().ops[index].inputs) {
    if (last_use_[value] != index) continue;
    Rows().swap(f32_.values[value]);
    Rows().swap(coded_.values[value]);
  }
}

void Walk::Score() {
  const Rows& logits = coded_.values[graph().output];
  const size_t width = graph().values[graph().output].width;
  for (size_t row = 0; row + 1 < rows(); ++row) {
    result_.nll.push_back(NegativeLogShare(absl::MakeConstSpan(logits.data() + row * width, width),
                                           static_cast<size_t>(ids_[row + 1])));
  }
}

absl::StatusOr<WalkResult> Walk::Go() {
  LUTDB_RETURN_IF_ERROR(Prepare());
  for (uint32_t i = 0; i < graph().ops.size(); ++i) {
    if (options_.cancel != nullptr && options_.cancel->load(std::memory_order_relaxed)) {
      return absl::CancelledError(
          "interrupted; the same command goes on behind the last table it fitted");
    }
    if (graph().ops[i].kind == OpKind::kTable) {
      LUTDB_RETURN_IF_ERROR(TableOp(i));
    } else {
      LUTDB_RETURN_IF_ERROR(RunOp(i, f32_));
      LUTDB_RETURN_IF_ERROR(RunOp(i, coded_));
    }
    Free(i);
  }
  Score();
  return std::move(result_);
}

}  // namespace

absl::StatusOr<WalkResult> WalkLayers(
    const StoreReader& store, const Store& entries, absl::Span<const int32_t> ids,
    const WalkOptions& options, std::vector<WalkTable> known,
    const std::function<absl::Status(const std::vector<WalkTable>&)>& done) {
  return Walk(store, entries, ids, options, std::move(known), done).Go();
}

}  // namespace lutdb
