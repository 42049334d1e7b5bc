// What a Hugging Face directory says about a model beside its tensors.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "ingest/architectures.h"

namespace lutdb {

// Reads a config.json, and the generation_config.json beside it where there is one: start and end
// tokens given there count. NotFound; DataLoss (a field missing, of the wrong type or out of
// range); Unimplemented (architecture, RoPE scaling, quantisation; the message names what is
// known).
absl::StatusOr<DecoderConfig> ReadHuggingFaceConfig(const std::string& path);

}  // namespace lutdb
