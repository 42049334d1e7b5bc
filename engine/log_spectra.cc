#include "engine/log_spectra.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/check.h"
#include "base/status.h"

namespace lutdb {
namespace {

constexpr uint32_t kFramesMax = 1024, kBandsMax = 256;
constexpr uint32_t kWindowMin = 32, kWindowMax = 4096;
constexpr double kLn2 = 0.69314718055994530942;
constexpr double kMelHz = 700.0;

// std::complex's own product checks for NaN and may call a library function.
std::complex<double> Times(std::complex<double> a, std::complex<double> b) {
  return {a.real() * b.real() - a.imag() * b.imag(), a.real() * b.imag() + a.imag() * b.real()};
}

// exp(-2 pi i k / count) for k < count / 2; count is a power of two, at least 4.
std::vector<std::complex<double>> Twiddles(uint32_t count) {
  // rotation[j] turns by 2^j / count of a circle; from the quarter circle down by halving.
  const auto bits = static_cast<uint32_t>(std::countr_zero(count));
  std::vector<std::complex<double>> rotation(bits - 1);
  rotation.back() = {0, -1};
  for (uint32_t j = bits - 2; j > 0; --j) {
    const double cosine = std::sqrt((1 + rotation[j].real()) / 2);
    rotation[j - 1] = {cosine, rotation[j].imag() / (2 * cosine)};
  }
  std::vector<std::complex<double>> twiddles(count / 2, {1, 0});
  for (uint32_t k = 1; k < count / 2; ++k) {
    const auto lowest = static_cast<uint32_t>(std::countr_zero(k));
    twiddles[k] = Times(twiddles[k & (k - 1)], rotation[lowest]);
  }
  return twiddles;
}

double Mel(double hz) { return NaturalLog(1 + hz / kMelHz); }

}  // namespace

double NaturalLog(double x) {
  LUTDB_DCHECK(x > 0);
  constexpr double kRootHalf = 0.70710678118654752440;
  int exponent = 0;
  double mantissa = std::frexp(x, &exponent);  // exact
  if (mantissa < kRootHalf) {
    mantissa *= 2;
    --exponent;
  }
  // ln m = 2 atanh((m - 1) / (m + 1)), a series in squares of at most 0.0295.
  const double s = (mantissa - 1) / (mantissa + 1);
  double sum = 0;
  for (int odd = 23; odd >= 1; odd -= 2) sum = sum * s * s + 1.0 / odd;
  return exponent * kLn2 + 2 * s * sum;
}

LogSpectra::LogSpectra(const WavFrontEnd& options, uint32_t rate)
    : options_(options),
      rate_(rate),
      twiddles_(Twiddles(options.window)),
      hann_(options.window),
      band_position_(options.window / 2 + 1),
      spectrum_(options.window),
      values_(size_t{options.frames} * options.bands) {
  for (uint32_t i = 0; i < options.window; ++i) {
    const double cosine =
        i < options.window / 2 ? twiddles_[i].real() : -twiddles_[i - options.window / 2].real();
    hann_[i] = 0.5 - 0.5 * cosine;
    hann_power_ += hann_[i] * hann_[i];
  }
  const double scale = (options.bands + 1) / Mel(rate / 2.0);
  for (uint32_t bin = 0; bin <= options.window / 2; ++bin) {
    band_position_[bin] = scale * Mel(static_cast<double>(rate) * bin / options.window);
  }
}

absl::Status LogSpectra::CheckBands() const {
  for (uint32_t band = 0; band < options_.bands; ++band) {
    const bool any = std::any_of(band_position_.begin(), band_position_.end(),
                                 [&](double at) { return std::fabs(at - (band + 1)) < 1; });
    if (!any) {
      return InvalidArgument(
          "{} bands of a window of {} samples at {} Hz: band {} lies between two "
          "bins; ask for fewer bands or a longer window",
          options_.bands, options_.window, rate_, band);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<LogSpectra> LogSpectra::Create(const WavFrontEnd& options, uint32_t rate) {
  if (options.frames < 1 || options.frames > kFramesMax) {
    return InvalidArgument("{} frames are not between 1 and {}", options.frames, kFramesMax);
  }
  if (options.bands < 1 || options.bands > kBandsMax) {
    return InvalidArgument("{} bands are not between 1 and {}", options.bands, kBandsMax);
  }
  if (!std::has_single_bit(options.window) || options.window < kWindowMin ||
      options.window > kWindowMax) {
    return InvalidArgument("a window of {} samples is no power of two between {} and {}",
                           options.window, kWindowMin, kWindowMax);
  }
  LUTDB_CHECK(rate > 0);
  LogSpectra spectra(options, rate);
  LUTDB_RETURN_IF_ERROR(spectra.CheckBands());
  return spectra;
}

void LogSpectra::Transform() {
  const uint32_t count = options_.window;
  for (uint32_t i = 0, reversed = 0; i < count; ++i) {
    if (i < reversed) std::swap(spectrum_[i], spectrum_[reversed]);
    uint32_t bit = count / 2;
    for (; bit > 0 && (reversed & bit) != 0; bit /= 2) reversed ^= bit;
    reversed |= bit;
  }
  for (uint32_t half = 1; half < count; half *= 2) {
    const uint32_t stride = count / (2 * half);
    for (uint32_t begin = 0; begin < count; begin += 2 * half) {
      for (uint32_t k = 0; k < half; ++k) {
        const std::complex<double> even = spectrum_[begin + k];
        const std::complex<double> odd = Times(spectrum_[begin + half + k], twiddles_[k * stride]);
        spectrum_[begin + k] = even + odd;
        spectrum_[begin + half + k] = even - odd;
      }
    }
  }
}

void LogSpectra::Row(absl::Span<const int16_t> samples, absl::Span<float> row) {
  LUTDB_CHECK(row.size() == width() && !samples.empty());
  const uint64_t window = options_.window;
  const uint64_t slack = samples.size() > window ? samples.size() - window : 0;
  double sum = 0;
  for (uint32_t frame = 0; frame < options_.frames; ++frame) {
    const uint64_t begin = options_.frames == 1 ? slack / 2 : slack * frame / (options_.frames - 1);
    for (uint64_t i = 0; i < window; ++i) {
      const bool inside = begin + i < samples.size();
      spectrum_[i] = {inside ? hann_[i] * samples[begin + i] : 0.0, 0.0};
    }
    Transform();
    double* bands = values_.data() + size_t{frame} * options_.bands;
    std::fill_n(bands, options_.bands, 0.0);
    for (uint32_t bin = 0; bin <= window / 2; ++bin) {
      const std::complex<double> x = spectrum_[bin];
      const double power = (x.real() * x.real() + x.imag() * x.imag()) / hann_power_;
      // Between the centres of two bands a bin is shared by both.
      const auto below = static_cast<uint32_t>(band_position_[bin]);
      const double share = band_position_[bin] - below;
      if (below >= 1 && below <= options_.bands) bands[below - 1] += (1 - share) * power;
      if (below < options_.bands) bands[below] += share * power;
    }
    for (uint32_t band = 0; band < options_.bands; ++band) {
      bands[band] = NaturalLog(1 + bands[band]);
      sum += bands[band];
    }
  }
  const double mean = sum / width();
  for (size_t i = 0; i < row.size(); ++i) row[i] = static_cast<float>(values_[i] - mean);
}

}  // namespace lutdb
