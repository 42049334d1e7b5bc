// Tokenizer files of every format, told apart by what they hold.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "schemas/tokenizer_spec.h"

namespace lutdb {

// A tokenizer.json (or vocab.json with merges.txt beside it), a SentencePiece model, a GGUF file
// with a vocabulary, or a llama2.c tokenizer. A tokenizer_config.json beside a tokenizer.json or
// SentencePiece model names BOS and EOS and says whether they are added.
//
// vocabulary: the model's, or 0 for any. NotFound; DataLoss when malformed, when an expression in
// it is broken, or when it contradicts the vocabulary; Unimplemented for what is not known. The
// result has `vocabulary` tokens: models round theirs up, and the ids beyond the tokenizer's have
// no text.
absl::StatusOr<TokenizerSpec> ReadTokenizerFile(const std::string& path, uint32_t vocabulary);

// The tokenizer that lies in a model's directory, "" when there is none.
std::string FindTokenizerFile(const std::string& directory);

// Checks a tokenizer that came with the model against the model's vocabulary, and pads it, as
// ReadTokenizerFile does. `where` names the file in errors.
absl::Status FitTokenizer(const std::string& where, uint32_t vocabulary, TokenizerSpec* spec);

}  // namespace lutdb
