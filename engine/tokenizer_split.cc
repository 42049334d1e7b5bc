#include "engine/tokenizer_split.h"

#include <utf8proc.h>

#include <algorithm>
#include <functional>

#include "base/status.h"
#include "engine/utf8.h"

namespace lutdb {
namespace {

using Word = SplitText::Word;

// A stretch of a word: a match, or what lies between two.
struct Part {
  size_t begin, end;
  bool match;
};

absl::StatusOr<std::vector<Part>> FindParts(std::string_view text, Word word,
                                            const Regex& expression, bool inverted) {
  std::vector<Part> parts;
  const auto add = [&](size_t begin, size_t end, bool match) {
    if (begin < end) parts.push_back({begin, end, match != inverted});
  };
  // The expression sees the word alone: looking around ends at its ends.
  const std::string_view subject = text.substr(word.begin, word.end - word.begin);
  size_t after = 0;  // where the last match ended
  for (size_t from = 0; from < subject.size();) {
    RegexMatch match;
    LUTDB_ASSIGN_OR_RETURN(const bool found, expression.Find(subject, from, &match));
    if (!found) break;
    add(word.begin + after, word.begin + match.begin, false);
    add(word.begin + match.begin, word.begin + match.end, true);
    after = match.end;
    from = match.end;
    if (match.begin == match.end && match.end < subject.size()) {
      from += ReadUtf8(subject.substr(match.end)).bytes;  // an empty match splits and goes on
    }
  }
  add(word.begin + after, word.end, false);
  return parts;
}

void AppendWords(const std::vector<Part>& parts, SplitBehavior behavior, std::vector<Word>* words) {
  const size_t first = words->size();
  const auto follows = [&](size_t i) { return words->size() > first && i > 0; };
  for (size_t i = 0; i < parts.size(); ++i) {
    const Part& part = parts[i];
    bool joins = false;
    switch (behavior) {
      case SplitBehavior::kIsolated:
        break;
      case SplitBehavior::kRemoved:
        if (part.match) continue;
        break;
      case SplitBehavior::kMergedWithPrevious:
        joins = follows(i) && part.match && !parts[i - 1].match;
        break;
      case SplitBehavior::kMergedWithNext:
        joins = follows(i) && !part.match && parts[i - 1].match;
        break;
      case SplitBehavior::kContiguous:
        joins = follows(i) && part.match == parts[i - 1].match;
        break;
    }
    if (joins) {
      words->back().end = part.end;
    } else {
      words->push_back({part.begin, part.end});
    }
  }
}

bool BeginsWith(std::string_view text, std::string_view with) {
  return text.substr(0, with.size()) == with;
}

// Rewrites every word; `rewrite` appends to the new text.
void RewriteWords(SplitText* split,
                  const std::function<void(std::string_view, size_t, std::string*)>& rewrite) {
  SplitText rewritten;
  rewritten.text.reserve(split->text.size() + split->words.size());
  for (size_t i = 0; i < split->words.size(); ++i) {
    const Word word = split->words[i];
    const size_t begin = rewritten.text.size();
    rewrite(std::string_view(split->text).substr(word.begin, word.end - word.begin), i,
            &rewritten.text);
    if (rewritten.text.size() > begin) rewritten.words.push_back({begin, rewritten.text.size()});
  }
  *split = std::move(rewritten);
}

void ApplyMetaspace(const TokenizerStep& step, bool at_start, SplitText* split) {
  const auto place = static_cast<TokenizerPlace>(step.option);
  RewriteWords(split, [&](std::string_view word, size_t i, std::string* out) {
    const bool here =
        place == TokenizerPlace::kAlways || (place == TokenizerPlace::kFirst && at_start && i == 0);
    if (here && !BeginsWith(word, " ") && !BeginsWith(word, step.text)) out->append(step.text);
    for (const char c : word) {
      if (c == ' ') {
        out->append(step.text);
      } else {
        out->push_back(c);
      }
    }
  });
  if (step.inverted || step.text.empty()) return;
  std::vector<Word> words;
  for (const Word word : split->words) {
    size_t begin = word.begin;
    for (size_t at = split->text.find(step.text, begin + 1);
         at != std::string::npos && at < word.end; at = split->text.find(step.text, at + 1)) {
      words.push_back({begin, at});
      begin = at;
    }
    words.push_back({begin, word.end});
  }
  split->words = std::move(words);
}

}  // namespace

absl::StatusOr<Splitter> Splitter::Create(const std::vector<TokenizerStep>& steps) {
  Splitter splitter;
  for (const TokenizerStep& given : steps) {
    Step step{.step = given, .expression = {}};
    if (given.kind == TokenizerStepKind::kSplit) {
      LUTDB_ASSIGN_OR_RETURN(step.expression, Regex::Compile(given.pattern));
    }
    splitter.steps_.push_back(std::move(step));
  }
  return splitter;
}

absl::StatusOr<SplitText> Splitter::Split(std::string text, bool at_start) const {
  SplitText split;
  split.text = std::move(text);
  if (!split.text.empty()) split.words.push_back({0, split.text.size()});
  for (const Step& step : steps_) {
    switch (step.step.kind) {
      case TokenizerStepKind::kPrefixSpace:
        RewriteWords(&split, [](std::string_view word, size_t, std::string* out) {
          if (!BeginsWith(word, " ")) out->push_back(' ');
          out->append(word);
        });
        break;
      case TokenizerStepKind::kMetaspace:
        ApplyMetaspace(step.step, at_start, &split);
        break;
      default: {
        std::vector<Word> words;
        words.reserve(split.words.size());
        for (const Word word : split.words) {
          LUTDB_ASSIGN_OR_RETURN(const std::vector<Part> parts,
                                 FindParts(split.text, word, *step.expression, step.step.inverted));
          AppendWords(parts, static_cast<SplitBehavior>(step.step.option), &words);
        }
        split.words = std::move(words);
      }
    }
  }
  return split;
}

namespace {

bool IsWordCharacter(int32_t c) {
  switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:
      return false;
  }
}

int32_t CharacterAt(std::string_view text, size_t at) {
  int32_t c = 0;
  const auto bytes = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + at,
                                      static_cast<utf8proc_ssize_t>(text.size() - at), &c);
  return bytes > 0 ? c : -1;
}

