#include "engine/tokenizer_normalize.h"

#include <utf8proc.h>

#include <cstdlib>
#include <functional>

#include "base/status.h"
#include "engine/utf8.h"

namespace lutdb {
namespace {

using CodePoint = utf8proc_int32_t;

bool IsSpace(CodePoint c) {
  if (c == ' ' || (c >= 0x09 && c <= 0x0D) || c == 0x85) return true;
  const utf8proc_category_t category = utf8proc_category(c);
  return category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL ||
         category == UTF8PROC_CATEGORY_ZP;
}

// Unassigned code points stay: they may be newer than the tables of whoever reads them.
bool IsControl(CodePoint c) {
  if (c == '\t' || c == '\n' || c == '\r') return false;
  switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CO:
      return true;
    default:
      return false;
  }
}

// The blocks of CJK ideographs that BERT sets apart.
bool IsIdeograph(CodePoint c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
         (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B73F) ||
         (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

// Calls for each character with its code point and its bytes; what it does not keep is dropped.
template <typename Take>
std::string MapCharacters(std::string_view text, const Take& take) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    CodePoint c = 0;
    const auto bytes = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                        static_cast<utf8proc_ssize_t>(text.size()), &c);
    const size_t taken = bytes > 0 ? static_cast<size_t>(bytes) : 1;
    if (bytes > 0) take(c, text.substr(0, taken), &out);
    text.remove_prefix(taken);
  }
  return out;
}

// A Unicode normal form of the whole text.
absl::StatusOr<std::string> NormalForm(std::string_view text, unsigned options) {
  utf8proc_uint8_t* mapped = nullptr;
  const utf8proc_ssize_t bytes =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &mapped,
                   static_cast<utf8proc_option_t>(UTF8PROC_STABLE | options));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(mapped, &std::free);
  if (bytes < 0) return ResourceExhausted("normalising the text: {}", utf8proc_errmsg(bytes));
  return std::string(reinterpret_cast<const char*>(mapped), static_cast<size_t>(bytes));
}

std::string Lowercase(std::string_view text) {
  return MapCharacters(text, [](CodePoint c, std::string_view, std::string* out) {
    constexpr CodePoint kCapitalDottedI = 0x130;  // the one whose small form is two code points
    if (c == kCapitalDottedI) {
      *out += "i\xCC\x87";
    } else {
      AppendUtf8(utf8proc_tolower(c), out);
    }
  });
}

std::string StripMarks(std::string_view text, bool all) {
  return MapCharacters(text, [all](CodePoint c, std::string_view bytes, std::string* out) {
    const utf8proc_category_t category = utf8proc_category(c);
    const bool other = category == UTF8PROC_CATEGORY_MC || category == UTF8PROC_CATEGORY_ME;
    if (category != UTF8PROC_CATEGORY_MN && !(all && other)) out->append(bytes);
  });
}

std::string CleanText(std::string_view text) {
  return MapCharacters(text, [](CodePoint c, std::string_view bytes, std::string* out) {
    if (c == 0 || c == 0xFFFD || IsControl(c)) return;
    if (IsSpace(c)) {
      *out += ' ';
    } else {
      out->append(bytes);
    }
  });
}

std::string SpaceIdeographs(std::string_view text) {
  return MapCharacters(text, [](CodePoint c, std::string_view bytes, std::string* out) {
    if (!IsIdeograph(c)) {
      out->append(bytes);
      return;
    }
    out->append(" ").append(bytes).append(" ");
  });
}

// The controls and odd spaces that SentencePiece's rules for machine translation drop or widen.
std::string ApplyNmt(std::string_view text) {
  return MapCharacters(text, [](CodePoint c, std::string_view bytes, std::string* out) {
    if ((c >= 0x01 && c <= 0x08) || c == 0x0B || (c >= 0x0E && c <= 0x1F) || c == 0x7F ||
        c == 0x8F || c == 0x9F) {
      return;
    }
    const bool widened = c == 0x09 || c == 0x0A || c == 0x0C || c == 0x0D || c == 0x1680 ||
                         (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 ||
                         c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
    out->append(widened ? std::string_view(" ") : bytes);
  });
}

std::string_view Strip(std::string_view text, uint8_t sides) {
  const auto space_at = [&](size_t at) {
    CodePoint c = 0;
    const auto bytes = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + at,
                                        static_cast<utf8proc_ssize_t>(text.size() - at), &c);
    return bytes > 0 && IsSpace(c) ? static_cast<size_t>(bytes) : 0;
  };
  while ((sides & 1) != 0 && !text.empty()) {
    const size_t bytes = space_at(0);
    if (bytes == 0) break;
    text.remove_prefix(bytes);
  }
  while ((sides & 2) != 0 && !text.empty()) {
    size_t last = text.size() - 1;
    while (last > 0 && (static_cast<uint8_t>(text[last]) & 0xC0) == 0x80) --last;
    if (space_at(last) == 0) break;
    text.remove_suffix(text.size() - last);
  }
  return text;
}

