// Keys: fixed width, big-endian, so that bytewise order is numeric order. Contract: docs/format.md.
#pragma once

#include <cstdint>
#include <string>

namespace lutdb::db {

std::string TileKey(uint32_t table, uint32_t chunk_group, uint16_t neuron_block);          // 10 B
std::string RowKey(uint32_t table, uint32_t chunk, uint16_t code, uint16_t neuron_block);  // 12 B
std::string WeightsKey(uint32_t tensor, uint32_t row_block);                               // 8 B
// Family `history`: the entries of one tile that departed from the weights when the base generation
// was baked (coding/patch_record.h); absent: none.
inline constexpr char kBakedPrefix[] = "x";
std::string BakedKey(uint32_t table, uint32_t chunk_group, uint16_t neuron_block);
std::string TableEnd(uint32_t table);  // first key beyond a table's (or tensor's), any family

// Blobs of the `default` family.
inline constexpr char kManifestKey[] = "manifest";
inline constexpr char kGraphKey[] = "graph";
inline constexpr char kTokenizerKey[] = "tokenizer";
std::string StepsKey(uint32_t table);        // f32 per neuron, little-endian
std::string InputScalesKey(uint32_t table);  // f32 per input; absent: all 1
std::string ThresholdsKey(uint32_t op);      // integer-only constants of one op

}  // namespace lutdb::db
