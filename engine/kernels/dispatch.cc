#include <string_view>

#include "engine/kernels/reference.h"

namespace lutdb::kernels {

const char* IsaName() { return "scalar"; }
const char* IsaList() { return "scalar"; }
bool ForceIsa(const char* name) { return std::string_view(name) == "scalar"; }

float ChooseScale(const float* x, size_t count, Levels levels) {
  return reference::ChooseScale(x, count, levels);
}
void LevelIndices(const float* x, size_t count, float scale, Levels levels, uint16_t* index) {
  return reference::LevelIndices(x, count, scale, levels, index);
}
void MixedLevelIndices(const float* x, size_t count, float scale, const Levels* levels,
                       uint16_t* index) {
  return reference::MixedLevelIndices(x, count, scale, levels, index);
}
void CombineIndices(const uint16_t* index, size_t chunks, uint32_t g, uint32_t level_count,
                    uint16_t* codes) {
  return reference::CombineIndices(index, chunks, g, level_count, codes);
}
void AddRows(const int16_t* const* rows, const int8_t* signs, size_t row_count, size_t neurons,
             int32_t* acc) {
  return reference::AddRows(rows, signs, row_count, neurons, acc);
}
void AddRows(const int8_t* const* rows, const int8_t* signs, size_t row_count, size_t neurons,
             int32_t* acc) {
  return reference::AddRows(rows, signs, row_count, neurons, acc);
}
void ScaleSums(const int32_t* acc, const float* step, const float* bias, float scale,
               size_t neurons, float* y) {
  return reference::ScaleSums(acc, step, bias, scale, neurons, y);
}
void ProductCodes(const int32_t* slopes, const Levels* levels, uint32_t positions, int shift,
                  uint32_t code_begin, uint32_t code_end, int16_t* out, size_t out_stride) {
  return reference::ProductCodes(slopes, levels, positions, shift, code_begin, code_end, out,
                                 out_stride);
}
void ProductCodes(const int32_t* slopes, const Levels* levels, uint32_t positions, int shift,
                  uint32_t code_begin, uint32_t code_end, int8_t* out, size_t out_stride) {
  return reference::ProductCodes(slopes, levels, positions, shift, code_begin, code_end, out,
                                 out_stride);
}
void ProductCodes(const int64_t* slopes, const Levels* levels, uint32_t positions, int shift,
                  uint32_t code_begin, uint32_t code_end, int16_t* out, size_t out_stride) {
  return reference::ProductCodes(slopes, levels, positions, shift, code_begin, code_end, out,
                                 out_stride);
}
void ProductCodes(const int64_t* slopes, const Levels* levels, uint32_t positions, int shift,
                  uint32_t code_begin, uint32_t code_end, int8_t* out, size_t out_stride) {
  return reference::ProductCodes(slopes, levels, positions, shift, code_begin, code_end, out,
                                 out_stride);
}
float Dot(const float* a, const float* b, size_t count) { return reference::Dot(a, b, count); }
void MatVec(const float* weights, const float* x, const float* bias, size_t rows, size_t cols,
            float* y) {
  return reference::MatVec(weights, x, bias, rows, cols, y);
}
void AddScaled(const float* x, float a, size_t count, float* y) {
  return reference::AddScaled(x, a, count, y);
}
void Add(const float* a, const float* b, size_t count, float* y) {
  return reference::Add(a, b, count, y);
}
void Multiply(const float* a, const float* b, size_t count, float* y) {
  return reference::Multiply(a, b, count, y);
}
void ScaleShift(const float* x, const float* scale, const float* shift, size_t count, float* y) {
  return reference::ScaleShift(x, scale, shift, count, y);
}
void RmsNorm(const float* x, const float* weight, float epsilon, size_t count, float* y) {
  return reference::RmsNorm(x, weight, epsilon, count, y);
}
void LayerNorm(const float* x, const float* weight, const float* shift, float epsilon, size_t count,
               float* y) {
  return reference::LayerNorm(x, weight, shift, epsilon, count, y);
}
void Activate(Activation activation, float alpha, const float* x, size_t count, float* y) {
  return reference::Activate(activation, alpha, x, count, y);
}
void Softmax(const float* x, size_t count, float* y) { return reference::Softmax(x, count, y); }
void Rope(const float* cosine, const float* sine, size_t heads, size_t head_dim, float* x) {
  return reference::Rope(cosine, sine, heads, head_dim, x);
}
void RopeAngles(uint32_t position, float theta, size_t head_dim, float* cosine, float* sine) {
  return reference::RopeAngles(position, theta, head_dim, cosine, sine);
}
float Exp(float x) { return reference::Exp(x); }
void ConvertF16(const uint16_t* from, size_t count, float* to) {
  return reference::ConvertF16(from, count, to);
}
void ConvertBF16(const uint16_t* from, size_t count, float* to) {
  return reference::ConvertBF16(from, count, to);
}

}  // namespace lutdb::kernels
