#include "ingest/tokenizer_gguf.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/status.h"
#include "ingest/byte_alphabet.h"
#include "ingest/json_file.h"
#include "ingest/sentence_pieces.h"
#include "ingest/tokenizer_expressions.h"

namespace lutdb {
namespace {

constexpr uint64_t kTokensMax = uint64_t{1} << 22;
constexpr uint64_t kMergesMax = uint64_t{1} << 23;
constexpr uint64_t kCharsMapBytesMax = uint64_t{1} << 26;

// Values of tokenizer.ggml.token_type.
enum : int64_t { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kByte = 6 };

// Control tokens that end a turn in models whose files do not say so.
constexpr std::array<std::string_view, 12> kTurnEnds = {"<|eot_id|>",
                                                        "<|im_end|>",
                                                        "<|end|>",
                                                        "<|return|>",
                                                        "<|call|>",
                                                        "<end_of_turn>",
                                                        "<|endoftext|>",
                                                        "<|eom_id|>",
                                                        "<EOT>",
                                                        "<|end_of_text|>",
                                                        "<end_of_utterance>",
                                                        "<\xEF\xBD\x9C"
                                                        "end\xE2\x96\x81"
                                                        "of\xE2\x96\x81sentence\xEF\xBD\x9C>"};

struct Vocabulary {
  std::string model;
  std::vector<std::string> tokens;
  std::vector<int64_t> types;  // one per token
  std::vector<float> scores;   // empty, or one per token
};

class Reader {
 public:
  explicit Reader(const GgufMetadata& metadata) : metadata_(metadata) {}

  absl::StatusOr<TokenizerSpec> Read() {
    LUTDB_RETURN_IF_ERROR(metadata_.String(Key("model"), &v_.model));
    constexpr std::string_view kModels[] = {"llama", "gpt2", "gemma4", "bert", "t5"};
    if (std::find(std::begin(kModels), std::end(kModels), v_.model) == std::end(kModels)) {
      return Unimplemented(
          "{}: a vocabulary of model {} is not implemented; llama, gpt2, gemma4, bert and t5 are; "
          "or give a tokenizer with --tokenizer",
          metadata_.where(), Quote(v_.model));
    }
    LUTDB_RETURN_IF_ERROR(ReadVocabulary());
    if (v_.model == "llama") {
      LUTDB_RETURN_IF_ERROR(LowerSentences(TokenizerKind::kSentenceBpe));
    } else if (v_.model == "t5") {
      LUTDB_RETURN_IF_ERROR(LowerSentences(TokenizerKind::kUnigram));
    } else if (v_.model == "gpt2") {
      LUTDB_RETURN_IF_ERROR(LowerGpt2());
    } else if (v_.model == "gemma4") {
      LUTDB_RETURN_IF_ERROR(LowerLines());
    } else {
      LUTDB_RETURN_IF_ERROR(LowerBert());
    }
    AddTokens();
    const absl::Status status = ValidateTokenizer(spec_);
    if (!status.ok()) return Error(status.code(), "{}: {}", metadata_.where(), Message(status));
    return std::move(spec_);
  }

 private:
  static std::string Key(const char* name) { return std::string("tokenizer.ggml.") + name; }

  absl::Status ReadVocabulary() {
    LUTDB_RETURN_IF_ERROR(metadata_.Strings(Key("tokens"), kTokensMax, &v_.tokens));
    if (v_.tokens.empty()) return DataLoss("{}: its vocabulary is empty", metadata_.where());
    LUTDB_RETURN_IF_ERROR(metadata_.Integers(Key("token_type"), kTokensMax, &v_.types));
    LUTDB_RETURN_IF_ERROR(metadata_.Floats(Key("scores"), kTokensMax, &v_.scores));
    LUTDB_RETURN_IF_ERROR(CheckLength("token_type", v_.types.size()));
    LUTDB_RETURN_IF_ERROR(CheckLength("scores", v_.scores.size()));
    v_.types.resize(v_.tokens.size(), kNormal);
    spec_.tokens = v_.tokens;
    return absl::OkStatus();
  }

  absl::Status CheckLength(const char* name, size_t count) const {
    if (count == 0 || count == v_.tokens.size()) return absl::OkStatus();
    return DataLoss("{}: {} has {} elements for {} tokens", metadata_.where(), Key(name), count,
                    v_.tokens.size());
  }

  // A token's number under `name`, or `otherwise` (also when the file gives one beyond the list, as
  // files do that mean none).
  absl::StatusOr<uint32_t> Id(const char* name, uint32_t otherwise) const {
    uint64_t id = otherwise;
    LUTDB_RETURN_IF_ERROR(metadata_.Unsigned(Key(name), 0, kNone, &id));
    return id < v_.tokens.size() ? static_cast<uint32_t>(id) : kNone;
  }

