// The scalar oracle: every kernel of kernels.h once more, with the same signature and contract,
// written to be read. Tests compare the vector kernels with it bit by bit, and the "scalar"
// instruction set is it. Thread-safe; no state.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/kernels/kernels.h"

namespace lutdb::kernels::reference {

float ChooseScale(const float* x, size_t count, Levels levels);
void LevelIndices(const float* x, size_t count, float scale, Levels levels, uint16_t* index);
void MixedLevelIndices(const float* x, size_t count, float scale, const Levels* levels,
                       uint16_t* index);
void CombineIndices(const uint16_t* index, size_t chunks, uint32_t g, uint32_t level_count,
                    uint16_t* codes);

void ThresholdIndices(const float* x, size_t count, float scale, UnevenLevels levels,
                      uint16_t* index);
float ChooseUnevenScale(const float* x, size_t count, UnevenLevels levels);
void NearestCodewords(const float* x, size_t chunks, uint32_t g, float scale,
                      const float* codewords, uint32_t count, uint16_t* index);
void Rotate(float* x, size_t count, uint32_t block_max);

void AddRows(const int16_t* const* rows, const int8_t* signs, size_t row_count, size_t neurons,
             int32_t* acc);
void AddRows(const int8_t* const* rows, const int8_t* signs, size_t row_count, size_t neurons,
             int32_t* acc);
void AddRowLists(const RowList<int16_t>* lists, size_t vectors, size_t begin, size_t end,
                 size_t acc_stride, int32_t* acc);
void AddRowLists(const RowList<int8_t>* lists, size_t vectors, size_t begin, size_t end,
                 size_t acc_stride, int32_t* acc);
void AddPacked(const int16_t* rows, const uint16_t* numbers, size_t each, size_t vectors,
               int32_t* sums);
void AddPacked(const int8_t* rows, const uint16_t* numbers, size_t each, size_t vectors,
               int16_t* sums);
void PassOnPacked(int32_t* sums, size_t vectors, size_t added, int32_t* acc);
void PassOnPacked(int16_t* sums, size_t vectors, size_t added, int32_t* acc);
void ScaleSums(const int32_t* acc, const float* step, const float* bias, float scale,
               size_t neurons, float* y);

void ProductCodes(const int32_t* slopes, const Levels* levels, uint32_t positions, int shift,
                  uint32_t code_begin, uint32_t code_end, int16_t* out, size_t out_stride);
void ProductCodes(const int32_t* slopes, const Levels* levels, uint32_t positions, int shift,
                  uint32_t code_begin, uint32_t code_end, int8_t* out, size_t out_stride);
void ProductCodes(const int64_t* slopes, const Levels* levels, uint32_t positions, int shift,
                  uint32_t code_begin, uint32_t code_end, int16_t* out, size_t out_stride);
void ProductCodes(const int64_t* slopes, const Levels* levels, uint32_t positions, int shift,
                  uint32_t code_begin, uint32_t code_end, int8_t* out, size_t out_stride);

void ShortenSlopes(int32_t* slopes, const LevelList* levels, uint32_t positions, int shift,
                   uint32_t* scratch);

void ProductRow(const int32_t* slopes, const int32_t* levels, uint32_t positions, size_t blocks,
                int16_t* out);
void ProductRow(const int32_t* slopes, const int32_t* levels, uint32_t positions, size_t blocks,
                int8_t* out);

void UnevenProductCodes(const int32_t* slopes, const int32_t* levels, uint32_t positions, int shift,
                        uint32_t codes, int16_t* out, size_t out_stride);
void UnevenProductCodes(const int32_t* slopes, const int32_t* levels, uint32_t positions, int shift,
                        uint32_t codes, int8_t* out, size_t out_stride);
void UnevenProductCodes(const int64_t* slopes, const int32_t* levels, uint32_t positions, int shift,
                        uint32_t codes, int16_t* out, size_t out_stride);
void UnevenProductCodes(const int64_t* slopes, const int32_t* levels, uint32_t positions, int shift,
                        uint32_t codes, int8_t* out, size_t out_stride);

float Dot(const float* a, const float* b, size_t count);
void MatVec(const float* weights, const float* x, const float* bias, size_t rows, size_t cols,
            float* y);
// y[i] += a * x[i]: one of AddScaledRows
void AddScaled(const float* x, float a, size_t count, float* y);
void AddScaledRows(const float* rows, const float* factors, size_t count, size_t cols, float* y);
void Add(const float* a, const float* b, size_t count, float* y);
void Multiply(const float* a, const float* b, size_t count, float* y);
void ScaleShift(const float* x, const float* scale, const float* shift, size_t count, float* y);
void RmsNorm(const float* x, const float* weight, float epsilon, size_t count, float* y);
void LayerNorm(const float* x, const float* weight, const float* shift, float epsilon, size_t count,
               float* y);
void Activate(Activation activation, float alpha, const float* x, size_t count, float* y);
void Softmax(const float* x, size_t count, float* y);
void Rope(const float* cosine, const float* sine, size_t heads, size_t head_dim, float* x);
void RopeFrequencies(float theta, size_t head_dim, double* frequencies);
void RopeAngles(uint32_t position, const double* frequencies, size_t pairs, float* cosine,
                float* sine);
float Exp(float x);
void ConvertF16(const uint16_t* from, size_t count, float* to);
void ConvertBF16(const uint16_t* from, size_t count, float* to);

}  // namespace lutdb::kernels::reference
