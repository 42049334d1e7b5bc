// Normalising text before it is split: the steps of a TokenizerSpec, in order.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/regex.h"
#include "engine/chars_map.h"
#include "schemas/tokenizer_spec.h"

namespace lutdb {

// Appends a code point as UTF-8; it is a valid one.
void AppendUtf8(int32_t code_point, std::string* out);

// Immutable; thread-safe.
class Normalizer {
 public:
  // InvalidArgument for a broken expression, DataLoss for a damaged character map.
  static absl::StatusOr<Normalizer> Create(const std::vector<TokenizerStep>& steps);

  // text is UTF-8, and so is the result. at_start: nothing comes before it.
  absl::StatusOr<std::string> Apply(std::string_view text, bool at_start) const;

 private:
  struct Step {
    TokenizerStep step;
    std::optional<Regex> expression;
    std::optional<CharsMap> map;
  };
  Normalizer() = default;
  std::vector<Step> steps_;
};

}  // namespace lutdb
