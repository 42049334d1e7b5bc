// Element types of GGUF files, and the numbers that their packed blocks stand for.
//
// A packed type keeps a row as blocks of 32 or 256 elements: small integers, with scales (and for
// some types minimums) that a block shares. Unpacking multiplies and adds in f32 in the order ggml
// does, without fused multiply-add, so that every number has ggml's bits.
#pragma once

#include <cstdint>
#include <string>

#include "schemas/table_spec.h"

namespace lutdb {

inline constexpr uint32_t kPackedElementsMax = 256;

struct GgufType {
  uint32_t id;             // as the file has it
  const char* name;        // "Q4_K"
  uint32_t elements;       // of one block; 1 for plain types
  uint32_t bytes;          // of one block; 0: lutdb does not know
  const char* plain_type;  // "F32" for types a catalog has without unpacking, or nullptr
  // Writes `elements` numbers; block has `bytes` bytes and may be unaligned. nullptr: plain, or not
  // readable.
  void (*unpack)(const uint8_t* block, float* out);
};

// nullptr for a number no type has.
const GgufType* FindGgufType(uint32_t id);
// "F32, F16, ...": those whose numbers can be read.
std::string ReadableGgufTypes();

// Elements [begin, begin + count) of a row of blocks as f32.
void UnpackElements(const GgufType& type, const uint8_t* row, uint64_t begin, uint64_t count,
                    float* out);

}  // namespace lutdb
