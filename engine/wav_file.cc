#include "engine/wav_file.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/status.h"

namespace lutdb {
namespace {

constexpr uint32_t kRateMax = 1000000;
constexpr uint16_t kPcm = 1, kExtensible = 0xfffe;

absl::Status CheckFormat(std::string_view format, const std::string& path, uint16_t* bits,
                         uint32_t* rate) {
  if (format.size() < 16) return DataLoss("{}: its format is cut off", path);
  const auto encoding = LoadLittle<uint16_t>(format.data());
  const auto channels = LoadLittle<uint16_t>(format.data() + 2);
  *rate = LoadLittle<uint32_t>(format.data() + 4);
  *bits = LoadLittle<uint16_t>(format.data() + 14);
  if (encoding != kPcm && encoding != kExtensible) {
    return Unimplemented("{}: WAV encoding {} is not read; store plain 16-bit samples", path,
                         encoding);
  }
  if (channels != 1) {
    return Unimplemented("{} has {} channels; one is read: mix them to mono", path, channels);
  }
  if (*bits != 8 && *bits != 16) {
    return Unimplemented("{}: samples of {} bits are not read; store 16", path, *bits);
  }
  if (*rate == 0 || *rate > kRateMax) {
    return DataLoss("{}: {} samples per second cannot be meant", path, *rate);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<WavSound> ParseWav(std::string_view bytes, const std::string& path) {
  if (bytes.size() < 12 || bytes.substr(0, 4) != "RIFF" || bytes.substr(8, 4) != "WAVE") {
    return DataLoss("{} is not a WAV file", path);
  }
  WavSound sound;
  uint16_t bits = 0;
  std::string_view rest = bytes.substr(12);
  while (rest.size() >= 8) {
    const std::string_view id = rest.substr(0, 4);
    const uint64_t size = LoadLittle<uint32_t>(rest.data() + 4);
    rest.remove_prefix(8);
    if (size > rest.size()) return DataLoss("{} is truncated", path);
    const std::string_view body = rest.substr(0, size);
    if (id == "fmt ") LUTDB_RETURN_IF_ERROR(CheckFormat(body, path, &bits, &sound.rate));
    if (id == "data") {
      if (bits == 0) return DataLoss("{}: samples come before their format", path);
      const size_t sample_bytes = bits / 8;
      if (size == 0 || size % sample_bytes != 0) {
        return DataLoss("{}: {} bytes are no whole number of samples", path, size);
      }
      sound.samples.resize(size / sample_bytes);
      for (size_t i = 0; i < sound.samples.size(); ++i) {
        // 8-bit samples are unsigned, 128 being silence.
        sound.samples[i] = bits == 16
                               ? LoadLittle<int16_t>(body.data() + i * 2)
                               : static_cast<int16_t>((static_cast<uint8_t>(body[i]) - 128) * 256);
      }
      return sound;
    }
    rest.remove_prefix(std::min<size_t>(size + size % 2, rest.size()));
  }
  return DataLoss("{} holds no samples", path);
}

}  // namespace lutdb
