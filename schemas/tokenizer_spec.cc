#include "schemas/tokenizer_spec.h"

#include <cmath>

#include "schemas/flat_buffer.h"
#include "schemas/tokenizer_generated.h"

namespace lutdb {
namespace {

constexpr char kWhat[] = "tokenizer";

absl::Status Validate(const TokenizerSpec& spec) {
  if (spec.scores.size() != spec.tokens.size()) {
    return DataLoss("the tokenizer is damaged: it has {} tokens and {} scores", spec.tokens.size(),
                    spec.scores.size());
  }
  for (size_t i = 0; i < spec.scores.size(); ++i) {
    if (std::isnan(spec.scores[i])) {
      return DataLoss("the tokenizer is damaged: the score of token {} is not a number", i);
    }
  }
  for (const uint32_t id : {spec.bos, spec.eos, spec.unknown}) {
    if (id != kNone && id >= spec.tokens.size()) {
      return DataLoss("the tokenizer is damaged: special token {} of only {}", id,
                      spec.tokens.size());
    }
  }
  return absl::OkStatus();
}

}  // namespace

std::string SerializeTokenizer(const TokenizerSpec& spec) {
  std::string token_bytes;
  std::vector<uint32_t> token_ends;
  for (const std::string& token : spec.tokens) {
    token_bytes += token;
    token_ends.push_back(static_cast<uint32_t>(token_bytes.size()));
  }
  flatbuffers::FlatBufferBuilder builder;
  const auto bytes_list = builder.CreateVector(reinterpret_cast<const uint8_t*>(token_bytes.data()),
                                               token_bytes.size());
  const auto ends_list = builder.CreateVector(token_ends);
  const auto score_list = builder.CreateVector(spec.scores);
  builder.Finish(fbs::CreateTokenizer(builder, static_cast<uint8_t>(spec.kind), bytes_list,
                                      ends_list, score_list, spec.bos, spec.eos, spec.unknown,
                                      spec.add_bos, spec.add_space_prefix),
                 fbs::TokenizerIdentifier());
  return FinishedBytes(builder);
}

absl::StatusOr<TokenizerSpec> ParseTokenizer(std::string_view bytes) {
  LUTDB_ASSIGN_OR_RETURN(
      auto buffer, FlatBuffer<fbs::Tokenizer>::Open(bytes, fbs::TokenizerIdentifier(), kWhat));
  TokenizerSpec spec;
  if (buffer->kind() > static_cast<uint8_t>(TokenizerKind::kScoreBpe)) {
    return Unimplemented("the tokenizer is of kind {}, which a newer lutdb wrote: use that one",
                         buffer->kind());
  }
  spec.kind = static_cast<TokenizerKind>(buffer->kind());
  std::vector<uint8_t> token_bytes;
  std::vector<uint32_t> token_ends;
  LUTDB_RETURN_IF_ERROR(buffer.Copy(buffer->token_bytes(), &token_bytes));
  LUTDB_RETURN_IF_ERROR(buffer.Copy(buffer->token_ends(), &token_ends));
  LUTDB_RETURN_IF_ERROR(buffer.Copy(buffer->scores(), &spec.scores));
  spec.tokens.reserve(token_ends.size());
  uint32_t begin = 0;
  for (const uint32_t end : token_ends) {
    if (end < begin || end > token_bytes.size()) {
      return DataLoss("the tokenizer is damaged: token {} ends at byte {} of {}",
                      spec.tokens.size(), end, token_bytes.size());
    }
    spec.tokens.emplace_back(token_bytes.begin() + begin, token_bytes.begin() + end);
    begin = end;
  }
  if (begin != token_bytes.size()) {
    return DataLoss("the tokenizer is damaged: {} bytes belong to no token",
                    token_bytes.size() - begin);
  }
  spec.bos = buffer->bos();
  spec.eos = buffer->eos();
  spec.unknown = buffer->unknown();
  spec.add_bos = buffer->add_bos();
  spec.add_space_prefix = buffer->add_space_prefix();
  LUTDB_RETURN_IF_ERROR(Validate(spec));
  return spec;
}

}  // namespace lutdb
