// Small tables of every kind, with weights, slopes and entries made straight from the definitions
// of docs/format.md: what the coding tests compare with.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/check.h"
#include "coding/entry.h"
#include "coding/record.h"

namespace lutdb {

struct SampleTable {
  TableSpec spec;
  TableGeometry geometry;
  std::vector<float> weights;  // neurons x inputs
  std::vector<float> steps;    // one per neuron

  SampleTable(TableSpec table_spec, uint32_t seed)
      : spec(std::move(table_spec)), geometry(TableGeometry::Create(spec).value()) {
    std::mt19937 random(seed);
    weights.resize(uint64_t{spec.neurons} * spec.inputs);
    for (float& weight : weights) {
      // Not std::normal_distribution: golden files need the same weights from every library.
      weight = static_cast<float>(static_cast<int>(random() % 20001) - 10000) / 65536.0f;
    }
    for (uint32_t n = 0; n < spec.neurons; ++n) {
      steps.push_back(
          StepOf(geometry, absl::MakeConstSpan(&weights[uint64_t{n} * spec.inputs], spec.inputs)));
    }
  }

  int64_t Slope(uint32_t chunk, uint32_t position, uint32_t neuron) const {
    const uint32_t input = geometry.InputAt(chunk, position);
    if (input == kPadding || neuron >= spec.neurons || !geometry.positions(chunk)[position].owns) {
      return 0;
    }
    return SlopeOf(weights[uint64_t{neuron} * spec.inputs + input], steps[neuron],
                   geometry.slope_shift());
  }

  int32_t Entry(uint32_t chunk, uint32_t code, uint32_t neuron) const {
    const auto count = static_cast<uint32_t>(geometry.positions(chunk).size());
    int64_t slopes[kMaxChunkInputs];
    int32_t levels[kMaxChunkInputs];
    for (uint32_t p = 0; p < count; ++p) slopes[p] = Slope(chunk, p, neuron);
    geometry.LevelsOf(chunk, code, levels);
    return EntryOf(slopes, levels, count, geometry.slope_shift());
  }

  // Entries of 64 neurons of one code, in the table's entry type.
  std::string Row(uint32_t chunk, uint32_t code, uint32_t neuron_block) const {
    std::string bytes;
    for (uint32_t n = 0; n < kBlockNeurons; ++n) {
      const uint32_t neuron = neuron_block * kBlockNeurons + n;
      const int32_t entry = neuron < spec.neurons ? Entry(chunk, code, neuron) : 0;
      bytes.push_back(static_cast<char>(entry));
      if (spec.entry == EntryType::kI16) bytes.push_back(static_cast<char>(entry >> 8));
    }
    return bytes;
  }

  // The decoded payload of a tile.
  std::string Payload(const TileId& tile) const {
    const TileShape shape = ShapeOf(geometry, tile);
    std::string bytes;
    for (uint32_t chunk = shape.chunk_begin; chunk < shape.chunk_end; ++chunk) {
      for (uint32_t i = 0; i < geometry.stored_codes(chunk); ++i) {
        bytes += Row(chunk, geometry.CodeOfStored(chunk, i), tile.neuron_block);
      }
    }
    return bytes;
  }

  // A product record of a tile, with the checksum its slopes give.
  std::string ProductRecord(const TileId& tile) const {
    const TileShape shape = ShapeOf(geometry, tile);
    AlignedArray<int32_t> narrow = MakeAligned<int32_t>(shape.positions * kBlockNeurons);
    AlignedArray<int64_t> wide = MakeAligned<int64_t>(shape.positions * kBlockNeurons);
    uint64_t i = 0;
    for (uint32_t chunk = shape.chunk_begin; chunk < shape.chunk_end; ++chunk) {
      for (uint32_t p = 0; p < geometry.positions(chunk).size(); ++p) {
        for (uint32_t n = 0; n < kBlockNeurons; ++n, ++i) {
          wide[i] = Slope(chunk, p, tile.neuron_block * kBlockNeurons + n);
          narrow[i] = static_cast<int32_t>(wide[i]);
          LUTDB_CHECK(geometry.wide_slopes() || narrow[i] == wide[i]);
        }
      }
    }
    Slopes slopes;
    if (geometry.wide_slopes()) {
      slopes.wide = wide.get();
    } else {
      slopes.narrow = narrow.get();
    }
    std::string record;
    EncodeProductTile(geometry, tile, slopes, PayloadChecksum(geometry, tile, slopes), &record);
    return record;
  }

  std::string EntryRecord(const TileId& tile, Codec codec) const {
    const std::string payload = Payload(tile);
    std::string record;
    EncodeEntryTile(geometry, tile, payload.data(), codec, &record);
    return record;
  }
};

inline TableSpec Spec(uint32_t inputs, uint32_t neurons, uint32_t chunk, Grid grid, uint8_t bits,
                      EntryType entry, bool mirror) {
  TableSpec spec;
  spec.name = "sample";
  spec.inputs = inputs;
  spec.neurons = neurons;
  spec.chunk = chunk;
  spec.levels = {grid, bits};
  spec.entry = entry;
  spec.mirror = mirror;
  return spec;
}

// Chunks as lists: permuted, of different lengths, overlapping in input 2, with levels of their
// own.
inline TableSpec ListSpec(EntryType entry, bool mirror) {
  TableSpec spec = Spec(6, 70, 1, Grid::kSigned, 4, entry, mirror);
  spec.name = "lists";
  spec.chunks = {
      {{5, 2}, {{Grid::kSigned, 3}, {Grid::kSigned, 4}}},
      {{0}, {{Grid::kUnsigned, 5}}},
      {{4, 2, 1}, {{Grid::kSigned, 1}, {Grid::kUnsigned, 2}, {Grid::kSigned, 2}}},
      {{3}, {{Grid::kSigned, 6}}},
  };
  return spec;
}

inline std::vector<SampleTable> SampleTables() {
  std::vector<SampleTable> tables;
  uint32_t seed = 1;
  for (const EntryType entry : {EntryType::kI8, EntryType::kI16}) {
    for (const bool mirror : {false, true}) {
      tables.emplace_back(Spec(10, 70, 1, Grid::kSigned, 5, entry, mirror), seed++);
      tables.emplace_back(Spec(5, 64, 1, Grid::kUnsigned, 4, entry, mirror), seed++);
      tables.emplace_back(Spec(7, 3, 2, Grid::kSigned, 3, entry, mirror), seed++);
      tables.emplace_back(Spec(8, 5, 3, Grid::kSigned, 1, entry, mirror), seed++);
      tables.emplace_back(Spec(3, 65, 1, Grid::kSigned, 9, entry, mirror), seed++);
      tables.emplace_back(Spec(2, 2, 1, Grid::kUnsigned, 10, entry, mirror), seed++);
      tables.emplace_back(ListSpec(entry, mirror), seed++);
    }
  }
  return tables;
}

inline std::string Hex(std::string_view bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    text.push_back(kDigits[static_cast<uint8_t>(c) >> 4]);
    text.push_back(kDigits[static_cast<uint8_t>(c) & 15]);
  }
  return text;
}

}  // namespace lutdb
