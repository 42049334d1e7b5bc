// Constants of our exp, tanh and erf, shared by the scalar oracle and the vector kernels. The
// coefficients are minimax fits made for this project (weighted least squares, re-weighted until
// the error is level); each comment gives the largest error of the polynomial itself.
#pragma once

namespace lutdb::kernels {

// Adding and subtracting 1.5 * 2^23 rounds |x| < 2^22 to an integer, half to even, on any machine.
inline constexpr float kRoundShift = 12582912.0f;

// exp(x) = 2^k * (1 + r + r^2 * P(r)), k = round(x / ln 2), r = x - k ln 2 in two exact steps.
// Relative error of the polynomial 3.1e-9 for |r| <= ln(2) / 2.
inline constexpr float kExpLow = -104.0f;  // exp is 0 from here down
inline constexpr float kExpHigh = 89.0f;   // and infinite from here up
inline constexpr float kLog2E = 1.44269504f;
inline constexpr float kLn2High = 0.693359375f;
inline constexpr float kLn2Low = -2.12194440e-4f;
inline constexpr float kExpP[5] = {0.49999994f, 0.16666521f, 0.04166839f, 0.0083687175f,
                                   0.0013814599f};

// tanh(x) = x + x^3 * P(x^2) for |x| <= kTanhSmall, relative error 4.4e-9; 1 - 2 / (exp(2x) + 1)
// beyond.
inline constexpr float kTanhSmall = 0.625f;
inline constexpr float kTanhP[5] = {-0.3333328f, 0.13331442f, -0.053739704f, 0.020639053f,
                                    -0.0057049464f};

// erfc(z) = exp(-z^2) * t * P(t), t = 1 / (1 + z / 2), for z >= 0: absolute error 5.1e-8, so that
// erf with f32 rounding stays within 4e-7.
inline constexpr float kErfcP[7] = {0.28178707f, 0.28369594f, 0.25601223f, 0.09017935f,
                                    0.33262458f, -0.325807f,  0.081507884f};
inline constexpr float kSqrtHalf = 0.70710678f;

// gelu_tanh(x) = x / (1 + exp(-2 u)), u = sqrt(2 / pi) * (x + 0.044715 x^3).
inline constexpr float kSqrtTwoOverPi = 0.79788456f;
inline constexpr float kGeluCubic = 0.044715f;

// Candidates of ChooseScale: the base scale times ratio^0, ratio^1, ... Clipping pays off more the
// fewer levels there are; from 9 bits on it hardly ever does.
struct ScaleSearch {
  float ratio;
  int candidates;
};
inline constexpr ScaleSearch ScaleSearchFor(int max_level) {
  if (max_level <= 3) return {0.9375f, 33};     // down to 0.13
  if (max_level <= 15) return {0.96875f, 36};   // down to 0.33
  if (max_level <= 63) return {0.984375f, 28};  // down to 0.65
  // At 8 bits every ratio near this one codes equally well within noise. This one also keeps the
  // greedy text of the stories260K reference model, where two tokens are once only 0.004 apart.
  if (max_level <= 255) return {0.992f, 16};  // down to 0.89
  if (max_level <= 2047) return {0.998046875f, 4};
  return {1.0f, 1};
}

}  // namespace lutdb::kernels
