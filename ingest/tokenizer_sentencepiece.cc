#include "ingest/tokenizer_sentencepiece.h"

#include <cmath>
#include <utility>

#include "base/bytes.h"
#include "base/status.h"
#include "ingest/sentence_pieces.h"

namespace lutdb {
namespace {

constexpr size_t kPiecesMax = size_t{1} << 22;

// Fields by their numbers in sentencepiece_model.proto.
enum : uint32_t { kPieces = 1, kTrainerSpec = 2, kNormalizerSpec = 3 };
enum : uint32_t { kPieceText = 1, kPieceScore = 2, kPieceType = 3 };
enum : uint32_t {
  kModelType = 3,
  kWhitespaceAsSuffix = 24,
  kByteFallback = 35,
  kBosId = 41,
  kEosId = 42,
};
enum : uint32_t { kCharsMap = 2, kDummyPrefix = 3, kRemoveExtra = 4, kEscapeWhitespace = 5 };
// Values of kPieceType and kModelType.
enum : uint64_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};
enum : uint64_t { kUnigramModel = 1, kBpeModel = 2 };

// One field of a message.
struct Field {
  uint32_t number = 0;
  uint64_t value = 0;      // varint or fixed
  std::string_view bytes;  // length-delimited
};

// Reads the fields of one message in place.
class FieldReader {
 public:
  FieldReader(std::string_view bytes, const std::string& where) : rest_(bytes), where_(where) {}

  bool at_end() const { return rest_.empty(); }

  absl::Status Next(Field* field) {
    uint64_t key = 0;
    LUTDB_RETURN_IF_ERROR(Varint(&key));
    *field = Field{.number = static_cast<uint32_t>(key >> 3), .value = 0, .bytes = {}};
    switch (key & 7) {
      case 0:
        return Varint(&field->value);
      case 1:
        return Fixed<uint64_t>(&field->value);
      case 2: {
        uint64_t length = 0;
        LUTDB_RETURN_IF_ERROR(Varint(&length));
        if (length > rest_.size()) return Malformed();
        field->bytes = rest_.substr(0, length);
        rest_.remove_prefix(length);
        return absl::OkStatus();
      }
      case 5:
        return Fixed<uint32_t>(&field->value);
      default:
        return Malformed();
    }
  }

 private:
  absl::Status Malformed() const {
    return DataLoss("{}: is no SentencePiece model, or it is damaged", where_);
  }
  absl::Status Varint(uint64_t* value) {
    *value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (rest_.empty()) return Malformed();
      const auto byte = static_cast<uint8_t>(rest_[0]);
      rest_.remove_prefix(1);
      *value |= uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) return absl::OkStatus();
    }
    return Malformed();
  }
  template <typename T>
  absl::Status Fixed(uint64_t* value) {
    if (rest_.size() < sizeof(T)) return Malformed();
    *value = LoadLittle<T>(rest_.data());
    rest_.remove_prefix(sizeof(T));
    return absl::OkStatus();
  }

  std::string_view rest_;
  const std::string& where_;
};

struct Model {
  TokenizerSpec spec;
  SentenceRules rules{
      .chars_map = {}, .remove_extra_whitespaces = true, .prefix_place = TokenizerPlace::kFirst};
  uint64_t type = kUnigramModel;
  bool whitespace_as_suffix = false;
  uint64_t bos = 1, eos = 2;
  bool escape_whitespace = true;
};

absl::Status ReadPiece(std::string_view bytes, const std::string& where, Model* model) {
  FieldReader message(bytes, where);
  std::string_view text;
  uint32_t score_bits = 0;
  uint64_t type = kNormal;
  while (!message.at_end()) {
    Field field;
    LUTDB_RETURN_IF_ERROR(message.Next(&field));
    if (field.number == kPieceText) text = field.bytes;
    if (field.number == kPieceScore) score_bits = static_cast<uint32_t>(field.value);
    if (field.number == kPieceType) type = field.value;
  }
  TokenizerSpec& spec = model->spec;
  const auto id = static_cast<uint32_t>(spec.tokens.size());
  const float score = LoadLittle<float>(&score_bits);
  if (id >= kPiecesMax || !std::isfinite(score)) {
    return DataLoss("{}: piece {} is malformed (score {})", where, id, score);
  }
  if (type == kUnknown) spec.unknown = id;
  const bool is_text = type == kNormal || type == kUnused || type == kByte;
  spec.tokens.push_back(is_text ? WithPlainSpaces(text) : std::string(text));
  spec.scores.push_back(score);
  if (!is_text && !text.empty()) {
    spec.added.push_back({.id = id, .text = std::string(text), .special = type != kUserDefined});
  }
  return absl::OkStatus();
}

