#include "cli/entry_edits.h"

#include <algorithm>
#include <cmath>

#include "base/file.h"
#include "base/status.h"

namespace lutdb::cli {
namespace {

constexpr size_t kBatch = 1 << 18;  // entries read at a time
// What an edit takes on its way into a commit: itself, its key, its old value and its place in the
// patches, before and after sorting.
constexpr uint64_t kBytesPerEdit = 64;

}  // namespace

absl::StatusOr<std::vector<float>> StepsOf(const Store& store, uint32_t table) {
  // No chunks and no codes: steps, and not one entry.
  LUTDB_ASSIGN_OR_RETURN(Lookup lookup,
                         store.Get(store.info().tables[table].name + "[:, 0:0, 0:0]"));
  return std::move(lookup.step);
}

EntryEdits::EntryEdits(const Store& store, std::string unit)
    : store_(store),
      unit_(std::move(unit)),
      edits_max_(UsableMemoryBytes() / 4 / kBytesPerEdit),
      steps_(store.info().tables.size()) {}

absl::StatusOr<float> EntryEdits::Step(uint32_t table, uint32_t neuron) {
  if (steps_[table].empty()) {
    LUTDB_ASSIGN_OR_RETURN(steps_[table], StepsOf(store_, table));
  }
  return steps_[table][neuron];
}

absl::Status EntryEdits::Add(const PatchEntry& entry) {
  if (edits_.size() + waiting_.size() >= edits_max_) {
    return ResourceExhausted(
        "more than {} entries in one commit are beyond the memory of this machine; split them",
        edits_max_);
  }
  waiting_.push_back(entry);
  return waiting_.size() < kBatch ? absl::OkStatus() : Resolve();
}

absl::StatusOr<std::vector<EntryEdit>> EntryEdits::Finish() {
  LUTDB_RETURN_IF_ERROR(Resolve());
  return std::move(edits_);
}

absl::Status EntryEdits::Resolve() {
  std::vector<EntryKey> keys;
  for (const PatchEntry& entry : waiting_) {
    const bool relative = entry.op != PatchOp::kValue && entry.op != PatchOp::kRaw;
    if (relative) keys.push_back(entry.key);
  }
  std::vector<int16_t> before(keys.size());
  LUTDB_RETURN_IF_ERROR(store_.GetEntries(keys, absl::MakeSpan(before)));
  size_t next = 0;
  for (const PatchEntry& entry : waiting_) {
    const bool relative = entry.op != PatchOp::kValue && entry.op != PatchOp::kRaw;
    const absl::Status status = Append(entry, relative ? before[next++] : int16_t{0});
    if (!status.ok() && !unit_.empty()) {
      return InPatch(fmt::format("{} {}", unit_, entry.number), status);
    }
    LUTDB_RETURN_IF_ERROR(status);
  }
  waiting_.clear();
  return absl::OkStatus();
}

absl::Status EntryEdits::Append(const PatchEntry& entry, int16_t before) {
  LUTDB_ASSIGN_OR_RETURN(const float step, Step(entry.key.table, entry.key.neuron));
  const double real_step = step;
  // A neuron without weights has no step: it can only hold zero in real units.
  const auto entries_of = [&](double real) { return real == 0 ? 0 : std::round(real / real_step); };
  double raw = entry.operand;
  switch (entry.op) {
    case PatchOp::kValue:
      raw = entries_of(entry.operand);
      break;
    case PatchOp::kRaw:
      break;
    case PatchOp::kAdd:
      raw = before + entries_of(entry.operand);
      break;
    case PatchOp::kAddRaw:
      raw = before + entry.operand;
      break;
    case PatchOp::kScale:
      raw = std::round(before * entry.operand);
      break;
  }
  const double limit = EntryLimit(store_.info().tables[entry.key.table].entry);
  // Written so that NaN is refused, too.
  if (!(raw >= -limit && raw <= limit)) {
    return OutOfRange("{} cannot be {:.6g} (raw {:.10g}); it holds {:.6g} .. {:.6g} (raw {} .. {})",
                      EntryAddress(store_.info(), entry.key),
                      entry.op == PatchOp::kValue ? entry.operand : raw * real_step, raw,
                      -limit * real_step, limit * real_step, -limit, limit);
  }
  edits_.push_back({.table = entry.key.table,
                    .neuron = entry.key.neuron,
                    .chunk = entry.key.chunk,
                    .code = entry.key.code,
                    .value = static_cast<int32_t>(raw)});
  return absl::OkStatus();
}

}  // namespace lutdb::cli
