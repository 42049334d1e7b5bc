// A tokenizer as plain data: what ingest lowers tokenizer files to and the engine runs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "schemas/table_spec.h"

namespace lutdb {

enum class TokenizerKind : uint8_t {
  kAbsent = 0,
  kScoreBpe = 1,  // llama2.c and SentencePiece BPE: merge the adjacent pair of highest score
};

struct TokenizerSpec {
  TokenizerKind kind = TokenizerKind::kAbsent;
  std::vector<std::string> tokens;  // bytes of each id; byte tokens are written "<0x41>"
  std::vector<float> scores;        // one per token
  uint32_t bos = kNone;
  uint32_t eos = kNone;
  uint32_t unknown = kNone;
  bool add_bos = true;
  bool add_space_prefix = true;  // a space token before text that is not empty; one leading space
                                 // is dropped when decoding after BOS
  bool operator==(const TokenizerSpec&) const = default;
};

std::string SerializeTokenizer(const TokenizerSpec& spec);
// DataLoss when malformed or inconsistent.
absl::StatusOr<TokenizerSpec> ParseTokenizer(std::string_view bytes);

}  // namespace lutdb
