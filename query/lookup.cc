#include "query/lookup.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <tuple>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/status.h"
#include "coding/record.h"
#include "db/keys.h"
#include "query/tile_codes.h"

namespace lutdb {
namespace {

constexpr uint64_t kBatch = 64;  // records of one MultiGet; 256 KiB or so

// Positions [begin, end) of an index list that fall into the same record.
struct Run {
  size_t begin = 0;
  size_t end = 0;
  uint32_t unit = 0;  // index / unit size
};

std::vector<Run> RunsOf(absl::Span<const uint32_t> indices, uint32_t unit_size) {
  std::vector<Run> runs;
  for (size_t i = 0; i < indices.size(); ++i) {
    const uint32_t unit = indices[i] / unit_size;
    if (runs.empty() || runs.back().unit != unit) runs.push_back({i, i, unit});
    runs.back().end = i + 1;
  }
  return runs;
}

int16_t LoadEntry(EntryType type, const uint8_t* entries, uint64_t index) {
  if (type == EntryType::kI8) return static_cast<int8_t>(entries[index]);
  int16_t value;
  std::memcpy(&value, entries + 2 * index, sizeof(value));
  return value;
}

absl::Status Missing(const StoreReader& store, uint32_t table, const std::string& where) {
  return DataLoss("{}: table {}: the record of {} is missing; `lutdb repair` makes it anew",
                  store.path(), store.spec(table).name, where);
}

std::string Where(const TileId& tile) {
  return fmt::format("chunk group {}, neuron block {}", tile.group, tile.neuron_block);
}
std::string Where(const RowId& row) {
  return fmt::format("chunk {}, code {}, neuron block {}", row.chunk, row.code, row.neuron_block);
}

// A selection from a tile table: its tiles are the pairs of a run of chunks and a run of neurons.
class TileGather {
 public:
  TileGather(const StoreReader& store, const Selection& selection, int16_t* out)
      : store_(store),
        geometry_(store.geometry(selection.table)),
        selection_(selection),
        out_(out),
        chunk_runs_(RunsOf(selection.chunks, geometry_.tile_chunks())),
        neuron_runs_(RunsOf(selection.neurons, kBlockNeurons)) {
    const auto [low, high] = std::minmax_element(selection.codes.begin(), selection.codes.end());
    code_begin_ = *low;
    code_end_ = *high + 1;
    // Neighbouring codes are made together by one addition each; codes far apart one by one.
    together_ = selection.codes.size() * 2 >= code_end_ - code_begin_;
  }

  uint64_t tiles() const { return chunk_runs_.size() * neuron_runs_.size(); }

  absl::Status Run(uint64_t begin, uint64_t end) const {
    db::Values values;
    TileDecoder decoder;
    const uint64_t rows = together_ ? code_end_ - code_begin_ : selection_.codes.size();
    const AlignedArray<uint8_t> buffer = MakeAligned<uint8_t>(rows * block_bytes());
    std::vector<std::string> keys;
    for (uint64_t at = begin; at < end; at += kBatch) {
      const uint64_t stop = std::min(end, at + kBatch);
      keys.clear();
      for (uint64_t t = at; t < stop; ++t) {
        const TileId tile = TileOf(t);
        keys.push_back(
            db::TileKey(tile.table, tile.group, static_cast<uint16_t>(tile.neuron_block)));
      }
      LUTDB_RETURN_IF_ERROR(store_.rocks().MultiGet(db::Family::kTile, keys, &values));
      for (uint64_t t = at; t < stop; ++t) {
        const TileId tile = TileOf(t);
        if (!values.found(t - at)) return Missing(store_, tile.table, Where(tile));
        LUTDB_RETURN_IF_ERROR(decoder.Open(geometry_, tile, values[t - at]));
        Scatter(t, decoder, buffer.get());
      }
    }
    return absl::OkStatus();
  }

 private:
  uint64_t block_bytes() const { return uint64_t{kBlockNeurons} * EntryBytes(geometry_.entry()); }
  TileId TileOf(uint64_t t) const {
    return {.table = selection_.table,
            .group = chunk_runs_[t / neuron_runs_.size()].unit,
            .neuron_block = neuron_runs_[t % neuron_runs_.size()].unit};
  }

