#include "engine/look_up_add.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "engine/kernels/kernels.h"

namespace lutdb {

LookUpAdd::LookUpAdd(const StoreReader& store, RowSource& rows, ThreadTeam& team)
    : store_(store), rows_(rows), team_(team), shifted_(team.count()) {
  uint32_t rows_max = 0;
  for (const TableSpec& table : store.manifest().tables) {
    const uint32_t chunks = store.geometry(table.id).chunks();
    rows_max = std::max(rows_max, std::min(chunks, rows.ChunksPerPin(table.id)));
  }
  for (size_t slice = 1; slice < shifted_.size(); ++slice) shifted_[slice].resize(rows_max);
}

absl::Status LookUpAdd::Sums(uint32_t table, absl::Span<const uint16_t> codes, int32_t* acc) {
  const TableGeometry& geometry = store_.geometry(table);
  LUTDB_CHECK(codes.size() == geometry.chunks());
  std::memset(acc, 0, sizeof(int32_t) * geometry.neurons());
  const size_t block = std::max(1u, rows_.ChunksPerPin(table));
  for (size_t begin = 0; begin < codes.size(); begin += block) {
    const size_t count = std::min(block, codes.size() - begin);
    LUTDB_RETURN_IF_ERROR(
        rows_.Pin(table, static_cast<uint32_t>(begin), codes.subspan(begin, count), &pinned_,
                  edits_.get()));
    absl::Status added = geometry.entry() == EntryType::kI8
                                   ? AddPinned<int8_t>(geometry.neurons(), acc)
                                   : AddPinned<int16_t>(geometry.neurons(), acc);
    for (const EntryEditValue& entry : pinned_.additions()) {
      acc[entry.neuron] += int32_t{entry.value} - entry.base;
    }
    if (faults_ != nullptr && added.ok()) {
      added = AddFaults(table, static_cast<uint32_t>(begin), codes.subspan(begin, count), acc);
    }
    pinned_.Release();
    LUTDB_RETURN_IF_ERROR(added);
  }
  return absl::OkStatus();
}

absl::Status LookUpAdd::AddFaults(uint32_t table, uint32_t chunk_begin,
                                  absl::Span<const uint16_t> codes, int32_t* acc) {
  if (!faults_->Damages(table)) return absl::OkStatus();
  const TableGeometry& geometry = store_.geometry(table);
  const FaultModel::Rows rows = {
      .table = table,
      .geometry = geometry,
      .chunk_begin = chunk_begin,
      .codes = codes,
      .rows = pinned_.rows(),
      .signs = pinned_.signs(),
      .edits = edits_ == nullptr ? nullptr : edits_->table(table),
  };
  return team_.Split(geometry.neurons(), kBlockNeurons, uint64_t{geometry.neurons()} * codes.size(),
                     [&](unsigned, size_t begin, size_t end) {
                       faults_->Correct(rows, static_cast<uint32_t>(begin),
                                        static_cast<uint32_t>(end), acc);
                     });
}

template <typename Entry>
absl::Status LookUpAdd::AddPinned(uint32_t neurons, int32_t* acc) {
  // Slices start at multiples of 64 neurons, so that every shifted row stays 64-byte aligned.
  const size_t rows = pinned_.size();
  return team_.Split(neurons, kBlockNeurons, uint64_t{neurons} * rows,
                        [&](unsigned slice, size_t begin, size_t end) {
                          const auto* from = reinterpret_cast<const Entry* const*>(pinned_.rows());
                          if (begin > 0) {
                            std::vector<const void*>& shifted = shifted_[slice];
                            for (size_t r = 0; r < rows; ++r) {
                              shifted[r] = from[r] == nullptr ? nullptr : from[r] + begin;
                            }
                            from = reinterpret_cast<const Entry* const*>(shifted.data());
                          }
                          kernels::AddRows(from, pinned_.signs(), rows, end - begin, acc + begin);
                        });
}

}  // namespace lutdb