absl::Status ReadTrainerSpec(std::string_view bytes, const std::string& where, Model* model) {
  FieldReader message(bytes, where);
  while (!message.at_end()) {
    Field field;
    LUTDB_RETURN_IF_ERROR(message.Next(&field));
    if (field.number == kModelType) model->type = field.value;
    if (field.number == kWhitespaceAsSuffix) model->whitespace_as_suffix = field.value != 0;
    if (field.number == kByteFallback) model->spec.byte_fallback = field.value != 0;
    if (field.number == kBosId) model->bos = field.value;
    if (field.number == kEosId) model->eos = field.value;
  }
  return absl::OkStatus();
}

absl::Status ReadNormalizerSpec(std::string_view bytes, const std::string& where, Model* model) {
  FieldReader message(bytes, where);
  while (!message.at_end()) {
    Field field;
    LUTDB_RETURN_IF_ERROR(message.Next(&field));
    if (field.number == kCharsMap) model->rules.chars_map = field.bytes;
    if (field.number == kDummyPrefix) model->rules.add_space_prefix = field.value != 0;
    if (field.number == kRemoveExtra) model->rules.remove_extra_whitespaces = field.value != 0;
    if (field.number == kEscapeWhitespace) model->escape_whitespace = field.value != 0;
  }
  return absl::OkStatus();
}

absl::Status Finish(const std::string& where, Model* model) {
  TokenizerSpec& spec = model->spec;
  if (spec.tokens.empty()) {
    return DataLoss("{}: is no SentencePiece model: it has no pieces", where);
  }
  if (model->type != kUnigramModel && model->type != kBpeModel) {
    return Unimplemented(
        "{}: SentencePiece models of type {} are not implemented; unigram (1) and BPE (2) are",
        where, model->type);
  }
  if (model->whitespace_as_suffix || !model->escape_whitespace) {
    return Unimplemented(
        "{}: white space as a suffix, or not escaped, is not implemented for SentencePiece models",
        where);
  }
  spec.kind = model->type == kBpeModel ? TokenizerKind::kSentenceBpe : TokenizerKind::kUnigram;
  spec.fuse_unknown = true;
  if (model->bos < spec.tokens.size()) spec.bos = static_cast<uint32_t>(model->bos);
  if (model->eos < spec.tokens.size()) spec.eos = static_cast<uint32_t>(model->eos);
  if (spec.bos != kNone) spec.prefix = {spec.bos};
  SetSentenceRules(model->rules, &spec);
  const absl::Status status = ValidateTokenizer(spec);
  return status.ok() ? status : Error(status.code(), "{}: {}", where, Message(status));
}

}  // namespace

absl::StatusOr<TokenizerSpec> ParseSentencePieceModel(std::string_view bytes,
                                                      const std::string& where) {
  Model model;
  FieldReader message(bytes, where);
  while (!message.at_end()) {
    Field field;
    LUTDB_RETURN_IF_ERROR(message.Next(&field));
    if (field.number == kPieces) LUTDB_RETURN_IF_ERROR(ReadPiece(field.bytes, where, &model));
    if (field.number == kTrainerSpec) {
      LUTDB_RETURN_IF_ERROR(ReadTrainerSpec(field.bytes, where, &model));
    }
    if (field.number == kNormalizerSpec) {
      LUTDB_RETURN_IF_ERROR(ReadNormalizerSpec(field.bytes, where, &model));
    }
  }
  LUTDB_RETURN_IF_ERROR(Finish(where, &model));
  return std::move(model.spec);
}

}  // namespace lutdb
