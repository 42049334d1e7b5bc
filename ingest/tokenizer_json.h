// tokenizer.json of Hugging Face tokenizers, and the older pair vocab.json and merges.txt.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "schemas/tokenizer_spec.h"

namespace lutdb {

// Models of type BPE (byte-level, with byte fallback, or of characters), Unigram and WordPiece; a
// file that is a plain object of token to id is GPT-2's vocab.json, whose merges lie beside it
// (the same name with "merges.txt" for "vocab.json"). NotFound; DataLoss when malformed or
// contradictory; Unimplemented for types that are not known, named with those that are.
absl::StatusOr<TokenizerSpec> ReadTokenizerJson(const std::string& path);

}  // namespace lutdb
