// Every kernel's contract. Kernels are free functions on pointers and counts: no status,
// allocation, lock or log. Each has a scalar oracle of the same signature in namespace
// lutdb::kernels::reference (reference.cc, written to be read) and gives the same bits as it on
// every instruction set.
//
// f32 reductions use 16 lanes in a fixed order: lane l sums elements l, l + 16, ... in ascending
// order, then the lanes are folded 8, 4, 2, 1 (lane l += lane l + 8, ...). No fused multiply-add.
// exp, sin, cos and tanh are our own. So f32 results, too, are the same bits everywhere.
//
// Unless a contract says otherwise: pointers need only their type's alignment, inputs and outputs
// do not overlap (exact aliasing y == x is fine for element-wise kernels), any count >= 0 is
// allowed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "schemas/graph.h"  // Activation

namespace lutdb::kernels {

// ---- Dispatch (dispatch.cc) ----

// The instruction set in use: "scalar", "ssse3", "sse4", "avx2", "avx3", ...
const char* IsaName();
// Every instruction set this machine can run, best first, separated by single spaces.
const char* IsaList();
// Uses the named instruction set from now on; false (and no change) when unknown or unsupported.
// Not thread-safe: call before other kernels. The library calls it once with LUTDB_FORCE_ISA.
bool ForceIsa(const char* name);

// ---- Input coding (encode.cc) ----

// Level grid of one input, as coding/levels.h's LevelRange.
struct Levels {
  int32_t min;
  int32_t max;
  int32_t stride;
};

// The scale s > 0 for which sum((x - s * level(x / s))^2) is least among a fixed list of candidates
// between a fraction of the largest magnitude and the whole of it; the exact mean magnitude for one
// signed bit. 1 when x is all zero. x must be finite. Ties: the larger scale.
float ChooseScale(const float* x, size_t count, Levels levels);

// index[i] = number (0-based, ascending) of the level nearest to x[i] / scale, ties to even,
// clamped to the grid; for stride 2 (one signed bit): 1 if x[i] >= 0 else 0.
void LevelIndices(const float* x, size_t count, float scale, Levels levels, uint16_t* index);
// The same with a grid of its own for each element.
void MixedLevelIndices(const float* x, size_t count, float scale, const Levels* levels,
                       uint16_t* index);
// codes[c] = index[c*g] * level_count^(g-1) + ... + index[c*g + g-1].
void CombineIndices(const uint16_t* index, size_t chunks, uint32_t g, uint32_t level_count,
                    uint16_t* codes);

// Learned levels of one input (coding/levels.h's LevelSet), as floats. All pointers outlive the
// use.
struct UnevenLevels {
  const float* levels;      // count, ascending
  const float* thresholds;  // count - 1, ascending
  uint32_t count;           // 2 to 256
};

// index[i] = how many thresholds are <= x[i] / scale.
void ThresholdIndices(const float* x, size_t count, float scale, UnevenLevels levels,
                      uint16_t* index);
// The scale for which sum((x - s * level(x / s))^2) is least, level() as ThresholdIndices has it,
// among a fixed list of candidates between a fraction of the scale at which nothing is clipped and
// the whole of it. 1 when x is all zero, or has no sign that a level has. Ties: the larger scale.
float ChooseUnevenScale(const float* x, size_t count, UnevenLevels levels);
// index[c] = the codeword nearest to the g numbers x[c*g] / scale, ...; the lowest of equally near
// ones. codewords: count x g.
void NearestCodewords(const float* x, size_t chunks, uint32_t g, float scale,
                      const float* codewords, uint32_t count, uint16_t* index);

// Hadamard rotation in place: x is cut into blocks, each as long as the largest power of two that
// is at most `block_max` and fits what is left. A block of 2^k numbers is multiplied by 2^-(k/2)
// (rounded down) and then added up in k passes: for h = 1, 2, 4, ... each pair (x[i], x[i + h])
// becomes its sum and its difference. Numbers beyond 1e36 are taken for 1e36, so that none
// overflows.
void Rotate(float* x, size_t count, uint32_t block_max);

// ---- Look up and add (accumulate.cc) ----

// acc[n] += sum over r of sign[r] * rows[r][n] for n < neurons. A null row is skipped (all zero).
// signs (+1 or -1 per row) may be null: all +1. Rows are aligned to 64 bytes and readable to the
// next multiple of 64 bytes. At most 65,538 rows over the life of acc, so that int32 cannot
// overflow.
void AddRows(const int16_t* const* rows, const int8_t* signs, size_t row_count, size_t neurons,
             int32_t* acc);
void AddRows(const int8_t* const* rows, const int8_t* signs, size_t row_count, size_t neurons,
             int32_t* acc);
// The rows of one vector: `added` rows to be added and, after them, `subtracted` ones; none null.
template <typename Entry>
struct RowList {
  const Entry* const* rows = nullptr;
  size_t added = 0;
  size_t subtracted = 0;
};
// acc[v * acc_stride + n] += the sum of the rows of lists[v] at n, for v < vectors and n in
// [begin, end). begin is a multiple of 64; rows as for AddRows.
void AddRowLists(const RowList<int16_t>* lists, size_t vectors, size_t begin, size_t end,
                 size_t acc_stride, int32_t* acc);
void AddRowLists(const RowList<int8_t>* lists, size_t vectors, size_t begin, size_t end,
                 size_t acc_stride, int32_t* acc);
// Rows of 64 neurons that lie packed, one after the other, for many vectors at once
// (accumulate_packed.cc). Sums on the way are kept in the wider type, 64 numbers a vector, in a
// form of their own that begins as all zero: PassOnPacked makes sums of them.
inline constexpr size_t kPackedNeurons = 64;
inline constexpr size_t kPackedRowsMax = 252;  // of int8 entries, between two calls of PassOnPacked
template <typename Entry>
using PackedSum = std::conditional_t<sizeof(Entry) == 1, int16_t, int32_t>;
// Adds to the sums of vector v the rows numbers[v * each], ..., numbers[v * each + each - 1]. rows
// and sums are aligned to 64 bytes.
void AddPacked(const int16_t* rows, const uint16_t* numbers, size_t each, size_t vectors,
               int32_t* sums);
void AddPacked(const int8_t* rows, const uint16_t* numbers, size_t each, size_t vectors,
               int16_t* sums);
// acc[v * 64 + n] += the sum of the `added` rows that vector v was given; sums are zero again. acc
// is aligned to 64 bytes.
void PassOnPacked(int32_t* sums, size_t vectors, size_t added, int32_t* acc);
void PassOnPacked(int16_t* sums, size_t vectors, size_t added, int32_t* acc);

// y[n] = (scale * step[n]) * float(acc[n]) + bias[n]; bias may be null.
void ScaleSums(const int32_t* acc, const float* step, const float* bias, float scale,
               size_t neurons, float* y);

// ---- Making product records (shorten.cc) ----

// The levels of one input, ascending.
struct LevelList {
  const int32_t* levels;
  uint32_t count;
};
inline constexpr uint32_t kShortenPositionsMax = 8;
// How far a slope may move is worked out to 22 bits, whose quotients f32 has exactly.
inline constexpr int ShortenSpareBits(int shift) { return shift > 22 ? shift - 22 : 0; }
// Replaces the slopes of one chunk (positions x 64, neuron fastest; F = shift, 16 or 24) by ones
// that make the same entries for every code and end in as many zero bits as they can: position
// after position, each as round as the others leave it. Entries are within 127 (F = 24) or 32767;
// levels within 32767. scratch: ShortenScratch numbers, aligned to 64 bytes.
void ShortenSlopes(int32_t* slopes, const LevelList* levels, uint32_t positions, int shift,
                   uint32_t* scratch);
size_t ShortenScratch(const LevelList* levels, uint32_t positions);

// ---- Decoding product records (decode.cc) ----

// Entries of one chunk for 64 neurons, codes [code_begin, code_end), from its slopes (positions x
// 64, neuron fastest), as section 3 of the design defines them: made by running addition, the
// mirrored half by negation. Code c goes to out + (c - code_begin) * out_stride elements (>= 64).
// slopes aligned to 64 bytes; out to 64 bytes when out_stride is a multiple of 64 bytes.
void ProductCodes(const int32_t* slopes, const Levels* levels, uint32_t positions, int shift,
                  uint32_t code_begin, uint32_t code_end, int16_t* out, size_t out_stride);
void ProductCodes(const int32_t* slopes, const Levels* levels, uint32_t positions, int shift,
                  uint32_t code_begin, uint32_t code_end, int8_t* out, size_t out_stride);
void ProductCodes(const int64_t* slopes, const Levels* levels, uint32_t positions, int shift,
                  uint32_t code_begin, uint32_t code_end, int16_t* out, size_t out_stride);
void ProductCodes(const int64_t* slopes, const Levels* levels, uint32_t positions, int shift,
                  uint32_t code_begin, uint32_t code_end, int8_t* out, size_t out_stride);

// One code for many blocks of 64 neurons, by shifted additions (product_row.cc). slopes: block
// after block, each positions x 64; levels: of the code, one per position. Block b goes to
// out + 64 * b. F = 16 for i16, 24 for i8; 1 to 16 positions.
void ProductRow(const int32_t* slopes, const int32_t* levels, uint32_t positions, size_t blocks,
                int16_t* out);
void ProductRow(const int32_t* slopes, const int32_t* levels, uint32_t positions, size_t blocks,
                int8_t* out);

// The same where levels lie at uneven distances: `levels` has one row of `positions` levels for
// each code to be made (codes of them), and every entry is made by multiplying. Any shift.
void UnevenProductCodes(const int32_t* slopes, const int32_t* levels, uint32_t positions, int shift,
                        uint32_t codes, int16_t* out, size_t out_stride);
void UnevenProductCodes(const int32_t* slopes, const int32_t* levels, uint32_t positions, int shift,
                        uint32_t codes, int8_t* out, size_t out_stride);
void UnevenProductCodes(const int64_t* slopes, const int32_t* levels, uint32_t positions, int shift,
                        uint32_t codes, int16_t* out, size_t out_stride);
void UnevenProductCodes(const int64_t* slopes, const int32_t* levels, uint32_t positions, int shift,
                        uint32_t codes, int8_t* out, size_t out_stride);

// ---- f32 ops (elementwise.cc) ----

float Dot(const float* a, const float* b, size_t count);
// y[r] = Dot(weights + r * cols, x, cols) (+ bias[r] when bias is not null).
void MatVec(const float* weights, const float* x, const float* bias, size_t rows, size_t cols,
            float* y);
// y[i] += factors[r] * rows[r * cols + i], one row after the other, r ascending.
void AddScaledRows(const float* rows, const float* factors, size_t count, size_t cols, float* y);
void Add(const float* a, const float* b, size_t count, float* y);
void Multiply(const float* a, const float* b, size_t count, float* y);
void ScaleShift(const float* x, const float* scale, const float* shift, size_t count, float* y);
// y = x * (1 / sqrt(mean(x^2) + epsilon)) * weight
void RmsNorm(const float* x, const float* weight, float epsilon, size_t count, float* y);
// shift may be null.
void LayerNorm(const float* x, const float* weight, const float* shift, float epsilon, size_t count,
               float* y);
void Activate(Activation activation, float alpha, const float* x, size_t count, float* y);
void Softmax(const float* x, size_t count, float* y);
// Rotate-half RoPE in place on heads x head_dim. cosine and sine have head_dim / 2 elements.
void Rope(const float* cosine, const float* sine, size_t heads, size_t head_dim, float* x);
// How fast each of the head_dim / 2 pairs of a head turns, in radians per position:
// theta^(-2 i / head_dim).
void RopeFrequencies(float theta, size_t head_dim, double* frequencies);
// Angles of one position: cosine[i], sine[i] of position * frequencies[i], computed in double by
// our own functions, rounded once.
void RopeAngles(uint32_t position, const double* frequencies, size_t pairs, float* cosine,
                float* sine);
// Our own exp, correctly deterministic (within 2 ulp); -inf -> 0.
float Exp(float x);

// Source weights to f32, exactly.
void ConvertF16(const uint16_t* from, size_t count, float* to);
void ConvertBF16(const uint16_t* from, size_t count, float* to);

}  // namespace lutdb::kernels
