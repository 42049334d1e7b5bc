#include "ingest/tokenizer_json_steps.h"

#include <nlohmann/json.hpp>

#include "base/status.h"
#include "ingest/json_file.h"
#include "ingest/tokenizer_expressions.h"

namespace lutdb {
namespace {

using Json = nlohmann::json;

// A step of the file: its type and fields.
struct Given {
  std::string type;
  const Json& value;
  std::string where;
};

absl::Status Unknown(const Given& given, const char* known) {
  return Unimplemented("{}: type {} is not implemented; known are {}", given.where,
                       Quote(given.type), known);
}

absl::StatusOr<Given> Open(const Json& value, const std::string& where) {
  if (!value.is_object()) return DataLoss("{}: must be an object with a type", where);
  Given given{.type = {}, .value = value, .where = where};
  LUTDB_RETURN_IF_ERROR(
      JsonFields(value, where).String("type", JsonFields::kRequired, &given.type));
  return given;
}

// The members of a Sequence, one after the other.
template <typename Lower>
absl::Status ForEachOf(const Given& given, const char* list, const Lower& lower) {
  const auto found = given.value.find(list);
  if (found == given.value.end() || !found->is_array()) {
    return DataLoss("{}: {} must be a list", given.where, list);
  }
  size_t number = 0;
  for (const Json& step : *found) {
    LUTDB_RETURN_IF_ERROR(lower(step, fmt::format("{}[{}]", given.where, number++)));
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> Flag(const Given& given, const char* key, bool otherwise) {
  LUTDB_RETURN_IF_ERROR(
      JsonFields(given.value, given.where).Boolean(key, JsonFields::kOptional, &otherwise));
  return otherwise;
}

// A string, which may be empty.
absl::StatusOr<std::string> Text(const Given& given, const char* key) {
  const auto found = given.value.find(key);
  if (found == given.value.end() || !found->is_string()) {
    return DataLoss("{}: {} must be a string", given.where, key);
  }
  return found->get<std::string>();
}

// {"String": ..} or {"Regex": ..}.
struct Pattern {
  std::string text;
  bool is_expression = false;
};
absl::StatusOr<Pattern> ReadPattern(const Given& given) {
  const auto found = given.value.find("pattern");
  if (found != given.value.end() && found->is_object() && found->size() == 1) {
    const std::string kind = found->begin().key();
    const Json& text = found->begin().value();
    if (text.is_string() && (kind == "String" || kind == "Regex") &&
        !text.get_ref<const std::string&>().empty()) {
      return Pattern{text.get<std::string>(), kind == "Regex"};
    }
  }
  return DataLoss("{}: pattern must be a String or a Regex that is not empty", given.where);
}

// An expression that matches just this text.
std::string Literally(const std::string& text) {
  std::string expression;
  for (const char c : text) {
    const bool plain = static_cast<unsigned char>(c) >= 0x80 || (c >= '0' && c <= '9') ||
                       (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == ' ';
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      expression += fmt::format("\\x{{{:x}}}", static_cast<unsigned>(c));
      continue;
    }
    if (!plain) expression += '\\';
    expression += c;
  }
  return expression;
}

std::string FromBase64(std::string_view text, bool* good) {
  std::string bytes;
  uint32_t bits = 0;
  int count = 0;
  *good = true;
  while (!text.empty() && text.back() == '=') text.remove_suffix(1);
  for (const char c : text) {
    uint32_t value = 0;
    if (c >= 'A' && c <= 'Z') {
      value = static_cast<uint32_t>(c - 'A');
    } else if (c >= 'a' && c <= 'z') {
      value = static_cast<uint32_t>(c - 'a') + 26;
    } else if (c >= '0' && c <= '9') {
      value = static_cast<uint32_t>(c - '0') + 52;
    } else if (c == '+' || c == '/') {
      value = c == '+' ? 62 : 63;
    } else {
      *good = false;
      return bytes;
    }
    bits = bits << 6 | value;
    count += 6;
    if (count >= 8) {
      count -= 8;
      bytes.push_back(static_cast<char>(bits >> count & 0xFF));
    }
  }
  return bytes;
}

TokenizerStep Step(TokenizerStepKind kind, std::string pattern = {}, std::string text = {}) {
  return {.kind = kind, .pattern = std::move(pattern), .text = std::move(text)};
}

absl::Status LowerReplace(const Given& given, std::vector<TokenizerStep>* steps) {
  LUTDB_ASSIGN_OR_RETURN(Pattern pattern, ReadPattern(given));
  LUTDB_ASSIGN_OR_RETURN(std::string content, Text(given, "content"));
  steps->push_back(Step(
      pattern.is_expression ? TokenizerStepKind::kReplaceExpression : TokenizerStepKind::kReplace,
      std::move(pattern.text), std::move(content)));
  return absl::OkStatus();
}

absl::Status LowerBertNormalizer(const Given& given, std::vector<TokenizerStep>* steps) {
  LUTDB_ASSIGN_OR_RETURN(const bool clean, Flag(given, "clean_text", true));
  LUTDB_ASSIGN_OR_RETURN(const bool ideographs, Flag(given, "handle_chinese_chars", true));
  LUTDB_ASSIGN_OR_RETURN(const bool lowercase, Flag(given, "lowercase", true));
  LUTDB_ASSIGN_OR_RETURN(const bool accents, Flag(given, "strip_accents", lowercase));
  AppendBertNormalizers(clean, ideographs, accents, lowercase, steps);
  return absl::OkStatus();
}

absl::Status LowerStrip(const Given& given, std::vector<TokenizerStep>* steps) {
  LUTDB_ASSIGN_OR_RETURN(const bool left, Flag(given, "strip_left", true));
  LUTDB_ASSIGN_OR_RETURN(const bool right, Flag(given, "strip_right", true));
  steps->push_back(Step(TokenizerStepKind::kStrip));
  steps->back().option = static_cast<uint8_t>((left ? 1 : 0) | (right ? 2 : 0));
  return absl::OkStatus();
}

absl::Status LowerPrecompiled(const Given& given, std::vector<TokenizerStep>* steps) {
  LUTDB_ASSIGN_OR_RETURN(const std::string text, Text(given, "precompiled_charsmap"));
  bool good = false;
  std::string map = FromBase64(text, &good);
  if (!good) return DataLoss("{}: precompiled_charsmap is not base64", given.where);
  if (!map.empty()) steps->push_back(Step(TokenizerStepKind::kCharsMap, std::move(map)));
  return absl::OkStatus();
}

// Where Metaspace puts its sign before a text.
absl::StatusOr<TokenizerPlace> PrependScheme(const Given& given) {
  LUTDB_ASSIGN_OR_RETURN(const bool prefix, Flag(given, "add_prefix_space", true));
  std::string scheme = prefix ? "always" : "never";
  LUTDB_RETURN_IF_ERROR(JsonFields(given.value, given.where)
                            .String("prepend_scheme", JsonFields::kOptional, &scheme));
  if (scheme == "always") return TokenizerPlace::kAlways;
  if (scheme == "first") return TokenizerPlace::kFirst;
  if (scheme == "never") return TokenizerPlace::kNever;
  return DataLoss("{}: prepend_scheme {} is none of always, first, never", given.where,
                  Quote(scheme));
}

absl::StatusOr<SplitBehavior> ReadBehavior(const Given& given, SplitBehavior otherwise) {
  std::string name;
  LUTDB_RETURN_IF_ERROR(
      JsonFields(given.value, given.where).String("behavior", JsonFields::kOptional, &name));
  if (name.empty()) return otherwise;
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  return DataLoss(
      "{}: behavior {} is none of Isolated, Removed, MergedWithPrevious, "
      "MergedWithNext, Contiguous",
      given.where, Quote(name));
}

absl::Status LowerSplit(const Given& given, std::vector<TokenizerStep>* steps) {
  LUTDB_ASSIGN_OR_RETURN(const Pattern pattern, ReadPattern(given));
  LUTDB_ASSIGN_OR_RETURN(const SplitBehavior behavior,
                         ReadBehavior(given, SplitBehavior::kIsolated));
  LUTDB_ASSIGN_OR_RETURN(const bool invert, Flag(given, "invert", false));
  steps->push_back(
      SplitStep(pattern.is_expression ? pattern.text : Literally(pattern.text), behavior, invert));
  return absl::OkStatus();
}

absl::Status LowerByteLevel(const Given& given, TokenizerSpec* spec) {
  LUTDB_ASSIGN_OR_RETURN(const bool prefix, Flag(given, "add_prefix_space", true));
  LUTDB_ASSIGN_OR_RETURN(const bool expression, Flag(given, "use_regex", true));
  if (prefix) spec->splits.push_back(Step(TokenizerStepKind::kPrefixSpace));
  if (expression) spec->splits.push_back(SplitStep(kGpt2Expression));
  spec->byte_level = true;
  return absl::OkStatus();
}

absl::Status LowerMetaspace(const Given& given, TokenizerSpec* spec) {
  LUTDB_ASSIGN_OR_RETURN(std::string sign, Text(given, "replacement"));
  LUTDB_ASSIGN_OR_RETURN(const TokenizerPlace place, PrependScheme(given));
  LUTDB_ASSIGN_OR_RETURN(const bool split, Flag(given, "split", true));
  if (sign.empty()) return DataLoss("{}: replacement is empty", given.where);
  TokenizerStep step = Step(TokenizerStepKind::kMetaspace, {}, std::move(sign));
  step.option = static_cast<uint8_t>(place);
  step.inverted = !split;
  spec->splits.push_back(std::move(step));
  return absl::OkStatus();
}

absl::Status LowerFixedLength(const Given& given, std::vector<TokenizerStep>* steps) {
  constexpr uint32_t kRepeatsMax = 65535;  // of an expression
  uint32_t length = 5;
  LUTDB_RETURN_IF_ERROR(JsonFields(given.value, given.where)
                            .Unsigned("length", JsonFields::kOptional, 1, kRepeatsMax, &length));
  steps->push_back(SplitStep(fmt::format("(?s).{{1,{}}}", length)));
  return absl::OkStatus();
}

// The pre-tokenizers that are one expression.
bool LowerPlainSplit(const std::string& type, std::vector<TokenizerStep>* steps) {
  if (type == "BertPreTokenizer") {
    AppendBertSplits(steps);
  } else if (type == "Whitespace") {
    // Words of letters, marks, digits and connectors; runs of anything else.
    constexpr char kWord[] = R"re(\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\x{200c}\x{200d}\x{24b6}-\x{24e9})re";
    steps->push_back(
        SplitStep(fmt::format("[{}]+|[^\\s{}]+", kWord, kWord), SplitBehavior::kRemoved, true));
  } else if (type == "WhitespaceSplit") {
    steps->push_back(SplitStep("\\s+", SplitBehavior::kRemoved));
  } else {
    return false;
  }
  return true;
}

}  // namespace

absl::Status LowerNormalizer(const Json& value, const std::string& where, TokenizerSpec* spec) {
  if (value.is_null()) return absl::OkStatus();
  LUTDB_ASSIGN_OR_RETURN(const Given given, Open(value, where));
  std::vector<TokenizerStep>& steps = spec->normalizers;
  const std::string& type = given.type;
  if (type == "Sequence") {
    return ForEachOf(given, "normalizers", [spec](const Json& step, const std::string& at) {
      return LowerNormalizer(step, at, spec);
    });
  }
  if (type == "Replace") return LowerReplace(given, &steps);
  if (type == "BertNormalizer") return LowerBertNormalizer(given, &steps);
  if (type == "Strip") return LowerStrip(given, &steps);
  if (type == "Precompiled") return LowerPrecompiled(given, &steps);
  if (type == "Prepend") {
    LUTDB_ASSIGN_OR_RETURN(std::string text, Text(given, "prepend"));
    steps.push_back(Step(TokenizerStepKind::kPrepend, {}, std::move(text)));
    return absl::OkStatus();
  }
  if (type == "ByteLevel") {
    spec->byte_level = true;
    return absl::OkStatus();
  }
  constexpr std::pair<const char*, TokenizerStepKind> kPlain[] = {
      {"NFC", TokenizerStepKind::kNfc},
      {"NFD", TokenizerStepKind::kNfd},
      {"NFKC", TokenizerStepKind::kNfkc},
      {"NFKD", TokenizerStepKind::kNfkd},
      {"Lowercase", TokenizerStepKind::kLowercase},
      {"StripAccents", TokenizerStepKind::kStripMarks},
      {"Nmt", TokenizerStepKind::kNmt}};
  for (const auto& [name, kind] : kPlain) {
    if (type != name) continue;
    steps.push_back(Step(kind));
    if (kind == TokenizerStepKind::kStripMarks) steps.back().option = 1;
    return absl::OkStatus();
  }
  return Unknown(given,
                 "Sequence, NFC, NFD, NFKC, NFKD, Lowercase, StripAccents, BertNormalizer, Strip, "
                 "Prepend, Replace, Precompiled, Nmt, ByteLevel");
}

absl::Status LowerPreTokenizer(const Json& value, const std::string& where, TokenizerSpec* spec) {
  if (value.is_null()) return absl::OkStatus();
  LUTDB_ASSIGN_OR_RETURN(const Given given, Open(value, where));
  std::vector<TokenizerStep>& steps = spec->splits;
  const std::string& type = given.type;
  if (type == "Sequence") {
    return ForEachOf(given, "pretokenizers", [spec](const Json& step, const std::string& at) {
      return LowerPreTokenizer(step, at, spec);
    });
  }
  if (type == "ByteLevel") return LowerByteLevel(given, spec);
  if (type == "Split") return LowerSplit(given, &steps);
  if (type == "Metaspace") return LowerMetaspace(given, spec);
  if (type == "FixedLength") return LowerFixedLength(given, &steps);
  if (type == "Punctuation") {
    LUTDB_ASSIGN_OR_RETURN(const SplitBehavior behavior,
                           ReadBehavior(given, SplitBehavior::kIsolated));
    steps.push_back(SplitStep(kPunctuationExpression, behavior));
    return absl::OkStatus();
  }
  if (type == "Digits") {
    LUTDB_ASSIGN_OR_RETURN(const bool single, Flag(given, "individual_digits", false));
    steps.push_back(SplitStep(single ? "\\p{N}" : "\\p{N}+"));
    return absl::OkStatus();
  }
  if (type == "CharDelimiterSplit") {
    LUTDB_ASSIGN_OR_RETURN(const std::string delimiter, Text(given, "delimiter"));
    if (delimiter.empty()) return DataLoss("{}: delimiter is empty", given.where);
    steps.push_back(SplitStep(Literally(delimiter), SplitBehavior::kRemoved));
    return absl::OkStatus();
  }
  if (LowerPlainSplit(type, &steps)) return absl::OkStatus();
  return Unknown(given,
                 "Sequence, ByteLevel, Split, Metaspace, Punctuation, Digits, Whitespace, "
                 "WhitespaceSplit, BertPreTokenizer, CharDelimiterSplit, FixedLength");
}

absl::Status LowerDecoder(const Json& value, const std::string& where, TokenizerSpec* spec) {
  if (value.is_null()) {
    spec->separator = " ";  // nothing says how tokens join: as words
    return absl::OkStatus();
  }
  LUTDB_ASSIGN_OR_RETURN(const Given given, Open(value, where));
  const std::string& type = given.type;
  if (type == "Sequence") {
    return ForEachOf(given, "decoders", [spec](const Json& step, const std::string& at) {
      return LowerDecoder(step, at, spec);
    });
  }
  if (type == "ByteLevel" || type == "ByteFallback" || type == "Fuse") return absl::OkStatus();
  if (type == "Replace") {
    LUTDB_RETURN_IF_ERROR(LowerReplace(given, &spec->decoders));
    if (spec->decoders.back().kind == TokenizerStepKind::kReplace) return absl::OkStatus();
    return Unimplemented("{}: replacing by a Regex when decoding is not implemented; a String is",
                         given.where);
  }
  if (type == "Strip") {
    LUTDB_ASSIGN_OR_RETURN(const std::string content, Text(given, "content"));
    uint32_t start = 0, stop = 0;
    JsonFields fields(value, where);
    LUTDB_RETURN_IF_ERROR(fields.Unsigned("start", JsonFields::kOptional, 0, 1024, &start));
    LUTDB_RETURN_IF_ERROR(fields.Unsigned("stop", JsonFields::kOptional, 0, 1024, &stop));
    if (content != " " || stop != 0) {
      return Unimplemented("{}: only spaces at the beginning can be stripped", given.where);
    }
    spec->strip_start = start;
    return absl::OkStatus();
  }
  if (type == "Metaspace") {
    LUTDB_ASSIGN_OR_RETURN(std::string sign, Text(given, "replacement"));
    LUTDB_ASSIGN_OR_RETURN(const TokenizerPlace place, PrependScheme(given));
    if (sign.empty()) return DataLoss("{}: replacement is empty", given.where);
    spec->decoders.push_back(Step(TokenizerStepKind::kReplace, std::move(sign), " "));
    if (place != TokenizerPlace::kNever) spec->strip_start = 1;
    return absl::OkStatus();
  }
  if (type == "WordPiece") {
    LUTDB_ASSIGN_OR_RETURN(spec->continuing, Text(given, "prefix"));
    LUTDB_ASSIGN_OR_RETURN(spec->clean_up, Flag(given, "cleanup", true));
    spec->separator = " ";
    return absl::OkStatus();
  }
  if (type == "BPEDecoder") {
    LUTDB_ASSIGN_OR_RETURN(spec->word_end, Text(given, "suffix"));
    return absl::OkStatus();
  }
  return Unknown(given,
                 "Sequence, ByteLevel, ByteFallback, Fuse, Replace, Strip, Metaspace, WordPiece, "
                 "BPEDecoder");
}

}  // namespace lutdb