  absl::Status ReadEnds(uint32_t bos, uint32_t eos, uint32_t unknown) {
    LUTDB_ASSIGN_OR_RETURN(spec_.bos, Id("bos_token_id", bos));
    LUTDB_ASSIGN_OR_RETURN(spec_.eos, Id("eos_token_id", eos));
    LUTDB_ASSIGN_OR_RETURN(spec_.unknown, Id("unknown_token_id", unknown));
    for (const char* name : {"eot_token_id", "eom_token_id"}) {
      LUTDB_ASSIGN_OR_RETURN(const uint32_t id, Id(name, kNone));
      if (id != kNone) spec_.ends.push_back(id);
    }
    return absl::OkStatus();
  }

  absl::Status ReadAdditions(bool add_bos, bool add_eos) {
    LUTDB_RETURN_IF_ERROR(metadata_.Boolean(Key("add_bos_token"), &add_bos));
    LUTDB_RETURN_IF_ERROR(metadata_.Boolean(Key("add_eos_token"), &add_eos));
    if (add_bos && spec_.bos != kNone) spec_.prefix = {spec_.bos};
    if (add_eos && spec_.eos != kNone) spec_.suffix = {spec_.eos};
    return absl::OkStatus();
  }

  // "llama" and "t5": pieces with space signs, and their scores.
  absl::Status LowerSentences(TokenizerKind kind) {
    if (v_.scores.empty()) {
      return DataLoss("{}: its vocabulary of model {} has no scores", metadata_.where(), v_.model);
    }
    const bool is_bpe = kind == TokenizerKind::kSentenceBpe;
    spec_.kind = kind;
    spec_.scores = v_.scores;
    for (std::string& token : spec_.tokens) token = WithPlainSpaces(token);
    spec_.fuse_unknown = true;
    const auto is_byte = [](int64_t type) { return type == kByte; };
    spec_.byte_fallback = std::any_of(v_.types.begin(), v_.types.end(), is_byte);
    LUTDB_RETURN_IF_ERROR(is_bpe ? ReadEnds(1, 2, 0) : ReadEnds(kNone, 1, 2));
    LUTDB_RETURN_IF_ERROR(ReadAdditions(is_bpe, !is_bpe));
    SentenceRules rules;
    LUTDB_RETURN_IF_ERROR(metadata_.Boolean(Key("add_space_prefix"), &rules.add_space_prefix));
    LUTDB_RETURN_IF_ERROR(
        metadata_.Boolean(Key("remove_extra_whitespaces"), &rules.remove_extra_whitespaces));
    std::vector<int64_t> map;
    LUTDB_RETURN_IF_ERROR(metadata_.Integers(Key("precompiled_charsmap"), kCharsMapBytesMax, &map));
    for (const int64_t byte : map) rules.chars_map.push_back(static_cast<char>(byte));
    SetSentenceRules(rules, &spec_);
    return absl::OkStatus();
  }

  absl::Status ReadMerges() {
    std::vector<std::string> merges;
    LUTDB_RETURN_IF_ERROR(metadata_.Strings(Key("merges"), kMergesMax, &merges));
    if (merges.empty()) {
      return DataLoss("{}: its vocabulary of model {} has no merges", metadata_.where(), v_.model);
    }
    // Files may name a token twice; the last one counts.
    std::unordered_map<std::string_view, uint32_t> ids;
    for (uint32_t id = 0; id < v_.tokens.size(); ++id) ids[v_.tokens[id]] = id;
    for (size_t i = 0; i < merges.size(); ++i) {
      // The left part may itself be a space, so the one between is not the first byte.
      const size_t space = merges[i].find(' ', 1);
      if (space == std::string::npos) {
        return DataLoss("{}: merge {}, {}, is no pair", metadata_.where(), i, Quote(merges[i]));
      }
      const std::string_view merge = merges[i];
      const std::string joined = merges[i].substr(0, space) + merges[i].substr(space + 1);
      const auto left = ids.find(merge.substr(0, space));
      const auto right = ids.find(merge.substr(space + 1));
      const auto whole = ids.find(joined);
      // A merge of tokens that were left out of the vocabulary can never be made.
      if (left == ids.end() || right == ids.end() || whole == ids.end()) continue;
      spec_.merges.insert(spec_.merges.end(), {left->second, right->second, whole->second});
    }
    return absl::OkStatus();
  }

