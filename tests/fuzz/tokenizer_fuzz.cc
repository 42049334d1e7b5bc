// Tokenizer files come from anywhere; what is read from one must be able to encode and decode.

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/check.h"
#include "engine/tokenizer.h"
#include "ingest/tokenizer_file.h"
#include "ingest/tokenizer_sentencepiece.h"
#include "tests/fuzz/fuzz_target.h"

namespace {

void Use(lutdb::TokenizerSpec spec) {
  const auto tokenizer = lutdb::Tokenizer::Create(std::move(spec));
  if (!tokenizer.ok()) return;
  const auto tokens = (*tokenizer)->Encode("a b\xC3\xA9<s> ab 12\n");
  if (!tokens.ok()) return;
  const auto text = (*tokenizer)->Decode(*tokens);
  LUTDB_CHECK(text.ok());
  LUTDB_CHECK(lutdb::IsUtf8(*text));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t count) {
  const std::string text(reinterpret_cast<const char*>(bytes), count);
  auto pieces = lutdb::ParseSentencePieceModel(text, "m");
  if (pieces.ok()) Use(*std::move(pieces));
  // The other readers map the file.
  static const std::string path = std::filesystem::temp_directory_path() /
                                  ("tokenizer_fuzz." + std::to_string(getpid()) + ".json");
  std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
  auto spec = lutdb::ReadTokenizerFile(path, 0);
  unlink(path.c_str());
  if (spec.ok()) Use(*std::move(spec));
  return 0;
}

std::vector<std::string> lutdb::FuzzSeeds() {
  const std::string json = R"({"normalizer":{"type":"Sequence","normalizers":[{"type":"NFC"},
    {"type":"Replace","pattern":{"String":" "},"content":"_"}]},"pre_tokenizer":{"type":"Split",
    "pattern":{"Regex":"\\p{L}+|\\s+"},"behavior":"Isolated","invert":false},"added_tokens":[
    {"id":3,"content":"<s>","special":true}],"model":{"type":"BPE","unk_token":"a","vocab":{"a":0,
    "b":1,"ab":2},"merges":["a b"]},"decoder":{"type":"Metaspace","replacement":"_"}})";
  const std::string unigram = R"({"pre_tokenizer":{"type":"Metaspace","replacement":"_"},
    "model":{"type":"Unigram","unk_id":0,"vocab":[["<unk>",0],["a",-1.5],["_a",-2],["b",-3]]}})";
  const std::string words = R"({"normalizer":{"type":"BertNormalizer"},"pre_tokenizer":{"type":
    "BertPreTokenizer"},"model":{"type":"WordPiece",
    "unk_token":"?","vocab":{"?":0,"a":1,"##b":2}}})";
  // Pieces "<unk>" (unknown) and "a".
  const std::string pieces(
      "\x0A\x0E\x0A\x05<unk>\x15\0\0\0\0\x18\x02\x0A\x08\x0A\x01"
      "a\x15\0\0\x80\xBF",
      26);
  return {json, unigram, words, pieces};
}
