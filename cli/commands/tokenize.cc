// lutdb tokenize FILE|STORE: text to tokens and back, by a store's tokenizer or a tokenizer file.

#include <unistd.h>

#include <memory>

#include "base/file.h"
#include "base/status.h"
#include "cli/command.h"
#include "cli/sizes.h"
#include "engine/tokenizer.h"
#include "ingest/tokenizer_file.h"
#include "lutdb/eval.h"
#include "query/store_reader.h"

namespace lutdb::cli {
namespace {

constexpr uint64_t kTextBytesMax = uint64_t{1} << 30;
constexpr uint64_t kCacheBytes = 1 << 20;

struct Flags {
  std::string source;
  std::string text;
  std::string file;
  std::string tokens;
  std::string decode;
  bool no_special = false;
  bool literal = false;
  bool pieces = false;
  bool json = false;
};

absl::StatusOr<std::unique_ptr<Tokenizer>> OpenTokenizer(const std::string& source) {
  if (!PathExists(source)) return NotFound("{}: no such file or directory", source);
  TokenizerSpec spec;
  std::string file = source;
  if (IsDirectory(source)) file = FindTokenizerFile(source);
  if (!file.empty()) {
    LUTDB_ASSIGN_OR_RETURN(spec, ReadTokenizerFile(file, 0));
  } else {
    LUTDB_ASSIGN_OR_RETURN(const auto store, StoreReader::Open(source, kCacheBytes));
    LUTDB_ASSIGN_OR_RETURN(spec, store->LoadTokenizer());
    if (spec.kind == TokenizerKind::kAbsent) {
      return FailedPrecondition("{}: the store has no tokenizer; build with --tokenizer FILE",
                                source);
    }
  }
  return Tokenizer::Create(std::move(spec));
}

// Ids as people write them: numbers between spaces or commas.
absl::StatusOr<std::vector<int32_t>> ParseIds(const std::string& text) {
  std::vector<int32_t> ids;
  size_t at = 0;
  while (true) {
    at = text.find_first_not_of(" ,\t\n[]", at);
    if (at == std::string::npos) return ids;
    const size_t end = std::min(text.find_first_of(" ,\t\n[]", at), text.size());
    constexpr size_t kDigitsMax = 9;  // fewer than 2^31
    const std::string word = text.substr(at, end - at);
    if (word.find_first_not_of("0123456789") != std::string::npos || word.size() > kDigitsMax) {
      return InvalidArgument("--decode: '{}' is no token id", word);
    }
    ids.push_back(std::stoi(word));
    at = end;
  }
}

absl::Status Decode(const Flags& flags, const Tokenizer& tokenizer, Output& output) {
  std::vector<int32_t> ids;
  if (!flags.tokens.empty()) {
    LUTDB_ASSIGN_OR_RETURN(ids, ReadTokenFile(flags.tokens));
  } else {
    LUTDB_ASSIGN_OR_RETURN(ids, ParseIds(flags.decode));
  }
  LUTDB_ASSIGN_OR_RETURN(const std::string text, tokenizer.Decode(ids));
  if (flags.json) {
    output.WriteJson({{"tokens", ids}, {"text", text}});
  } else {
    output.Write(text);
    output.Write("\n");
  }
  return absl::OkStatus();
}

absl::Status Encode(const Flags& flags, const Tokenizer& tokenizer, Output& output) {
  std::string text = flags.text;
  if (!flags.file.empty()) {
    LUTDB_ASSIGN_OR_RETURN(text, ReadFile(flags.file, kTextBytesMax));
  }
  LUTDB_ASSIGN_OR_RETURN(
      const std::vector<int32_t> ids,
      tokenizer.Encode(text, {.add_special = !flags.no_special, .parse_special = !flags.literal}));
  std::vector<std::string> pieces;
  if (flags.pieces) {
    for (const int32_t id : ids) pieces.push_back(tokenizer.spec().tokens[id]);
  }
  if (flags.json) {
    Json json = {{"tokens", ids}, {"count", ids.size()}};
    if (flags.pieces) json["pieces"] = pieces;
    output.WriteJson(json);
    return absl::OkStatus();
  }
  if (flags.pieces) {
    for (size_t i = 0; i < ids.size(); ++i) {
      output.Write(
          fmt::format("{:>7} {}\n", ids[i],
                      Json(pieces[i]).dump(-1, ' ', false, Json::error_handler_t::replace)));
    }
    return absl::OkStatus();
  }
  std::string line;
  for (const int32_t id : ids) line += fmt::format("{}{}", line.empty() ? "" : " ", id);
  output.Write(line + "\n");
  return absl::OkStatus();
}

absl::Status Tokenize(const Flags& flags, bool decodes, Output& output) {
  LUTDB_ASSIGN_OR_RETURN(const std::unique_ptr<Tokenizer> tokenizer, OpenTokenizer(flags.source));
  return decodes ? Decode(flags, *tokenizer, output) : Encode(flags, *tokenizer, output);
}

}  // namespace

Action DeclareTokenize(CLI::App& app) {
  const auto flags = std::make_shared<Flags>();
  app.add_option("SOURCE", flags->source,
                 "A store, a model's directory, tokenizer.json, a SentencePiece model, a GGUF file "
                 "or a llama2.c tokenizer")
      ->required()
      ->type_name("");
  CLI::Option_group* data =
      app.add_option_group("Data", "What to turn into the other; exactly one");
  data->add_option("--text", flags->text, "UTF-8 text to encode (may be empty)")->type_name("TEXT");
  data->add_option("--file", flags->file, "A file of UTF-8 text to encode")->type_name("FILE");
  CLI::Option* decode =
      data->add_option("--decode", flags->decode, "Ids to decode, for instance '1 15043 3186'")
          ->type_name("IDS");
  CLI::Option* tokens =
      data->add_option("--tokens", flags->tokens, "Ids to decode, raw little-endian int32")
          ->type_name("FILE");
  data->require_option(1);
  app.add_flag("--no-special", flags->no_special,
               "Add no BOS, EOS or other tokens around the text");
  app.add_flag("--literal", flags->literal,
               "Take special tokens that are written in the text as plain text");
  app.add_flag("--pieces", flags->pieces, "Print what each token stands for, too");
  AddJson(app, &flags->json);
  return [flags, decode, tokens](Output& output) {
    return Tokenize(*flags, decode->count() + tokens->count() > 0, output);
  };
}

}  // namespace lutdb::cli
