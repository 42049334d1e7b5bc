#include "ingest/tokenizer_file.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/file.h"
#include "base/regex.h"
#include "base/status.h"
#include "ingest/gguf.h"
#include "ingest/json_file.h"
#include "ingest/tokenizer_gguf.h"
#include "ingest/tokenizer_json.h"
#include "ingest/tokenizer_llama2c.h"
#include "ingest/tokenizer_sentencepiece.h"

namespace lutdb {
namespace {

constexpr char kConfigFile[] = "tokenizer_config.json";

// Models round their vocabulary up, for speed or for tokens to come; by more than this and it is
// another model's.
uint32_t PaddingMax(uint32_t vocabulary) { return std::max<uint32_t>(128, vocabulary / 16); }

absl::Status CheckExpressions(const std::string& where, const TokenizerSpec& spec) {
  for (const auto* steps : {&spec.normalizers, &spec.splits}) {
    for (const TokenizerStep& step : *steps) {
      if (step.kind != TokenizerStepKind::kSplit &&
          step.kind != TokenizerStepKind::kReplaceExpression) {
        continue;
      }
      const absl::Status status = Regex::Compile(step.pattern).status();
      if (!status.ok()) return DataLoss("{}: {}", where, Message(status));
    }
  }
  return absl::OkStatus();
}

uint32_t FindToken(const TokenizerSpec& spec, const std::string& text) {
  for (const AddedToken& added : spec.added) {
    if (added.text == text) return added.id;
  }
  const auto found = std::find(spec.tokens.begin(), spec.tokens.end(), text);
  return found == spec.tokens.end() ? kNone : static_cast<uint32_t>(found - spec.tokens.begin());
}

// A token named by the config: a string, or an object with its content.
uint32_t NamedToken(const nlohmann::json& config, const char* key, const TokenizerSpec& spec) {
  const auto found = config.find(key);
  if (found == config.end()) return kNone;
  if (found->is_string()) return FindToken(spec, found->get<std::string>());
  if (!found->is_object() || !found->contains("content")) return kNone;
  const nlohmann::json& content = (*found)["content"];
  return content.is_string() ? FindToken(spec, content.get<std::string>()) : kNone;
}

absl::Status ApplyConfig(const std::string& path, bool has_template, TokenizerSpec* spec) {
  LUTDB_ASSIGN_OR_RETURN(const nlohmann::json config, ReadJsonObject(path));
  if (const uint32_t id = NamedToken(config, "bos_token", *spec); id != kNone) spec->bos = id;
  if (const uint32_t id = NamedToken(config, "eos_token", *spec); id != kNone) spec->eos = id;
  if (has_template) return absl::OkStatus();
  bool add_bos = !spec->prefix.empty(), add_eos = !spec->suffix.empty();
  JsonFields fields(config, path);
  LUTDB_RETURN_IF_ERROR(fields.Boolean("add_bos_token", JsonFields::kOptional, &add_bos));
  LUTDB_RETURN_IF_ERROR(fields.Boolean("add_eos_token", JsonFields::kOptional, &add_eos));
  spec->prefix.clear();
  spec->suffix.clear();
  if (add_bos && spec->bos != kNone) spec->prefix = {spec->bos};
  if (add_eos && spec->eos != kNone) spec->suffix = {spec->eos};
  return absl::OkStatus();
}

bool LooksLikeJson(std::string_view bytes) {
  const size_t at = bytes.find_first_not_of(" \t\r\n\xEF\xBB\xBF");
  return at != bytes.npos && bytes[at] == '{';
}

// llama2.c's files begin with a length far below 2^16, SentencePiece's with a piece.
bool LooksLikeLlama2c(std::string_view bytes) {
  return bytes.size() >= 4 && bytes[2] == 0 && bytes[3] == 0;
}
bool LooksLikeSentencePiece(std::string_view bytes) {
  return bytes.size() >= 4 && bytes[0] == '\x0A' && (bytes[2] != 0 || bytes[3] != 0);
}

absl::StatusOr<TokenizerSpec> ReadGguf(const std::string& path, MappedFile file) {
  LUTDB_ASSIGN_OR_RETURN(const GgufFile gguf, OpenGguf(std::move(file)));
  LUTDB_ASSIGN_OR_RETURN(TokenizerSpec spec, ReadGgufTokenizer(gguf.metadata));
  if (spec.kind == TokenizerKind::kAbsent) return DataLoss("{}: holds no vocabulary", path);
  return spec;
}

}  // namespace

absl::StatusOr<TokenizerSpec> ReadTokenizerFile(const std::string& path, uint32_t vocabulary) {
  LUTDB_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
  const bool is_json = LooksLikeJson(file.view());
  const bool is_sentence_piece = LooksLikeSentencePiece(file.view());
  TokenizerSpec spec;
  if (LooksLikeGguf(file)) {
    LUTDB_ASSIGN_OR_RETURN(spec, ReadGguf(path, std::move(file)));
  } else if (is_json) {
    LUTDB_ASSIGN_OR_RETURN(spec, ReadTokenizerJson(path));
  } else if (is_sentence_piece) {
    LUTDB_ASSIGN_OR_RETURN(spec, ParseSentencePieceModel(file.view(), path));
  } else {
    if (!LooksLikeLlama2c(file.view())) {
      return DataLoss(
          "{}: is no tokenizer that lutdb knows (tokenizer.json, a SentencePiece model, a GGUF "
          "file, a llama2.c tokenizer), or it is damaged",
          path);
    }
    return ReadLlama2cTokenizer(path, vocabulary);
  }
  const std::string config = JoinPath(DirectoryOf(path), kConfigFile);
  if ((is_json || is_sentence_piece) && PathExists(config)) {
    const bool has_template = is_json && !(spec.prefix.empty() && spec.suffix.empty());
    LUTDB_RETURN_IF_ERROR(ApplyConfig(config, has_template, &spec));
  }
  if (spec.bos == kNone && spec.prefix.size() == 1) spec.bos = spec.prefix[0];
  LUTDB_RETURN_IF_ERROR(FitTokenizer(path, vocabulary, &spec));
  return spec;
}

std::string FindTokenizerFile(const std::string& directory) {
  for (const char* name : {"tokenizer.json", "tokenizer.model", "tokenizer.bin", "vocab.json"}) {
    std::string path = JoinPath(directory, name);
    if (PathExists(path)) return path;
  }
  return "";
}

absl::Status FitTokenizer(const std::string& where, uint32_t vocabulary, TokenizerSpec* spec) {
  LUTDB_RETURN_IF_ERROR(CheckExpressions(where, *spec));
  if (vocabulary == 0) return absl::OkStatus();
  const size_t count = spec->tokens.size();
  if (count > vocabulary || vocabulary - count > PaddingMax(vocabulary)) {
    return DataLoss(
        "{}: holds {} tokens, but the model's vocabulary has {}; give the model's own with "
        "--tokenizer",
        where, count, vocabulary);
  }
  spec->tokens.resize(vocabulary);
  if (!spec->scores.empty()) spec->scores.resize(vocabulary, 0);
  return absl::OkStatus();
}

}  // namespace lutdb
