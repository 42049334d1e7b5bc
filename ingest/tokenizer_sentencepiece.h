// SentencePiece model files (tokenizer.model): a protobuf message, read by hand, because the format
// needs three field types and protobuf's library cannot share a program with SentencePiece's.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "schemas/tokenizer_spec.h"

namespace lutdb {

// Models of type BPE and Unigram. A text begins with BOS where the model has one (as the models
// these files belong to want it); prefix and suffix can be changed by the caller. DataLoss when
// malformed; Unimplemented for other types, named. `where` names the file in errors.
absl::StatusOr<TokenizerSpec> ParseSentencePieceModel(std::string_view bytes,
                                                      const std::string& where);

}  // namespace lutdb
