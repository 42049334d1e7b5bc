#include "ingest/gguf_blocks.h"

#include <algorithm>

#include "base/bytes.h"
#include "engine/kernels/kernels.h"

namespace lutdb {
namespace {

float Half(const uint8_t* from) {
  const auto bits = LoadLittle<uint16_t>(from);
  float value;
  kernels::ConvertF16(&bits, 1, &value);
  return value;
}

// Types of 32 elements: element j in the low half of byte j, element j + 16 in the high half.

void UnpackQ4_0(const uint8_t* block, float* out) {
  const float scale = Half(block);
  const uint8_t* packed = block + 2;
  for (int j = 0; j < 16; ++j) {
    out[j] = static_cast<float>((packed[j] & 15) - 8) * scale;
    out[j + 16] = static_cast<float>((packed[j] >> 4) - 8) * scale;
  }
}

void UnpackQ4_1(const uint8_t* block, float* out) {
  const float scale = Half(block), low = Half(block + 2);
  const uint8_t* packed = block + 4;
  for (int j = 0; j < 16; ++j) {
    out[j] = static_cast<float>(packed[j] & 15) * scale + low;
    out[j + 16] = static_cast<float>(packed[j] >> 4) * scale + low;
  }
}

// The fifth bits of all 32 elements lie together, element j's at bit j.
struct FiveBits {
  int low, high;
};
FiveBits FiveBitsOf(const uint8_t* packed, uint32_t fifth, int j) {
  return {(packed[j] & 15) | static_cast<int>((fifth >> j & 1) << 4),
          (packed[j] >> 4) | static_cast<int>((fifth >> (j + 16) & 1) << 4)};
}

void UnpackQ5_0(const uint8_t* block, float* out) {
  const float scale = Half(block);
  const auto fifth = LoadLittle<uint32_t>(block + 2);
  for (int j = 0; j < 16; ++j) {
    const FiveBits bits = FiveBitsOf(block + 6, fifth, j);
    out[j] = static_cast<float>(bits.low - 16) * scale;
    out[j + 16] = static_cast<float>(bits.high - 16) * scale;
  }
}

void UnpackQ5_1(const uint8_t* block, float* out) {
  const float scale = Half(block), low = Half(block + 2);
  const auto fifth = LoadLittle<uint32_t>(block + 4);
  for (int j = 0; j < 16; ++j) {
    const FiveBits bits = FiveBitsOf(block + 8, fifth, j);
    out[j] = static_cast<float>(bits.low) * scale + low;
    out[j + 16] = static_cast<float>(bits.high) * scale + low;
  }
}

void UnpackQ8_0(const uint8_t* block, float* out) {
  const float scale = Half(block);
  for (int j = 0; j < 32; ++j)
    out[j] = static_cast<float>(LoadLittle<int8_t>(block + 2 + j)) * scale;
}

// Types of 256 elements, "super-blocks" of sub-blocks that have small integer scales.

// 16 sub-blocks of 16. Bytes 0..15: scale in the low half, minimum in the high half; 64 bytes of
// two bits per element; scale of the scales, scale of the minimums. Of each run of 128 elements,
// the four of equal place modulo 32 share a byte.
void UnpackQ2_K(const uint8_t* block, float* out) {
  const float scale = Half(block + 80), low = Half(block + 82);
  for (int i = 0; i < 256; ++i) {
    const int sub = block[i / 16];
    const int value = block[16 + i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
    out[i] = scale * static_cast<float>(sub & 15) * static_cast<float>(value) -
             low * static_cast<float>(sub >> 4);
  }
}

// 32 bytes of third bits (inverted: set means not to subtract 4), 64 bytes as in Q2_K, 12 bytes of
// sixteen 6-bit scales, scale of the scales.
void UnpackQ3_K(const uint8_t* block, float* out) {
  const uint8_t* third = block;
  const uint8_t* packed = block + 32;
  const uint8_t* scales = block + 96;
  const float scale = Half(block + 108);
  float sub_scales[16];
  for (int s = 0; s < 16; ++s) {
    const int low = s < 8 ? scales[s] & 15 : scales[s - 8] >> 4;
    const int high = scales[8 + s % 4] >> (s / 4 * 2) & 3;
    sub_scales[s] = scale * static_cast<float>((low | high << 4) - 32);
  }
  for (int i = 0; i < 256; ++i) {
    const int value = packed[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
    const int set = third[i % 32] >> (i / 32) & 1;
    out[i] = sub_scales[i / 16] * static_cast<float>(value - (set != 0 ? 0 : 4));
  }
}

// Eight 6-bit scales and eight 6-bit minimums in 12 bytes: those of sub-blocks 0..3 in the low six
// bits of bytes 0..3 and 4..7, those of 4..7 in bytes 8..11 with their top bits above the others.
struct ScaleAndLow {
  int scale, low;
};
ScaleAndLow SixBitPair(const uint8_t* packed, int sub) {
  if (sub < 4) return {packed[sub] & 63, packed[sub + 4] & 63};
  return {(packed[sub + 4] & 15) | (packed[sub - 4] >> 6 << 4),
          (packed[sub + 4] >> 4) | (packed[sub] >> 6 << 4)};
}

// Q4_K and Q5_K: 8 sub-blocks of 32; of each run of 64 elements the first 32 are low halves of
// bytes, the next 32 high halves. fifth: 32 bytes whose bit s is element's of sub-block s, or null.
void UnpackFourOrFiveBits(const uint8_t* block, const uint8_t* fifth, const uint8_t* packed,
                          float* out) {
  const float scale = Half(block), low = Half(block + 2);
  for (int sub = 0; sub < 8; ++sub) {
    const ScaleAndLow pair = SixBitPair(block + 4, sub);
    const float sub_scale = scale * static_cast<float>(pair.scale);
    const float sub_low = low * static_cast<float>(pair.low);
    for (int j = 0; j < 32; ++j) {
      int value = packed[sub / 2 * 32 + j] >> (sub % 2 * 4) & 15;
      if (fifth != nullptr) value |= (fifth[j] >> sub & 1) << 4;
      out[sub * 32 + j] = sub_scale * static_cast<float>(value) - sub_low;
    }
  }
}
void UnpackQ4_K(const uint8_t* block, float* out) {
  UnpackFourOrFiveBits(block, nullptr, block + 16, out);
}
void UnpackQ5_K(const uint8_t* block, float* out) {
  UnpackFourOrFiveBits(block, block + 16, block + 48, out);
}

// 128 bytes of low four bits, 64 of high two, 16 signed scales, scale of the scales. Of each run of
// 128 elements, those of place 0..63 are low halves of 64 bytes, the others high halves.
void UnpackQ6_K(const uint8_t* block, float* out) {
  const float scale = Half(block + 208);
  for (int i = 0; i < 256; ++i) {
    const int run = i / 128, place = i % 128;
    const int low = block[run * 64 + place % 64] >> (place / 64 * 4) & 15;
    const int high = block[128 + run * 32 + place % 32] >> (place / 32 * 2) & 3;
    const auto sub = static_cast<float>(LoadLittle<int8_t>(block + 192 + i / 16));
    out[i] = scale * sub * static_cast<float>((low | high << 4) - 32);
  }
}

// What the four bits of IQ4_NL and IQ4_XS stand for: levels that are closer together near zero.
constexpr int8_t kUnevenLevels[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                      1,    13,   25,  38,  53,  69,  89,  113};

void UnpackUneven(const uint8_t* packed, float scale, float* out) {
  for (int j = 0; j < 16; ++j) {
    out[j] = scale * static_cast<float>(kUnevenLevels[packed[j] & 15]);
    out[j + 16] = scale * static_cast<float>(kUnevenLevels[packed[j] >> 4]);
  }
}
void UnpackIQ4_NL(const uint8_t* block, float* out) { UnpackUneven(block + 2, Half(block), out); }

// 8 sub-blocks of 32 with 6-bit scales: high two bits in one u16, low four in four bytes.
void UnpackIQ4_XS(const uint8_t* block, float* out) {
  const float scale = Half(block);
  const auto high = LoadLittle<uint16_t>(block + 2);
  for (int sub = 0; sub < 8; ++sub) {
    const int low = block[4 + sub / 2] >> (sub % 2 * 4) & 15;
    const int sub_scale = low | (high >> (sub * 2) & 3) << 4;
    UnpackUneven(block + 8 + sub * 16, scale * static_cast<float>(sub_scale - 32), out + sub * 32);
  }
}

// Ternary digits as a fraction: a byte times 3^n, modulo 256, times 3, has digit n above its low
// eight bits. `width` bytes hold five digits each (or `digits`), all first digits first.
float* UnpackTernary(const uint8_t* packed, int width, int digits, float scale, float* out) {
  uint8_t power = 1;
  for (int n = 0; n < digits; ++n, power = static_cast<uint8_t>(power * 3)) {
    for (int j = 0; j < width; ++j) {
      const auto shifted = static_cast<uint8_t>(packed[j] * power);
      *out++ = static_cast<float>((shifted * 3 >> 8) - 1) * scale;
    }
  }
  return out;
}

void UnpackTQ1_0(const uint8_t* block, float* out) {
  const float scale = Half(block + 52);
  out = UnpackTernary(block, 32, 5, scale, out);
  out = UnpackTernary(block + 32, 16, 5, scale, out);
  UnpackTernary(block + 48, 4, 4, scale, out);
}

void UnpackTQ2_0(const uint8_t* block, float* out) {
  const float scale = Half(block + 64);
  for (int i = 0; i < 256; ++i) {
    const int value = block[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
    out[i] = static_cast<float>(value - 1) * scale;
  }
}

constexpr GgufType kTypes[] = {
    {0, "F32", 1, 4, "F32", nullptr},
    {1, "F16", 1, 2, "F16", nullptr},
    {30, "BF16", 1, 2, "BF16", nullptr},
    {2, "Q4_0", 32, 18, nullptr, UnpackQ4_0},
    {3, "Q4_1", 32, 20, nullptr, UnpackQ4_1},
    {6, "Q5_0", 32, 22, nullptr, UnpackQ5_0},
    {7, "Q5_1", 32, 24, nullptr, UnpackQ5_1},
    {8, "Q8_0", 32, 34, nullptr, UnpackQ8_0},
    {10, "Q2_K", 256, 84, nullptr, UnpackQ2_K},
    {11, "Q3_K", 256, 110, nullptr, UnpackQ3_K},
    {12, "Q4_K", 256, 144, nullptr, UnpackQ4_K},
    {13, "Q5_K", 256, 176, nullptr, UnpackQ5_K},
    {14, "Q6_K", 256, 210, nullptr, UnpackQ6_K},
    {20, "IQ4_NL", 32, 18, nullptr, UnpackIQ4_NL},
    {23, "IQ4_XS", 256, 136, nullptr, UnpackIQ4_XS},
    {34, "TQ1_0", 256, 54, nullptr, UnpackTQ1_0},
    {35, "TQ2_0", 256, 66, nullptr, UnpackTQ2_0},
    // Their sizes are known, so that a file may hold them; their numbers are not read.
    {24, "I8", 1, 1, "I8", nullptr},
    {25, "I16", 1, 2, "I16", nullptr},
    {26, "I32", 1, 4, "I32", nullptr},
    {27, "I64", 1, 8, "I64", nullptr},
    {28, "F64", 1, 8, "F64", nullptr},
    // Known by name alone.
    {9, "Q8_1", 32, 0, nullptr, nullptr},
    {15, "Q8_K", 256, 0, nullptr, nullptr},
    {16, "IQ2_XXS", 256, 0, nullptr, nullptr},
    {17, "IQ2_XS", 256, 0, nullptr, nullptr},
    {18, "IQ3_XXS", 256, 0, nullptr, nullptr},
    {19, "IQ1_S", 256, 0, nullptr, nullptr},
    {21, "IQ3_S", 256, 0, nullptr, nullptr},
    {22, "IQ2_S", 256, 0, nullptr, nullptr},
    {29, "IQ1_M", 256, 0, nullptr, nullptr},
    {39, "MXFP4", 32, 0, nullptr, nullptr},
};

// The types before I8 in the table.
constexpr uint32_t kFirstUnreadable = 24;

}  // namespace

const GgufType* FindGgufType(uint32_t id) {
  const auto found = std::find_if(std::begin(kTypes), std::end(kTypes),
                                  [id](const GgufType& type) { return type.id == id; });
  return found == std::end(kTypes) ? nullptr : found;
}

std::string ReadableGgufTypes() {
  std::string names;
  for (const GgufType& type : kTypes) {
    if (type.id == kFirstUnreadable) break;
    names += (names.empty() ? "" : ", ") + std::string(type.name);
  }
  return names;
}

void UnpackElements(const GgufType& type, const uint8_t* row, uint64_t begin, uint64_t count,
                    float* out) {
  float whole[kPackedElementsMax];
  for (const uint64_t end = begin + count; begin < end;) {
    const uint64_t block = begin / type.elements, skipped = begin % type.elements;
    const uint64_t taken = std::min(type.elements - skipped, end - begin);
    const uint8_t* from = row + block * type.bytes;
    if (taken == type.elements) {
      type.unpack(from, out);
    } else {
      type.unpack(from, whole);
      std::copy_n(whole + skipped, taken, out);
    }
    out += taken;
    begin += taken;
  }
}

}  // namespace lutdb
