// Pins of random codes compared with the definition of every entry.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

#include "base/status.h"
#include "query/row_source.h"
#include "tests/query/small_store.h"

namespace lutdb::testing {

// One code for each chunk of a table; `spread` below 1 favours a few codes, as real inputs do.
inline std::vector<uint16_t> RandomCodes(const TableGeometry& geometry, std::mt19937* random,
                                         bool skewed) {
  std::vector<uint16_t> codes;
  for (uint32_t chunk = 0; chunk < geometry.chunks(); ++chunk) {
    uint32_t code = (*random)() % geometry.codes(chunk);
    if (skewed && (*random)() % 4 != 0) code = geometry.codes(chunk) * (chunk % 5) / 5;
    codes.push_back(static_cast<uint16_t>(code));
  }
  return codes;
}

inline int32_t EntryAt(const SmallTable& table, const void* row, uint32_t neuron) {
  if (table.spec().entry == EntryType::kI8) return static_cast<const int8_t*>(row)[neuron];
  return static_cast<const int16_t*>(row)[neuron];
}

// What PinnedRows says about one chunk is the definition's row.
inline void ExpectRow(const SmallTable& table, const PinnedRows& pinned, size_t i, uint32_t chunk,
                      uint16_t code) {
  const void* row = pinned.rows()[i];
  const int sign = pinned.signs() == nullptr ? 1 : pinned.signs()[i];
  ASSERT_TRUE(sign == 1 || sign == -1);
  ASSERT_EQ(reinterpret_cast<uintptr_t>(row) % 64, 0u);
  for (uint32_t n = 0; n < table.geometry().neurons(); ++n) {
    const int32_t entry = row == nullptr ? 0 : sign * EntryAt(table, row, n);
    ASSERT_EQ(entry, table.Expected(n, chunk, code))
        << table.spec().name << " neuron " << n << " chunk " << chunk << " code " << code;
  }
}

// Pins a whole table in blocks of ChunksPerPin and checks every entry.
inline void ExpectPinsRight(RowSource* source, const SmallTable& table,
                            const std::vector<uint16_t>& codes, PinnedRows* pinned) {
  const uint32_t per_pin = source->ChunksPerPin(table.spec().id);
  ASSERT_GE(per_pin, 1u);
  for (uint32_t begin = 0; begin < codes.size(); begin += per_pin) {
    const absl::Span<const uint16_t> block = absl::MakeConstSpan(codes).subspan(begin, per_pin);
    const absl::Status status = source->Pin(table.spec().id, begin, block, pinned);
    ASSERT_TRUE(status.ok()) << Message(status);
    ASSERT_EQ(pinned->size(), block.size());
    for (size_t i = 0; i < block.size(); ++i) {
      ExpectRow(table, *pinned, i, begin + static_cast<uint32_t>(i), block[i]);
      if (::testing::Test::HasFatalFailure()) return;
    }
  }
}

// Every table a few times over.
inline void ExpectSourceRight(RowSource* source, const SmallStore& store, int rounds, uint32_t seed,
                              bool skewed = true) {
  std::mt19937 random(seed);
  PinnedRows pinned;
  for (int round = 0; round < rounds; ++round) {
    for (const SmallTable& table : store.tables()) {
      ExpectPinsRight(source, table, RandomCodes(table.geometry(), &random, skewed), &pinned);
      if (::testing::Test::HasFatalFailure()) return;
    }
  }
}

}  // namespace lutdb::testing
