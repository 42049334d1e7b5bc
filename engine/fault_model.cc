#include "engine/fault_model.h"

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <utility>

#include "base/status.h"

namespace lutdb {
namespace {

constexpr uint64_t kGolden = 0x9e3779b97f4a7c15;  // 2^64 / golden ratio: spreads small numbers

// A bijection of 64 bits in which every input bit moves every output bit (multiply and shift).
uint64_t Mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

uint64_t CellHash(uint64_t row_hash, uint32_t neuron) {
  return Mix(row_hash + (uint64_t{neuron} + 1) * kGolden);
}

// Restores the model when a study ends, however it does.
class Mended {
 public:
  explicit Mended(Model& model) : model_(model) {}
  ~Mended() { model_.SetFaults({}).IgnoreError(); }  // cannot fail: a share of 0 of all tables
  Mended(const Mended&) = delete;

 private:
  Model& model_;
};

}  // namespace

const char* Name(FaultKind kind) { return kind == FaultKind::kDead ? "dead" : "flipped"; }

absl::StatusOr<std::shared_ptr<const FaultModel>> FaultModel::Create(const StoreReader& store,
                                                                     const FaultOptions& options) {
  if (!(options.share >= 0 && options.share <= 1)) {
    return InvalidArgument("a share of bad cells is between 0 and 1, not {}", options.share);
  }
  std::vector<bool> damaged(store.manifest().tables.size(), options.tables.empty());
  for (const std::string& name : options.tables) {
    LUTDB_ASSIGN_OR_RETURN(const uint32_t table, store.FindTable(name));
    damaged[table] = true;
  }
  if (options.share == 0) return nullptr;
  return std::shared_ptr<const FaultModel>(new FaultModel(options, std::move(damaged)));
}

FaultModel::FaultModel(const FaultOptions& options, std::vector<bool> damaged)
    : kind_(options.kind),
      seed_(options.seed),
      limit_(static_cast<uint64_t>(std::ceil(std::ldexp(options.share, 53)))),
      damaged_(std::move(damaged)) {}

int32_t FaultModel::Damaged(int32_t entry, uint64_t cell_hash, EntryType type) const {
  if (kind_ == FaultKind::kDead) return 0;
  // The low bits say which bit; that the cell fails was decided by the high ones.
  const uint32_t bits = 8u * static_cast<uint32_t>(EntryBytes(type));
  const uint32_t flipped = static_cast<uint32_t>(entry) ^ (1u << (cell_hash % bits));
  const int32_t read = type == EntryType::kI8 ? static_cast<int8_t>(flipped & 0xff)
                                              : static_cast<int16_t>(flipped & 0xffff);
  return std::max(read, -EntryLimit(type));
}

uint64_t FaultModel::RowHash(uint32_t table, uint32_t chunk, uint32_t code) const {
  return Mix(Mix(Mix(seed_ + kGolden) ^ (uint64_t{table} << 32 | chunk)) + code * kGolden);
}

void FaultModel::Correct(const Rows& rows, uint32_t neuron_begin, uint32_t neuron_end,
                         int32_t* acc) const {
  for (size_t i = 0; i < rows.codes.size(); ++i) {
    if (rows.geometry.entry() == EntryType::kI8) {
      CorrectRow<int8_t>(rows, i, neuron_begin, neuron_end, acc);
    } else {
      CorrectRow<int16_t>(rows, i, neuron_begin, neuron_end, acc);
    }
  }
}

template <typename Entry>
void FaultModel::CorrectRow(const Rows& rows, size_t index, uint32_t neuron_begin,
                            uint32_t neuron_end, int32_t* acc) const {
  const uint32_t chunk = rows.chunk_begin + static_cast<uint32_t>(index);
  const uint32_t code = rows.codes[index];
  // The cell of a mirrored code holds the opposite of what is read.
  TableGeometry::StoredRow cell{.index = code, .negated = false};
  if (rows.geometry.mirror()) cell = rows.geometry.Stored(chunk, code);
  const uint64_t row_hash = RowHash(rows.table, chunk, cell.index);
  const EntryType type = std::is_same_v<Entry, int8_t> ? EntryType::kI8 : EntryType::kI16;
  const auto change = [&](int32_t entry, uint64_t hash) {
    const int32_t held = cell.negated ? -entry : entry;
    const int32_t read = Damaged(held, hash, type);
    return (cell.negated ? -read : read) - entry;
  };
  const auto* row = static_cast<const Entry*>(rows.rows[index]);
  const int32_t sign = rows.signs == nullptr ? 1 : rows.signs[index];
  const auto pinned = [&](uint32_t n) { return row == nullptr ? 0 : sign * row[n]; };
  for (uint32_t n = neuron_begin; n < neuron_end; ++n) {
    const uint64_t hash = CellHash(row_hash, n);
    if (Fails(hash)) acc[n] += change(pinned(n), hash);
  }
  const ChunkEdits* edits = rows.edits == nullptr ? nullptr : rows.edits->Find(chunk);
  const RowEdits* edited = edits == nullptr ? nullptr : edits->Find(code);
  if (edited == nullptr) return;
  // The pinned row has no edits yet, or all of them; either way what counts is the edited value.
  for (const EntryEditValue& entry : edited->entries()) {
    if (entry.neuron < neuron_begin || entry.neuron >= neuron_end) continue;
    const uint64_t hash = CellHash(row_hash, entry.neuron);
    if (!Fails(hash)) continue;
    acc[entry.neuron] += change(entry.value, hash) - change(pinned(entry.neuron), hash);
  }
}

absl::StatusOr<std::vector<FaultPoint>> StudyFaults(Model& model, const EvaluateFn& evaluate,
                                                    const FaultStudyOptions& options) {
  if (options.shares.empty()) return InvalidArgument("no share of bad cells to study was given");
  if (options.seeds == 0) return InvalidArgument("at least one seed is needed");
  for (const double share : options.shares) {
    LUTDB_RETURN_IF_ERROR(
        model.SetFaults({.kind = options.kind, .share = share, .tables = options.tables}));
  }
  const Model::CommitHold hold(model);
  const Mended mended(model);
  std::vector<FaultPoint> points;
  for (const double share : options.shares) {
    for (uint64_t seed = 0; seed < (share > 0 ? options.seeds : 1); ++seed) {
      LUTDB_RETURN_IF_ERROR(model.SetFaults(
          {.kind = options.kind, .share = share, .seed = seed, .tables = options.tables}));
      LUTDB_ASSIGN_OR_RETURN(EvalReport report, evaluate(model));
      points.push_back({.share = share, .seed = seed, .report = std::move(report)});
    }
  }
  return points;
}

}  // namespace lutdb
