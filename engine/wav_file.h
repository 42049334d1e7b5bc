// WAV recordings: RIFF with uncompressed 8- or 16-bit samples of one channel.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace lutdb {

struct WavSound {
  uint32_t rate = 0;  // samples per second
  std::vector<int16_t> samples;
};

// `path` is for messages. DataLoss when damaged, not WAV, or without samples; Unimplemented for
// other encodings and more than one channel.
absl::StatusOr<WavSound> ParseWav(std::string_view bytes, const std::string& path);

}  // namespace lutdb