  void Scatter(uint64_t t, const TileDecoder& decoder, uint8_t* buffer) const {
    const lutdb::Run& chunks = chunk_runs_[t / neuron_runs_.size()];
    const lutdb::Run& neurons = neuron_runs_[t % neuron_runs_.size()];
    const std::vector<uint32_t>& codes = selection_.codes;
    for (size_t c = chunks.begin; c < chunks.end; ++c) {
      const uint32_t chunk = selection_.chunks[c];
      if (together_) {
        TileCodes(geometry_, decoder, chunk, code_begin_, code_end_, buffer, block_bytes());
      } else {
        for (size_t k = 0; k < codes.size(); ++k) {
          TileCodes(geometry_, decoder, chunk, codes[k], codes[k] + 1, buffer + k * block_bytes(),
                    block_bytes());
        }
      }
      for (size_t n = neurons.begin; n < neurons.end; ++n) {
        const uint32_t lane = selection_.neurons[n] % kBlockNeurons;
        int16_t* to = out_ + (n * selection_.chunks.size() + c) * codes.size();
        for (size_t k = 0; k < codes.size(); ++k) {
          const uint64_t row = together_ ? codes[k] - code_begin_ : k;
          to[k] = LoadEntry(geometry_.entry(), buffer + row * block_bytes(), lane);
        }
      }
    }
  }

  const StoreReader& store_;
  const TableGeometry& geometry_;
  const Selection& selection_;
  int16_t* out_;
  std::vector<lutdb::Run> chunk_runs_;
  std::vector<lutdb::Run> neuron_runs_;
  uint32_t code_begin_ = 0;
  uint32_t code_end_ = 0;
  bool together_ = true;
};

// A selection from a row table: one record per chunk, stored code and run of neurons. A code and
// its mirror share a record; MultiGet reads a repeated key once.
class RowGather {
 public:
  RowGather(const StoreReader& store, const Selection& selection, int16_t* out)
      : store_(store),
        geometry_(store.geometry(selection.table)),
        selection_(selection),
        out_(out),
        neuron_runs_(RunsOf(selection.neurons, geometry_.row_neurons())) {}

  uint64_t records() const {
    return selection_.chunks.size() * selection_.codes.size() * neuron_runs_.size();
  }

  absl::Status Run(uint64_t begin, uint64_t end) const {
    db::Values values;
    std::vector<std::string> keys;
    std::vector<uint64_t> wanted;  // record numbers, one per key
    for (uint64_t at = begin; at < end; at += kBatch) {
      keys.clear();
      wanted.clear();
      for (uint64_t r = at; r < std::min(end, at + kBatch); ++r) {
        const Record record = RecordOf(r);
        if (record.zero) {
          Write(record, nullptr);
          continue;
        }
        keys.push_back(db::RowKey(record.id.table, record.id.chunk,
                                  static_cast<uint16_t>(record.id.code),
                                  static_cast<uint16_t>(record.id.neuron_block)));
        wanted.push_back(r);
      }
      if (keys.empty()) continue;
      LUTDB_RETURN_IF_ERROR(store_.rocks().MultiGet(db::Family::kRow, keys, &values));
      for (size_t i = 0; i < keys.size(); ++i) {
        const Record record = RecordOf(wanted[i]);
        if (!values.found(i)) return Missing(store_, record.id.table, Where(record.id));
        LUTDB_ASSIGN_OR_RETURN(const std::string_view entries,
                               OpenRow(geometry_, record.id, values[i], false));
        Write(record, reinterpret_cast<const uint8_t*>(entries.data()));
      }
    }
    return absl::OkStatus();
  }

 private:
  struct Record {
    RowId id;
    size_t chunk_at = 0;  // positions in the selection
    size_t code_at = 0;
    size_t run = 0;
    bool zero = false;
    bool negated = false;
  };

  Record RecordOf(uint64_t r) const {
    Record record;
    record.run = r % neuron_runs_.size();
    record.code_at = r / neuron_runs_.size() % selection_.codes.size();
    record.chunk_at = r / neuron_runs_.size() / selection_.codes.size();
    const uint32_t chunk = selection_.chunks[record.chunk_at];
    const uint32_t code = selection_.codes[record.code_at];
    const TableGeometry::StoredRow stored = geometry_.Stored(chunk, code);
    record.zero = geometry_.ZeroCode(chunk) == code;
    record.negated = stored.negated;
    record.id = {.table = selection_.table,
                 .chunk = chunk,
                 .code = geometry_.CodeOfStored(chunk, stored.index),
                 .neuron_block = neuron_runs_[record.run].unit};
    return record;
  }