  absl::Status LowerGpt2() {
    spec_.kind = TokenizerKind::kMergeBpe;
    spec_.byte_level = true;
    LUTDB_RETURN_IF_ERROR(ReadMerges());
    std::string bytes;
    for (size_t id = 0; id < spec_.tokens.size(); ++id) {
      const bool is_text = v_.types[id] == kNormal || v_.types[id] == kByte;
      if (is_text && FromByteAlphabet(spec_.tokens[id], &bytes)) spec_.tokens[id] = bytes;
    }
    LUTDB_RETURN_IF_ERROR(ReadEnds(kNone, kNone, kNone));
    spec_.unknown = kNone;  // every byte has a token
    std::string name = "default";
    LUTDB_RETURN_IF_ERROR(metadata_.String(Key("pre"), &name));
    const NamedSplit* split = FindNamedSplit(name);
    if (split == nullptr) {
      std::string known;
      for (const NamedSplit& named : NamedSplits()) {
        for (const char* each : named.names)
          known += (known.empty() ? "" : ", ") + std::string(each);
      }
      return Unimplemented(
          "{}: splitting text by {} (tokenizer.ggml.pre) is not known; known are {}",
          metadata_.where(), Quote(name), known);
    }
    for (const char* expression : split->expressions) {
      spec_.splits.push_back(SplitStep(expression));
    }
    spec_.ignore_merges = split->ignore_merges;
    return ReadAdditions(split->add_bos, false);
  }

  // "gemma4": spaces become space signs, and merging runs over whole lines.
  absl::Status LowerLines() {
    spec_.kind = TokenizerKind::kMergeBpe;
    LUTDB_RETURN_IF_ERROR(ReadMerges());
    spec_.byte_fallback = true;
    spec_.ignore_merges = false;
    spec_.normalizers.push_back(
        {.kind = TokenizerStepKind::kReplace, .pattern = " ", .text = kSpaceSign});
    spec_.decoders.push_back(
        {.kind = TokenizerStepKind::kReplace, .pattern = kSpaceSign, .text = " "});
    spec_.splits.push_back(SplitStep("[^\\n]+|\\n+"));
    LUTDB_RETURN_IF_ERROR(ReadEnds(kNone, kNone, kNone));
    return ReadAdditions(true, false);
  }

  // "bert": tokens that begin a word have a space sign, the others go on.
  absl::Status LowerBert() {
    constexpr std::string_view kSign = kSpaceSign;
    spec_.kind = TokenizerKind::kWordPiece;
    spec_.continuing = "##";
    spec_.separator = " ";
    spec_.clean_up = true;
    for (size_t id = 0; id < spec_.tokens.size(); ++id) {
      std::string& token = spec_.tokens[id];
      if (v_.types[id] != kNormal && v_.types[id] != kByte) continue;
      if (token.compare(0, kSign.size(), kSign) == 0) {
        token.erase(0, kSign.size());
      } else {
        token.insert(0, spec_.continuing);
      }
    }
    LUTDB_RETURN_IF_ERROR(ReadEnds(101, kNone, 100));
    LUTDB_ASSIGN_OR_RETURN(const uint32_t begin, Id("cls_token_id", spec_.bos));
    LUTDB_ASSIGN_OR_RETURN(const uint32_t end, Id("seperator_token_id", 102));
    if (begin != kNone) spec_.prefix = {begin};
    if (end != kNone) spec_.suffix = {end};
    bool lowercase = true;
    LUTDB_RETURN_IF_ERROR(metadata_.Boolean(Key("normalizer.lowercase"), &lowercase));
    bool strip_accents = lowercase;
    LUTDB_RETURN_IF_ERROR(metadata_.Boolean(Key("normalizer.strip_accents"), &strip_accents));
    AppendBertNormalizers(true, true, strip_accents, lowercase, &spec_.normalizers);
    AppendBertSplits(&spec_.splits);
    return absl::OkStatus();
  }

  void AddTokens() {
    for (uint32_t id = 0; id < v_.tokens.size(); ++id) {
      const int64_t type = v_.types[id];
      if (v_.tokens[id].empty() || (type != kUnknown && type != kControl && type != kUserDefined)) {
        continue;
      }
      spec_.tokens[id] = v_.tokens[id];
      spec_.added.push_back({.id = id, .text = v_.tokens[id], .special = type != kUserDefined});
      if (type == kControl &&
          std::find(kTurnEnds.begin(), kTurnEnds.end(), v_.tokens[id]) != kTurnEnds.end()) {
        spec_.ends.push_back(id);
      }
    }
  }

  const GgufMetadata& metadata_;
  Vocabulary v_;
  TokenizerSpec spec_;
};

}  // namespace

absl::StatusOr<TokenizerSpec> ReadGgufTokenizer(const GgufMetadata& metadata) {
  // Two names say that a model has no vocabulary of text, as having no name does.
  std::string model = "none";
  LUTDB_RETURN_IF_ERROR(metadata.String("tokenizer.ggml.model", &model));
  if (model == "none" || model == "no_vocab") return TokenizerSpec{};
  return Reader(metadata).Read();
}

}  // namespace lutdb
