#include "schemas/tokenizer_spec.h"

#include <cmath>

#include "schemas/flat_buffer.h"
#include "schemas/tokenizer_generated.h"

namespace lutdb {
namespace {

constexpr char kWhat[] = "tokenizer";

using Buffer = FlatBuffer<fbs::Tokenizer>;
using Bytes = flatbuffers::Vector<uint8_t>;
template <typename T>
using Tables = flatbuffers::Vector<flatbuffers::Offset<T>>;

bool HasScores(TokenizerKind kind) {
  return kind == TokenizerKind::kScoreBpe || kind == TokenizerKind::kUnigram ||
         kind == TokenizerKind::kSentenceBpe;
}

bool IsKnownStep(const TokenizerStep& step, bool is_split) {
  const auto kind = static_cast<uint8_t>(step.kind);
  const auto last =
      static_cast<uint8_t>(is_split ? TokenizerStepKind::kMetaspace : TokenizerStepKind::kNmt);
  const auto first =
      static_cast<uint8_t>(is_split ? TokenizerStepKind::kSplit : TokenizerStepKind::kNfc);
  if (kind < first || kind > last) return false;
  switch (step.kind) {
    case TokenizerStepKind::kSplit:
      return step.option <= static_cast<uint8_t>(SplitBehavior::kContiguous);
    case TokenizerStepKind::kPrepend:
    case TokenizerStepKind::kMetaspace:
      return step.option <= static_cast<uint8_t>(TokenizerPlace::kNever);
    case TokenizerStepKind::kStrip:
      return step.option <= 3;
    case TokenizerStepKind::kStripMarks:
      return step.option <= 1;
    default:
      return step.option == 0;
  }
}

absl::Status CheckIds(const TokenizerSpec& spec) {
  const size_t count = spec.tokens.size();
  const auto check = [count](const char* what, const std::vector<uint32_t>& ids) -> absl::Status {
    for (const uint32_t id : ids) {
      if (id < count) continue;
      return DataLoss("the tokenizer is damaged: {} {} of only {}", what, id, count);
    }
    return absl::OkStatus();
  };
  for (const uint32_t id : {spec.bos, spec.eos, spec.unknown}) {
    if (id != kNone && id >= count) {
      return DataLoss("the tokenizer is damaged: special token {} of only {}", id, count);
    }
  }
  if (spec.merges.size() % 3 != 0) {
    return DataLoss("the tokenizer is damaged: {} ids are no whole number of merges",
                    spec.merges.size());
  }
  LUTDB_RETURN_IF_ERROR(check("a merge names token", spec.merges));
  LUTDB_RETURN_IF_ERROR(check("the prefix has token", spec.prefix));
  LUTDB_RETURN_IF_ERROR(check("the suffix has token", spec.suffix));
  return check("texts end with token", spec.ends);
}

absl::Status CheckAdded(const TokenizerSpec& spec) {
  for (const AddedToken& token : spec.added) {
    if (token.id >= spec.tokens.size()) {
      return DataLoss("the tokenizer is damaged: added token {} of only {}", token.id,
                      spec.tokens.size());
    }
    if (token.text.empty()) {
      return DataLoss("the tokenizer is damaged: added token {} is empty", token.id);
    }
  }
  return absl::OkStatus();
}

absl::Status CheckSteps(const TokenizerSpec& spec) {
  for (const auto& [steps, is_split] :
       {std::pair{&spec.normalizers, false}, {&spec.splits, true}}) {
    for (const TokenizerStep& step : *steps) {
      if (!IsKnownStep(step, is_split)) {
        return Unimplemented(
            "the tokenizer has a step {} with option {}, which a newer lutdb wrote: use that one",
            static_cast<int>(step.kind), step.option);
      }
      if (step.kind == TokenizerStepKind::kReplace && step.pattern.empty()) {
        return DataLoss("the tokenizer is damaged: it replaces the empty string");
      }
    }
  }
  for (const TokenizerStep& step : spec.decoders) {
    if (step.kind != TokenizerStepKind::kReplace || step.pattern.empty()) {
      return DataLoss("the tokenizer is damaged: step {} is none of decoding",
                      static_cast<int>(step.kind));
    }
  }
  return absl::OkStatus();
}

flatbuffers::Offset<Bytes> Pack(flatbuffers::FlatBufferBuilder& builder, const std::string& bytes) {
  if (bytes.empty()) return {};
  return builder.CreateVector(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
}

flatbuffers::Offset<flatbuffers::Vector<uint32_t>> Pack(flatbuffers::FlatBufferBuilder& builder,
                                                        const std::vector<uint32_t>& ids) {
  if (ids.empty()) return {};
  return builder.CreateVector(ids);
}

flatbuffers::Offset<Tables<fbs::TokenizerStep>> Pack(flatbuffers::FlatBufferBuilder& builder,
                                                     const std::vector<TokenizerStep>& steps) {
  if (steps.empty()) return {};
  std::vector<flatbuffers::Offset<fbs::TokenizerStep>> packed;
  for (const TokenizerStep& step : steps) {
    const auto pattern = Pack(builder, step.pattern);
    const auto text = Pack(builder, step.text);
    packed.push_back(fbs::CreateTokenizerStep(builder, static_cast<uint8_t>(step.kind), step.option,
                                              step.inverted, pattern, text));
  }
  return builder.CreateVector(packed);
}

flatbuffers::Offset<Tables<fbs::AddedToken>> Pack(flatbuffers::FlatBufferBuilder& builder,
                                                  const std::vector<AddedToken>& tokens) {
  if (tokens.empty()) return {};
  std::vector<flatbuffers::Offset<fbs::AddedToken>> packed;
  for (const AddedToken& token : tokens) {
    const auto text = Pack(builder, token.text);
    packed.push_back(fbs::CreateAddedToken(builder, token.id, text, token.special,
                                           token.single_word, token.strip_left, token.strip_right,
                                           token.normalized));
  }
  return builder.CreateVector(packed);
}

absl::Status Unpack(Buffer& buffer, const Bytes* from, std::string* to) {
  std::vector<uint8_t> bytes;
  LUTDB_RETURN_IF_ERROR(buffer.Copy(from, &bytes));
  to->assign(bytes.begin(), bytes.end());
  return absl::OkStatus();
}

absl::Status Unpack(Buffer& buffer, const Tables<fbs::TokenizerStep>* from,
                    std::vector<TokenizerStep>* to) {
  LUTDB_ASSIGN_OR_RETURN(const size_t count, buffer.Count(from));
  for (size_t i = 0; i < count; ++i) {
    const fbs::TokenizerStep& packed = *from->Get(static_cast<flatbuffers::uoffset_t>(i));
    TokenizerStep step;
    step.kind = static_cast<TokenizerStepKind>(packed.kind());
    step.option = packed.option();
    step.inverted = packed.inverted();
    LUTDB_RETURN_IF_ERROR(Unpack(buffer, packed.pattern(), &step.pattern));
    LUTDB_RETURN_IF_ERROR(Unpack(buffer, packed.text(), &step.text));
    to->push_back(std::move(step));
  }
  return absl::OkStatus();
}

absl::Status Unpack(Buffer& buffer, const Tables<fbs::AddedToken>* from,
                    std::vector<AddedToken>* to) {
  LUTDB_ASSIGN_OR_RETURN(const size_t count, buffer.Count(from));
  for (size_t i = 0; i < count; ++i) {
    const fbs::AddedToken& packed = *from->Get(static_cast<flatbuffers::uoffset_t>(i));
    AddedToken token{.id = packed.id(),
                     .text = {},
                     .special = packed.special(),
                     .single_word = packed.single_word(),
                     .strip_left = packed.strip_left(),
                     .strip_right = packed.strip_right(),
                     .normalized = packed.normalized()};
    LUTDB_RETURN_IF_ERROR(Unpack(buffer, packed.text(), &token.text));
    to->push_back(std::move(token));
  }
  return absl::OkStatus();
}

absl::Status UnpackTokens(Buffer& buffer, std::vector<std::string>* tokens) {
  std::vector<uint8_t> token_bytes;
  std::vector<uint32_t> token_ends;
  LUTDB_RETURN_IF_ERROR(buffer.Copy(buffer->token_bytes(), &token_bytes));
  LUTDB_RETURN_IF_ERROR(buffer.Copy(buffer->token_ends(), &token_ends));
  tokens->reserve(token_ends.size());
  uint32_t begin = 0;
  for (const uint32_t end : token_ends) {
    if (end < begin || end > token_bytes.size()) {
      return DataLoss("the tokenizer is damaged: token {} ends at byte {} of {}", tokens->size(),
                      end, token_bytes.size());
    }
    tokens->emplace_back(token_bytes.begin() + begin, token_bytes.begin() + end);
    begin = end;
  }
  if (begin != token_bytes.size()) {
    return DataLoss("the tokenizer is damaged: {} bytes belong to no token",
                    token_bytes.size() - begin);
  }
  return absl::OkStatus();
}

absl::Status UnpackPipeline(Buffer& buffer, TokenizerSpec* spec) {
  LUTDB_RETURN_IF_ERROR(buffer.Copy(buffer->merges(), &spec->merges));
  LUTDB_RETURN_IF_ERROR(Unpack(buffer, buffer->added(), &spec->added));
  LUTDB_RETURN_IF_ERROR(Unpack(buffer, buffer->normalizers(), &spec->normalizers));
  LUTDB_RETURN_IF_ERROR(Unpack(buffer, buffer->splits(), &spec->splits));
  LUTDB_RETURN_IF_ERROR(buffer.Copy(buffer->prefix(), &spec->prefix));
  LUTDB_RETURN_IF_ERROR(buffer.Copy(buffer->suffix(), &spec->suffix));
  LUTDB_RETURN_IF_ERROR(buffer.Copy(buffer->ends(), &spec->ends));
  LUTDB_RETURN_IF_ERROR(Unpack(buffer, buffer->continuing(), &spec->continuing));
  LUTDB_RETURN_IF_ERROR(Unpack(buffer, buffer->word_end(), &spec->word_end));
  LUTDB_RETURN_IF_ERROR(Unpack(buffer, buffer->decoders(), &spec->decoders));
  LUTDB_RETURN_IF_ERROR(Unpack(buffer, buffer->separator(), &spec->separator));
  spec->byte_level = buffer->byte_level();
  spec->byte_fallback = buffer->byte_fallback();
  spec->fuse_unknown = buffer->fuse_unknown();
  spec->ignore_merges = buffer->ignore_merges();
  spec->word_chars_max = buffer->word_chars_max();
  spec->strip_start = buffer->strip_start();
  spec->clean_up = buffer->clean_up();
  return absl::OkStatus();
}

}  // namespace

absl::Status ValidateTokenizer(const TokenizerSpec& spec) {
  const size_t scores_needed = HasScores(spec.kind) ? spec.tokens.size() : 0;
  if (spec.scores.size() != scores_needed) {
    return DataLoss("the tokenizer is damaged: it has {} tokens and {} scores", spec.tokens.size(),
                    spec.scores.size());
  }
  for (size_t i = 0; i < spec.scores.size(); ++i) {
    if (std::isnan(spec.scores[i])) {
      return DataLoss("the tokenizer is damaged: the score of token {} is not a number", i);
    }
  }
  LUTDB_RETURN_IF_ERROR(CheckIds(spec));
  LUTDB_RETURN_IF_ERROR(CheckAdded(spec));
  return CheckSteps(spec);
}

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
  // What is empty is left out: a kScoreBpe tokenizer has the bytes it had before these existed.
  const auto merges = Pack(builder, spec.merges);
  const auto added = Pack(builder, spec.added);
  const auto normalizers = Pack(builder, spec.normalizers);
  const auto splits = Pack(builder, spec.splits);
  const auto prefix = Pack(builder, spec.prefix);
  const auto suffix = Pack(builder, spec.suffix);
  const auto ends = Pack(builder, spec.ends);
  const auto continuing = Pack(builder, spec.continuing);
  const auto word_end = Pack(builder, spec.word_end);
  const auto decoders = Pack(builder, spec.decoders);
  const auto separator = Pack(builder, spec.separator);
  builder.Finish(
      fbs::CreateTokenizer(builder, static_cast<uint8_t>(spec.kind), bytes_list, ends_list,
                           score_list, spec.bos, spec.eos, spec.unknown, spec.add_bos,
                           spec.add_space_prefix, merges, added, normalizers, splits, prefix,
                           suffix, ends, spec.byte_level, spec.byte_fallback, spec.fuse_unknown,
                           spec.ignore_merges, continuing, word_end, spec.word_chars_max, decoders,
                           spec.strip_start, separator, spec.clean_up),
      fbs::TokenizerIdentifier());
  return FinishedBytes(builder);
}

absl::StatusOr<TokenizerSpec> ParseTokenizer(std::string_view bytes) {
  LUTDB_ASSIGN_OR_RETURN(auto buffer, Buffer::Open(bytes, fbs::TokenizerIdentifier(), kWhat));
  TokenizerSpec spec;
  if (buffer->kind() > static_cast<uint8_t>(kTokenizerKindLast)) {
    return Unimplemented("the tokenizer is of kind {}, which a newer lutdb wrote: use that one",
                         buffer->kind());
  }
  spec.kind = static_cast<TokenizerKind>(buffer->kind());
  LUTDB_RETURN_IF_ERROR(UnpackTokens(buffer, &spec.tokens));
  LUTDB_RETURN_IF_ERROR(buffer.Copy(buffer->scores(), &spec.scores));
  spec.bos = buffer->bos();
  spec.eos = buffer->eos();
  spec.unknown = buffer->unknown();
  spec.add_bos = buffer->add_bos();
  spec.add_space_prefix = buffer->add_space_prefix();
  LUTDB_RETURN_IF_ERROR(UnpackPipeline(buffer, &spec));
  LUTDB_RETURN_IF_ERROR(ValidateTokenizer(spec));
  return spec;
}

}  // namespace lutdb
