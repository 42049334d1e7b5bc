// The steps of a tokenizer.json: normalizer, pre_tokenizer and decoder, lowered to ours.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "absl/status/status.h"
#include "schemas/tokenizer_spec.h"

namespace lutdb {

// Each takes the member's value (null: there is none) and adds to the spec. DataLoss when
// malformed, Unimplemented for a type that is not known (the message names those that are). `where`
// names the file and the member.
absl::Status LowerNormalizer(const nlohmann::json& value, const std::string& where,
                             TokenizerSpec* spec);
absl::Status LowerPreTokenizer(const nlohmann::json& value, const std::string& where,
                               TokenizerSpec* spec);
absl::Status LowerDecoder(const nlohmann::json& value, const std::string& where,
                          TokenizerSpec* spec);

}  // namespace lutdb
