#include "ingest/sentence_pieces.h"

namespace lutdb {

std::string WithPlainSpaces(std::string_view piece) {
  constexpr std::string_view kSign = kSpaceSign;
  std::string plain;
  for (size_t at = piece.find(kSign); at != piece.npos; at = piece.find(kSign)) {
    plain.append(piece.substr(0, at)).push_back(' ');
    piece.remove_prefix(at + kSign.size());
  }
  return plain.append(piece);
}

void SetSentenceRules(const SentenceRules& rules, TokenizerSpec* spec) {
  std::vector<TokenizerStep>& steps = spec->normalizers;
  if (!rules.chars_map.empty()) {
    steps.push_back({.kind = TokenizerStepKind::kCharsMap, .pattern = rules.chars_map, .text = {}});
  }
  if (rules.remove_extra_whitespaces) {
    // At the end a space sign in the text counts as a space, at the beginning it does not. Looking
    // behind keeps this linear in long runs.
    steps.push_back({.kind = TokenizerStepKind::kReplaceExpression,
                     .pattern = R"re(\A +|(?<![ \x{2581}])[ \x{2581}]++\z)re",
                     .text = {}});
    steps.push_back(
        {.kind = TokenizerStepKind::kReplaceExpression, .pattern = " {2,}", .text = " "});
  }
  if (rules.add_space_prefix) {
    steps.push_back({.kind = TokenizerStepKind::kPrepend,
                     .option = static_cast<uint8_t>(rules.prefix_place),
                     .pattern = {},
                     .text = " "});
    spec->strip_start = 1;
  }
  // A space sign in the text is a space, as SentencePiece has it: one that is not counted above.
  steps.push_back({.kind = TokenizerStepKind::kReplace, .pattern = kSpaceSign, .text = " "});
}

}  // namespace lutdb