// Where the character that ends at `end` (above 0) begins.
size_t CharacterBefore(std::string_view text, size_t end) {
  size_t at = end - 1;
  while (at > 0 && (static_cast<uint8_t>(text[at]) & 0xC0) == 0x80) --at;
  return at;
}

bool StandsAlone(std::string_view text, size_t begin, size_t end) {
  if (begin > 0 && IsWordCharacter(CharacterAt(text, CharacterBefore(text, begin)))) return false;
  return end == text.size() || !IsWordCharacter(CharacterAt(text, end));
}

bool IsSpaceCharacter(int32_t c) {
  return c == ' ' || (c >= 0x09 && c <= 0x0D) || c == 0x85 ||
         (c > 0x7F && (utf8proc_category(c) == UTF8PROC_CATEGORY_ZS ||
                       utf8proc_category(c) == UTF8PROC_CATEGORY_ZL ||
                       utf8proc_category(c) == UTF8PROC_CATEGORY_ZP));
}

}  // namespace

AddedTokenMatcher::AddedTokenMatcher(std::vector<const AddedToken*> tokens,
                                     std::vector<std::string> texts)
    : tokens_(std::move(tokens)), texts_(std::move(texts)), lengths_(256) {
  for (uint32_t i = 0; i < texts_.size(); ++i) {
    const std::string& text = texts_[i];
    if (text.empty() || !index_.try_emplace(text, i).second) continue;
    lengths_[static_cast<uint8_t>(text[0])].push_back(text.size());
  }
  for (std::vector<size_t>& lengths : lengths_) {
    std::sort(lengths.begin(), lengths.end(), std::greater<>());
    lengths.erase(std::unique(lengths.begin(), lengths.end()), lengths.end());
  }
}

const AddedToken* AddedTokenMatcher::Longest(std::string_view text, size_t at, bool with_special,
                                             size_t* bytes) const {
  for (const size_t length : lengths_[static_cast<uint8_t>(text[at])]) {
    if (length > text.size() - at) continue;
    const auto found = index_.find(text.substr(at, length));
    if (found == index_.end()) continue;
    const AddedToken* token = tokens_[found->second];
    if (token->special && !with_special) continue;
    if (token->single_word && !StandsAlone(text, at, at + length)) continue;
    *bytes = length;
    return token;
  }
  return nullptr;
}

std::vector<AddedTokenMatcher::Stretch> AddedTokenMatcher::Cut(std::string_view text,
                                                               bool with_special) const {
  std::vector<Stretch> stretches;
  size_t plain = 0;  // where the text that is not cut yet begins
  for (size_t at = 0; at < text.size();) {
    size_t bytes = 0;
    const AddedToken* token = Longest(text, at, with_special, &bytes);
    if (token == nullptr) {
      ++at;
      continue;
    }
    size_t begin = at, end = at + bytes;
    while (token->strip_left && begin > plain &&
           IsSpaceCharacter(CharacterAt(text, CharacterBefore(text, begin)))) {
      begin = CharacterBefore(text, begin);
    }
    while (token->strip_right && end < text.size() && IsSpaceCharacter(CharacterAt(text, end))) {
      end += ReadUtf8(text.substr(end)).bytes;
    }
    if (begin > plain) stretches.push_back({plain, begin, nullptr});
    stretches.push_back({begin, end, token});
    at = plain = end;
  }
  if (plain < text.size()) stretches.push_back({plain, text.size(), nullptr});
  return stretches;
}

}  // namespace lutdb
