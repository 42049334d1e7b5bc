// llama2.c tokenizer files: u32 length of the longest token, then for each token its score (f32),
// its length (i32) and its bytes. The file does not say how many there are.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "schemas/tokenizer_spec.h"

namespace lutdb {

// Reads a tokenizer of exactly `vocabulary` tokens (0: however many there are). NotFound; DataLoss
// when truncated, malformed or of another number of tokens (the message names both).
absl::StatusOr<TokenizerSpec> ReadLlama2cTokenizer(const std::string& path, uint32_t vocabulary);

}  // namespace lutdb
