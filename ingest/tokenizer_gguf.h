// The vocabulary inside a GGUF file (tokenizer.ggml.*).
#pragma once

#include "absl/status/statusor.h"
#include "ingest/gguf_metadata.h"
#include "schemas/tokenizer_spec.h"

namespace lutdb {

// Vocabularies of model "llama" (SentencePiece BPE), "gpt2" (byte-level BPE, split as
// tokenizer.ggml.pre names it), "gemma4" (BPE over whole lines), "bert" (WordPiece) and "t5"
// (Unigram). Kind kAbsent when the file has none. DataLoss when the lists contradict each other;
// Unimplemented for another model or an unknown name of splitting (the message says what is known).
absl::StatusOr<TokenizerSpec> ReadGgufTokenizer(const GgufMetadata& metadata);

}  // namespace lutdb