  void Write(const Record& record, const uint8_t* entries) const {
    const lutdb::Run& run = neuron_runs_[record.run];
    for (size_t n = run.begin; n < run.end; ++n) {
      int16_t value = 0;
      if (entries != nullptr) {
        value =
            LoadEntry(geometry_.entry(), entries, selection_.neurons[n] % geometry_.row_neurons());
      }
      const size_t row = n * selection_.chunks.size() + record.chunk_at;
      out_[row * selection_.codes.size() + record.code_at] =
          record.negated ? static_cast<int16_t>(-value) : value;
    }
  }

  const StoreReader& store_;
  const TableGeometry& geometry_;
  const Selection& selection_;
  int16_t* out_;
  std::vector<lutdb::Run> neuron_runs_;
};

// A key of a batch, with the record it is found in.
struct Wanted {
  EntryKey key;
  size_t index = 0;   // in the caller's order
  uint32_t unit = 0;  // chunk group of a tile, chunk of a row
  uint32_t code = 0;  // stored code of a row; 0 for a tile
  uint32_t block = 0;
  bool negated = false;

  auto record() const { return std::tie(key.table, unit, code, block); }
  bool operator<(const Wanted& other) const {
    return std::tie(key.table, unit, code, block, key.chunk, key.code) <
           std::tie(other.key.table, other.unit, other.code, other.block, other.key.chunk,
                    other.key.code);
  }
};

absl::StatusOr<Wanted> Locate(const StoreReader& store, const EntryKey& key, size_t index) {
  if (key.table >= store.manifest().tables.size()) {
    return OutOfRange("key {}: the store has {} tables, no table {}", index,
                      store.manifest().tables.size(), key.table);
  }
  const TableGeometry& geometry = store.geometry(key.table);
  if (key.neuron >= geometry.neurons() || key.chunk >= geometry.chunks() ||
      key.code >= geometry.codes(key.chunk)) {
    return OutOfRange("key {}: table {} has no entry [{}, {}, {}]", index,
                      store.spec(key.table).name, key.neuron, key.chunk, key.code);
  }
  Wanted wanted;
  wanted.key = key;
  wanted.index = index;
  if (store.spec(key.table).layout == Layout::kTile) {
    wanted.unit = key.chunk / geometry.tile_chunks();
    wanted.block = key.neuron / kBlockNeurons;
    return wanted;
  }
  const TableGeometry::StoredRow stored = geometry.Stored(key.chunk, key.code);
  wanted.unit = key.chunk;
  wanted.code = geometry.CodeOfStored(key.chunk, stored.index);
  wanted.negated = stored.negated;
  wanted.block = key.neuron / geometry.row_neurons();
  return wanted;
}

// Reads entries of one record into `out`; the keys of a tile are sorted, so that a code asked for
// several neurons is made once.
absl::Status ReadRecord(const StoreReader& store, absl::Span<const Wanted> keys,
                        std::string_view record, TileDecoder* decoder, int16_t* out) {
  const Wanted& first = keys.front();
  const TableGeometry& geometry = store.geometry(first.key.table);
  if (store.spec(first.key.table).layout == Layout::kRow) {
    const RowId id = {.table = first.key.table,
                      .chunk = first.unit,
                      .code = first.code,
                      .neuron_block = first.block};
    LUTDB_ASSIGN_OR_RETURN(const std::string_view entries, OpenRow(geometry, id, record, false));
    for (const Wanted& wanted : keys) {
      const int16_t value =
          LoadEntry(geometry.entry(), reinterpret_cast<const uint8_t*>(entries.data()),
                    wanted.key.neuron % geometry.row_neurons());
      out[wanted.index] = wanted.negated ? static_cast<int16_t>(-value) : value;
    }
    return absl::OkStatus();
  }
  const TileId tile = {.table = first.key.table, .group = first.unit, .neuron_block = first.block};
  LUTDB_RETURN_IF_ERROR(decoder->Open(geometry, tile, record));
  alignas(64) uint8_t row[kBlockNeurons * sizeof(int16_t)];
  const Wanted* made = nullptr;
  for (const Wanted& wanted : keys) {
    if (made == nullptr || made->key.chunk != wanted.key.chunk ||
        made->key.code != wanted.key.code) {
      TileCodes(geometry, *decoder, wanted.key.chunk, wanted.key.code, wanted.key.code + 1, row,
                uint64_t{kBlockNeurons} * EntryBytes(geometry.entry()));
      made = &wanted;
    }
    out[wanted.index] = LoadEntry(geometry.entry(), row, wanted.key.neuron % kBlockNeurons);
  }
  return absl::OkStatus();
}

// Reads the records of keys that are all of one family.
absl::Status ReadRecords(const StoreReader& store, absl::Span<const Wanted> keys,
                         absl::Span<const size_t> firsts, int16_t* out) {
  db::Values values;
  TileDecoder decoder;
  std::vector<std::string> names;
  const bool tile = store.spec(keys[firsts.front()].key.table).layout == Layout::kTile;
  for (size_t at = 0; at + 1 < firsts.size(); at += kBatch) {
    const size_t stop = std::min(firsts.size() - 1, at + kBatch);
    names.clear();
    for (size_t r = at; r < stop; ++r) {
      const Wanted& wanted = keys[firsts[r]];
      const uint16_t block = static_cast<uint16_t>(wanted.block);
      names.push_back(tile ? db::TileKey(wanted.key.table, wanted.unit, block)
                           : db::RowKey(wanted.key.table, wanted.unit,
                                        static_cast<uint16_t>(wanted.code), block));
    }
    LUTDB_RETURN_IF_ERROR(
        store.rocks().MultiGet(tile ? db::Family::kTile : db::Family::kRow, names, &values));
    for (size_t r = at; r < stop; ++r) {
      const absl::Span<const Wanted> mine = keys.subspan(firsts[r], firsts[r + 1] - firsts[r]);
      if (!values.found(r - at)) {
        const Wanted& wanted = mine.front();
        return Missing(store, wanted.key.table,
                       fmt::format("entry [{}, {}, {}]", wanted.key.neuron, wanted.key.chunk,
                                   wanted.key.code));
      }
      LUTDB_RETURN_IF_ERROR(ReadRecord(store, mine, values[r - at], &decoder, out));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status GatherSelection(const StoreReader& store, const Workers& workers,
                             const Selection& selection, int16_t* out) {
  if (selection.neurons.empty() || selection.chunks.empty() || selection.codes.empty()) {
    return absl::OkStatus();
  }
  if (store.spec(selection.table).layout == Layout::kTile) {
    const TileGather gather(store, selection, out);
    return workers.Split(gather.tiles(), kBatch,
                         [&](uint64_t begin, uint64_t end) { return gather.Run(begin, end); });
  }
  const RowGather gather(store, selection, out);
  return workers.Split(gather.records(), kBatch,
                       [&](uint64_t begin, uint64_t end) { return gather.Run(begin, end); });
}

absl::Status GatherEntries(const StoreReader& store, const Workers& workers,
                           absl::Span<const EntryKey> keys, int16_t* out) {
  std::vector<Wanted> wanted;
  wanted.reserve(keys.size());
  for (size_t i = 0; i < keys.size(); ++i) {
    LUTDB_ASSIGN_OR_RETURN(Wanted located, Locate(store, keys[i], i));
    const bool row = store.spec(keys[i].table).layout == Layout::kRow;
    if (row && store.geometry(keys[i].table).ZeroCode(keys[i].chunk) == keys[i].code) {
      out[i] = 0;
    } else {
      wanted.push_back(located);
    }
  }
  std::sort(wanted.begin(), wanted.end());
  // Records in key order, cut where the table changes, since tables may be of different families.
  for (size_t begin = 0; begin < wanted.size();) {
    std::vector<size_t> firsts;
    size_t end = begin;
    for (; end < wanted.size() && wanted[end].key.table == wanted[begin].key.table; ++end) {
      if (end == begin || wanted[end].record() != wanted[end - 1].record()) firsts.push_back(end);
    }
    firsts.push_back(end);
    LUTDB_RETURN_IF_ERROR(
        workers.Split(firsts.size() - 1, kBatch, [&](uint64_t first, uint64_t last) {
          return ReadRecords(store, wanted,
                             absl::MakeConstSpan(firsts).subspan(first, last - first + 1), out);
        }));
    begin = end;
  }
  return absl::OkStatus();
}

}  // namespace lutdb
