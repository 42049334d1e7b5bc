#include "engine/look_up_add.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/check.h"
#include "base/status.h"
#include "engine/kernels/kernels.h"

namespace lutdb {
namespace {

// Bytes of rows that many vectors go through together: about what a last-level cache holds.
constexpr uint64_t kBlockBytes = 32 << 20;

// Of a row, below which threads share out rows instead, if each gets as many as kSliceRowsMin.
constexpr uint64_t kSliceBytesMin = 4096;
constexpr size_t kSliceRowsMin = 64;

}  // namespace

LookUpAdd::LookUpAdd(const StoreReader& store, RowSource& rows, ThreadTeam& team)
    : store_(store),
      rows_(rows),
      team_(team),
      shifted_(team.count()),
      slice_sums_(team.count()),
      packed_(team) {
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
    LUTDB_RETURN_IF_ERROR(rows_.Pin(table, static_cast<uint32_t>(begin),
                                    codes.subspan(begin, count), &pinned_, edits_.get()));
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

absl::StatusOr<bool> LookUpAdd::SumsTogether(absl::Span<const uint32_t> tables,
                                             absl::Span<const uint16_t> codes, int32_t* acc) {
  const uint64_t row_bytes = rows_.SideBySide(tables);
  const auto changed = [&](uint32_t table) {
    return (edits_ != nullptr && edits_->table(table) != nullptr) ||
           (faults_ != nullptr && faults_->Damages(table));
  };
  if (row_bytes == 0 || std::any_of(tables.begin(), tables.end(), changed)) return false;
  const TableGeometry& geometry = store_.geometry(tables.front());
  LUTDB_CHECK(codes.size() == geometry.chunks());
  const bool narrow = geometry.entry() == EntryType::kI8;
  const auto sums = static_cast<uint32_t>(row_bytes / EntryBytes(geometry.entry()));
  std::memset(acc, 0, sizeof(int32_t) * sums);
  LUTDB_RETURN_IF_ERROR(rows_.Pin(tables.front(), 0, codes, &pinned_));
  const absl::Status added = narrow ? AddPinned<int8_t>(sums, acc) : AddPinned<int16_t>(sums, acc);
  pinned_.Release();
  LUTDB_RETURN_IF_ERROR(added);
  return true;
}

// Chunks of the next block: their rows fit one pin and the last-level cache.
size_t LookUpAdd::BlockChunks(uint32_t table, size_t vectors, size_t chunk_begin) const {
  const TableGeometry& geometry = store_.geometry(table);
  const uint64_t row_bytes = uint64_t{geometry.neurons()} * EntryBytes(geometry.entry());
  const uint64_t rows_max = std::min(kBlockBytes / row_bytes, rows_.RowsPerPin(table));
  size_t chunks = 0;
  uint64_t rows = 0;
  for (size_t chunk = chunk_begin; chunk < geometry.chunks(); ++chunk, ++chunks) {
    rows += std::min<uint64_t>(vectors, geometry.codes(static_cast<uint32_t>(chunk)));
    if (chunks > 0 && rows > rows_max) break;
  }
  return chunks;
}

// Which codes the vectors have, and where each is found among them.
void LookUpAdd::ListCodes(const Block& block) {
  const TableGeometry& geometry = store_.geometry(block.table);
  wanted_.clear();
  places_.resize(block.vectors * block.chunks);
  for (size_t c = 0; c < block.chunks; ++c) {
    const uint32_t chunk = block.chunk_begin + static_cast<uint32_t>(c);
    const uint32_t code_count = geometry.codes(chunk);
    used_codes_.assign((code_count + 63) / 64, 0);
    if (place_of_code_.size() < code_count) place_of_code_.resize(code_count);
    for (size_t v = 0; v < block.vectors; ++v) {
      const uint16_t code = block.codes[v * block.codes_stride + c];
      LUTDB_CHECK(code < code_count);
      used_codes_[code / 64] |= uint64_t{1} << (code % 64);
    }
    for (size_t word = 0; word < used_codes_.size(); ++word) {
      for (uint64_t bits = used_codes_[word]; bits != 0; bits &= bits - 1) {
        const auto code = static_cast<uint32_t>(word * 64 + std::countr_zero(bits));
        place_of_code_[code] = static_cast<uint32_t>(wanted_.size());
        wanted_.push_back({.chunk = chunk, .code = code});
      }
    }
    for (size_t v = 0; v < block.vectors; ++v) {
      places_[v * block.chunks + c] = place_of_code_[block.codes[v * block.codes_stride + c]];
    }
  }
}

absl::Status LookUpAdd::SumsOfMany(uint32_t table, size_t vectors, absl::Span<const uint16_t> codes,
                                   int32_t* acc) {
  const TableGeometry& geometry = store_.geometry(table);
  const size_t chunks = geometry.chunks();
  const size_t neurons = geometry.neurons();
  LUTDB_CHECK(codes.size() == vectors * chunks);
  if (vectors == 0) return absl::OkStatus();
  // Damaged cells are put right vector by vector.
  if (vectors == 1 || (faults_ != nullptr && faults_->Damages(table))) {
    for (size_t v = 0; v < vectors; ++v) {
      LUTDB_RETURN_IF_ERROR(Sums(table, codes.subspan(v * chunks, chunks), acc + v * neurons));
    }
    return absl::OkStatus();
  }
  const TableSlopes* slopes = rows_.SlopesFor(table, vectors);
  if (slopes != nullptr) {
    const TableEdits* edits = edits_ == nullptr ? nullptr : edits_->table(table);
    return packed_.Sums({.geometry = &geometry, .slopes = slopes, .edits = edits}, vectors, codes,
                        acc);
  }
  std::memset(acc, 0, sizeof(int32_t) * vectors * neurons);
  Block block = {.table = table, .vectors = vectors, .codes_stride = chunks};
  for (size_t begin = 0; begin < chunks; begin += block.chunks) {
    block.chunk_begin = static_cast<uint32_t>(begin);
    block.chunks = BlockChunks(table, vectors, begin);
    block.codes = codes.data() + begin;
    ListCodes(block);
    LUTDB_RETURN_IF_ERROR(rows_.PinCodes(table, wanted_, &pinned_, edits_.get()));
    const absl::Status added = geometry.entry() == EntryType::kI8
                                   ? AddBlock<int8_t>(block, geometry.neurons(), acc)
                                   : AddBlock<int16_t>(block, geometry.neurons(), acc);
    if (!pinned_.additions().empty()) AddAdditions(block, geometry.neurons(), acc);
    pinned_.Release();
    LUTDB_RETURN_IF_ERROR(added);
  }
  return absl::OkStatus();
}

template <typename Entry>
absl::Status LookUpAdd::AddBlock(const Block& block, uint32_t neurons, int32_t* acc) {
  const void* const* rows = pinned_.rows();
  const int8_t* signs = pinned_.signs();
  listed_.resize(block.vectors * block.chunks);
  std::vector<kernels::RowList<Entry>> lists(block.vectors);
  for (size_t v = 0; v < block.vectors; ++v) {
    const void** begin = listed_.data() + v * block.chunks;
    const void** added = begin;
    const void** subtracted = begin + block.chunks;  // filled from the back
    for (size_t c = 0; c < block.chunks; ++c) {
      const uint32_t place = places_[v * block.chunks + c];
      if (rows[place] == nullptr) continue;
      if (signs != nullptr && signs[place] < 0) {
        *--subtracted = rows[place];
      } else {
        *added++ = rows[place];
      }
    }
    lists[v] = {.rows = reinterpret_cast<const Entry* const*>(begin),
                .added = static_cast<size_t>(added - begin),
                .subtracted = static_cast<size_t>(begin + block.chunks - subtracted)};
    std::copy(subtracted, const_cast<const void**>(begin + block.chunks), added);
  }
  return team_.Split(neurons, kBlockNeurons, uint64_t{neurons} * listed_.size(),
                     [&](unsigned, size_t begin, size_t end) {
                       kernels::AddRowLists(lists.data(), block.vectors, begin, end, neurons, acc);
                     });
}

// Edited entries that are not in the rows, for every vector that uses their row.
void LookUpAdd::AddAdditions(const Block& block, uint32_t neurons, int32_t* acc) const {
  const absl::Span<const EntryEditValue> additions = pinned_.additions();
  const absl::Span<const uint32_t> of_row = pinned_.addition_rows();
  for (size_t v = 0; v < block.vectors; ++v) {
    for (size_t c = 0; c < block.chunks; ++c) {
      const uint32_t row = places_[v * block.chunks + c];
      size_t i =
          static_cast<size_t>(std::lower_bound(of_row.begin(), of_row.end(), row) - of_row.begin());
      for (; i < of_row.size() && of_row[i] == row; ++i) {
        acc[v * neurons + additions[i].neuron] += int32_t{additions[i].value} - additions[i].base;
      }
    }
  }
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

// Slices of neurons; or of rows where a slice of a row would be short, so that each page is touched
// by one thread only, and read in one piece.
template <typename Entry>
absl::Status LookUpAdd::AddPinned(uint32_t neurons, int32_t* acc) {
  const size_t rows = pinned_.size();
  const auto* from = reinterpret_cast<const Entry* const*>(pinned_.rows());
  const bool short_slices =
      team_.count() > 1 && neurons * sizeof(Entry) / team_.count() < kSliceBytesMin;
  if (short_slices && rows >= kSliceRowsMin * team_.count()) {
    return AddRowSlices<Entry>(neurons, acc);
  }
  // Slices start at multiples of 64 neurons, so that every shifted row stays 64-byte aligned.
  return team_.Split(neurons, kBlockNeurons, uint64_t{neurons} * rows,
                     [&](unsigned slice, size_t begin, size_t end) {
                       const Entry* const* shifted_rows = from;
                       if (begin > 0) {
                         std::vector<const void*>& shifted = shifted_[slice];
                         for (size_t r = 0; r < rows; ++r) {
                           shifted[r] = from[r] == nullptr ? nullptr : from[r] + begin;
                         }
                         shifted_rows = reinterpret_cast<const Entry* const*>(shifted.data());
                       }
                       kernels::AddRows(shifted_rows, pinned_.signs(), rows, end - begin,
                                        acc + begin);
                     });
}

// Each slice of rows has sums of its own, which are integers: their order does not matter.
template <typename Entry>
absl::Status LookUpAdd::AddRowSlices(uint32_t neurons, int32_t* acc) {
  const size_t rows = pinned_.size();
  const auto* from = reinterpret_cast<const Entry* const*>(pinned_.rows());
  const int8_t* signs = pinned_.signs();
  for (size_t slice = 1; slice < slice_sums_.size(); ++slice) {
    slice_sums_[slice].clear();
    slice_sums_[slice].reserve(neurons);  // here: threads must not fail
  }
  LUTDB_RETURN_IF_ERROR(
      team_.Split(rows, 1, uint64_t{neurons} * rows, [&](unsigned slice, size_t begin, size_t end) {
        if (slice > 0) slice_sums_[slice].assign(neurons, 0);
        kernels::AddRows(from + begin, signs == nullptr ? nullptr : signs + begin, end - begin,
                         neurons, slice > 0 ? slice_sums_[slice].data() : acc);
      }));
  for (const std::vector<int32_t>& sums : slice_sums_) {
    for (size_t n = 0; n < sums.size(); ++n) acc[n] += sums[n];
  }
  return absl::OkStatus();
}

}  // namespace lutdb