std::string Replace(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  for (size_t at = text.find(from); at != text.npos; at = text.find(from)) {
    out.append(text.substr(0, at)).append(to);
    text.remove_prefix(at + from.size());
  }
  return out.append(text);
}

absl::StatusOr<std::string> ReplaceExpression(std::string_view text, const Regex& expression,
                                              std::string_view to) {
  std::string out;
  size_t copied = 0;
  for (size_t from = 0; from <= text.size();) {
    RegexMatch match;
    LUTDB_ASSIGN_OR_RETURN(const bool found, expression.Find(text, from, &match));
    if (!found) break;
    // An empty match where one has just ended is none, as in other engines.
    const bool counts = match.begin < match.end || match.begin > copied || match.end == 0;
    if (counts) out.append(text.substr(copied, match.begin - copied)).append(to);
    if (counts) copied = match.end;
    from = match.end;
    if (match.begin == match.end) {  // an empty match: go on behind the next character
      from += match.end < text.size() ? ReadUtf8(text.substr(match.end)).bytes : 1;
    }
  }
  return out.append(text.substr(copied));
}

std::string ApplyMap(std::string_view text, const CharsMap& map) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const CharsMap::Found found = map.FindPrefix(text);
    const size_t bytes = found.bytes > 0 ? found.bytes : ReadUtf8(text).bytes;
    out.append(found.bytes > 0 ? found.replacement : text.substr(0, bytes));
    text.remove_prefix(bytes);
  }
  return out;
}

}  // namespace

void AppendUtf8(int32_t code_point, std::string* out) {
  utf8proc_uint8_t bytes[4];
  const utf8proc_ssize_t count = utf8proc_encode_char(code_point, bytes);
  out->append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(count));
}

absl::StatusOr<Normalizer> Normalizer::Create(const std::vector<TokenizerStep>& steps) {
  Normalizer normalizer;
  for (const TokenizerStep& given : steps) {
    Step step{.step = given, .expression = {}, .map = {}};
    if (given.kind == TokenizerStepKind::kReplaceExpression) {
      LUTDB_ASSIGN_OR_RETURN(step.expression, Regex::Compile(given.pattern));
    } else if (given.kind == TokenizerStepKind::kCharsMap) {
      LUTDB_ASSIGN_OR_RETURN(step.map, CharsMap::Parse(given.pattern));
    }
    normalizer.steps_.push_back(std::move(step));
  }
  return normalizer;
}

absl::StatusOr<std::string> Normalizer::Apply(std::string_view given, bool at_start) const {
  std::string text(given);
  for (const Step& step : steps_) {
    switch (step.step.kind) {
      case TokenizerStepKind::kNfc: {
        LUTDB_ASSIGN_OR_RETURN(text, NormalForm(text, UTF8PROC_COMPOSE));
        break;
      }
      case TokenizerStepKind::kNfd: {
        LUTDB_ASSIGN_OR_RETURN(text, NormalForm(text, UTF8PROC_DECOMPOSE));
        break;
      }
      case TokenizerStepKind::kNfkc: {
        LUTDB_ASSIGN_OR_RETURN(text, NormalForm(text, UTF8PROC_COMPOSE | UTF8PROC_COMPAT));
        break;
      }
      case TokenizerStepKind::kNfkd: {
        LUTDB_ASSIGN_OR_RETURN(text, NormalForm(text, UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT));
        break;
      }
      case TokenizerStepKind::kLowercase:
        text = Lowercase(text);
        break;
      case TokenizerStepKind::kStripMarks:
        text = StripMarks(text, step.step.option == 1);
        break;
      case TokenizerStepKind::kCleanText:
        text = CleanText(text);
        break;
      case TokenizerStepKind::kSpaceIdeographs:
        text = SpaceIdeographs(text);
        break;
      case TokenizerStepKind::kNmt:
        text = ApplyNmt(text);
        break;
      case TokenizerStepKind::kStrip:
        text = std::string(Strip(text, step.step.option));
        break;
      case TokenizerStepKind::kPrepend: {
        const auto place = static_cast<TokenizerPlace>(step.step.option);
        const bool here =
            place == TokenizerPlace::kAlways || (place == TokenizerPlace::kFirst && at_start);
        if (here && !text.empty()) text.insert(0, step.step.text);
        break;
      }
      case TokenizerStepKind::kReplace:
        text = Replace(text, step.step.pattern, step.step.text);
        break;
      case TokenizerStepKind::kReplaceExpression: {
        LUTDB_ASSIGN_OR_RETURN(text, ReplaceExpression(text, *step.expression, step.step.text));
        break;
      }
      case TokenizerStepKind::kCharsMap:
        text = ApplyMap(text, *step.map);
        break;
      default:
        return Unimplemented("the tokenizer has a step {} of normalisation that is none",
                             static_cast<int>(step.step.kind));
    }
  }
  return text;
}

}  // namespace lutdb
