#include "ingest/tokenizer_llama2c.h"

#include <cmath>

#include "base/bytes.h"
#include "base/file.h"
#include "base/status.h"

namespace lutdb {
namespace {

constexpr uint64_t kTokenHeaderBytes = 8;
constexpr uint32_t kTokenBytesMax = 1 << 16;
// Numbers of the special tokens in every llama2.c tokenizer.
constexpr uint32_t kUnknown = 0, kBos = 1, kEos = 2;

}  // namespace

absl::StatusOr<TokenizerSpec> ReadLlama2cTokenizer(const std::string& path, uint32_t vocabulary) {
  LUTDB_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
  if (file.size() < 4) {
    return DataLoss("{}: {} bytes are too few for a llama2.c tokenizer; it is truncated", path,
                    file.size());
  }
  const uint32_t longest = LoadLittle<uint32_t>(file.data());
  if (longest == 0 || longest > kTokenBytesMax) {
    return DataLoss(
        "{}: a longest token of {} bytes is absurd; it is damaged or no llama2.c "
        "tokenizer",
        path, longest);
  }
  TokenizerSpec spec;
  spec.kind = TokenizerKind::kScoreBpe;
  uint64_t count = 0;
  for (uint64_t at = 4; at < file.size(); ++count) {
    if (file.size() - at < kTokenHeaderBytes) {
      return DataLoss("{}: cut off in token {}, at byte {}", path, count, file.size());
    }
    const float score = LoadLittle<float>(file.data() + at);
    const uint32_t bytes = LoadLittle<uint32_t>(file.data() + at + 4);
    at += kTokenHeaderBytes;
    if (bytes > longest || !std::isfinite(score)) {
      return DataLoss(
          "{}: token {} (score {}, {} bytes) is malformed; it is damaged or no llama2.c "
          "tokenizer",
          path, count, score, bytes);
    }
    if (bytes > file.size() - at) {
      return DataLoss("{}: cut off in token {}, at byte {}", path, count, file.size());
    }
    if (vocabulary == 0 || count < vocabulary) {
      spec.tokens.emplace_back(file.view().substr(at, bytes));
      spec.scores.push_back(score);
    }
    at += bytes;
  }
  if (vocabulary == 0) vocabulary = static_cast<uint32_t>(spec.tokens.size());
  if (count != vocabulary || count == 0) {
    return DataLoss(
        "{}: holds {} tokens, but the model's vocabulary has {}; give the model's own "
        "with --tokenizer",
        path, count, vocabulary);
  }
  spec.unknown = kUnknown;
  if (vocabulary > kBos) spec.bos = kBos;
  if (vocabulary > kEos) spec.eos = kEos;
  return spec;
}

}  // namespace lutdb
