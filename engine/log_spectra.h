// The front end of recordings: log spectra, the same bits on every machine.
//
// All in double with basic operations and square roots, which IEEE 754 rounds everywhere alike; the
// sines come from halving angles and the logarithm is our own, since libm's differ.
#pragma once

#include <complex>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "lutdb/dataset.h"

namespace lutdb {

// The natural logarithm of a positive normal number, to about 1e-15 relative to max(1, |ln x|).
double NaturalLog(double x);

class LogSpectra {
 public:
  // InvalidArgument for options out of their bounds, and for bands so narrow that one of them
  // has no bin of the spectrum.
  static absl::StatusOr<LogSpectra> Create(const WavFrontEnd& options, uint32_t rate);

  uint32_t width() const { return options_.frames * options_.bands; }
  uint32_t rate() const { return rate_; }
  // One row: width() numbers. samples is not empty.
  void Row(absl::Span<const int16_t> samples, absl::Span<float> row);

 private:
  explicit LogSpectra(const WavFrontEnd& options, uint32_t rate);
  absl::Status CheckBands() const;
  void Transform();  // in place, decimation in time

  WavFrontEnd options_;
  uint32_t rate_;
  std::vector<std::complex<double>> twiddles_;  // exp(-2 pi i k / window), k < window / 2
  std::vector<double> hann_;
  double hann_power_ = 0;              // sum of squares
  std::vector<double> band_position_;  // per bin, in bands: band b is centred on b + 1
  std::vector<std::complex<double>> spectrum_;
  std::vector<double> values_;
};

}  // namespace lutdb
