// The expressions by which known models split text into words, by the names that GGUF files give
// them (tokenizer.ggml.pre).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "schemas/tokenizer_spec.h"

namespace lutdb {

// How GPT-2 splits, which many take over.
extern const char kGpt2Expression[];

struct NamedSplit {
  std::vector<const char*> names;
  // Applied one after the other, each within the words the ones before it left.
  std::vector<const char*> expressions;
  bool ignore_merges = false;
  bool add_bos = false;  // unless the file says otherwise
};

// All that are known.
absl::Span<const NamedSplit> NamedSplits();
// Null when the name is not known.
const NamedSplit* FindNamedSplit(std::string_view name);

// A step that makes words of the matches of an expression and of what lies between.
TokenizerStep SplitStep(std::string expression, SplitBehavior behavior = SplitBehavior::kIsolated,
                        bool inverted = false);

// What BERT does to text before WordPiece: its normaliser's options, and its words, which are runs
// without white space and single punctuation marks.
void AppendBertNormalizers(bool clean_text, bool space_ideographs, bool strip_accents,
                           bool lowercase, std::vector<TokenizerStep>* steps);
void AppendBertSplits(std::vector<TokenizerStep>* steps);

// ASCII punctuation and symbols, and what Unicode calls punctuation.
extern const char kPunctuationExpression[];

}  // namespace lutdb
