#include "ingest/tokenizer_json.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <utility>

#include "base/file.h"
#include "base/status.h"
#include "ingest/byte_alphabet.h"
#include "ingest/json_file.h"
#include "ingest/tokenizer_expressions.h"
#include "ingest/tokenizer_json_steps.h"

namespace lutdb {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kIdMax = (uint64_t{1} << 22) - 1;
constexpr char kVocabFile[] = "vocab.json";
constexpr char kMergesFile[] = "merges.txt";

class Reader {
 public:
  explicit Reader(std::string path) : path_(std::move(path)) {}

  absl::StatusOr<TokenizerSpec> Read() {
    LUTDB_ASSIGN_OR_RETURN(const Json root, ReadJsonObject(path_));
    // In a plain vocabulary "model" is a word like any other, with a number.
    const auto model = root.find("model");
    const auto is_id = [](const Json& value) { return value.is_number_unsigned(); };
    if (model != root.end() && !(is_id(*model) && std::all_of(root.begin(), root.end(), is_id))) {
      LUTDB_RETURN_IF_ERROR(ReadPipeline(root));
    } else {
      LUTDB_RETURN_IF_ERROR(ReadVocabAndMerges(root));
    }
    const absl::Status status = ValidateTokenizer(spec_);
    if (!status.ok()) return Error(status.code(), "{}: {}", path_, Message(status));
    return std::move(spec_);
  }

 private:
  std::string Where(const char* member) const { return fmt::format("{}: {}", path_, member); }

  absl::Status ReadPipeline(const Json& root) {
    const auto member = [&root](const char* name) -> const Json& {
      static const Json kNull;
      const auto found = root.find(name);
      return found == root.end() ? kNull : *found;
    };
    LUTDB_RETURN_IF_ERROR(LowerNormalizer(member("normalizer"), Where("normalizer"), &spec_));
    LUTDB_RETURN_IF_ERROR(
        LowerPreTokenizer(member("pre_tokenizer"), Where("pre_tokenizer"), &spec_));
    LUTDB_RETURN_IF_ERROR(LowerDecoder(member("decoder"), Where("decoder"), &spec_));
    const Json& model = member("model");
    if (!model.is_object()) return DataLoss("{}: model must be an object", path_);
    std::string type = model.contains("merges") ? "BPE" : "";
    LUTDB_RETURN_IF_ERROR(
        JsonFields(model, Where("model")).String("type", JsonFields::kOptional, &type));
    if (type == "BPE") {
      LUTDB_RETURN_IF_ERROR(ReadBpe(model));
    } else if (type == "Unigram") {
      LUTDB_RETURN_IF_ERROR(ReadUnigram(model));
    } else if (type == "WordPiece") {
      LUTDB_RETURN_IF_ERROR(ReadWordPiece(model));
    } else {
      return Unimplemented(
          "{}: a model of type {} is not implemented; BPE, Unigram and WordPiece are", path_,
          Quote(type));
    }
    SpellBytes();
    LUTDB_RETURN_IF_ERROR(ReadAddedTokens(member("added_tokens")));
    return ReadPostProcessor(member("post_processor"), Where("post_processor"));
  }

  // GPT-2's two files.
  absl::Status ReadVocabAndMerges(const Json& vocab) {
    const std::string name = BaseName(path_);
    const size_t at = name.rfind(kVocabFile);
    if (at == std::string::npos || at + std::string_view(kVocabFile).size() != name.size()) {
      return DataLoss("{}: is no tokenizer.json: it has no model", path_);
    }
    const std::string merges_path = JoinPath(DirectoryOf(path_), name.substr(0, at) + kMergesFile);
    spec_.kind = TokenizerKind::kMergeBpe;
    spec_.byte_level = true;
    spec_.splits.push_back(SplitStep(kGpt2Expression));
    LUTDB_RETURN_IF_ERROR(ReadVocab(vocab));
    LUTDB_ASSIGN_OR_RETURN(const std::string text, ReadFile(merges_path, kJsonFileBytesMax));
    std::string_view rest = text;
    for (size_t number = 1; !rest.empty(); ++number) {
      std::string_view line = rest.substr(0, rest.find('\n'));
      rest.remove_prefix(std::min(rest.size(), line.size() + 1));
      if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
      if (line.empty() || line.substr(0, 9) == "#version:") continue;
      LUTDB_RETURN_IF_ERROR(AddMerge(line, fmt::format("{}, line {}", merges_path, number)));
    }
    SpellBytes();
    constexpr char kEnd[] = "<|endoftext|>";
    if (const auto end = ids_.find(kEnd); end != ids_.end()) {
      spec_.eos = end->second;
      spec_.added.push_back({.id = end->second, .text = kEnd, .special = true});
    }
    return absl::OkStatus();
  }

  // Gives an id its text; ids may come in any order and leave gaps, but not absurd ones.
  absl::Status SetToken(uint64_t id, const std::string& text, size_t count) {
    if (id > kIdMax || id > 2 * count + 65536) {
      return DataLoss("{}: token {} has the id {}, far beyond its {} tokens", path_, Quote(text),
                      id, count);
    }
    if (id >= spec_.tokens.size()) spec_.tokens.resize(id + 1);
    std::string& token = spec_.tokens[id];
    if (!token.empty()) {
      return DataLoss("{}: tokens {} and {} have the same id {}", path_, Quote(token), Quote(text),
                      id);
    }
    token = text;
    return absl::OkStatus();
  }

  absl::Status ReadVocab(const Json& vocab) {
    if (!vocab.is_object() || vocab.empty()) {
      return DataLoss("{}: its vocabulary must be an object of tokens and ids, and not empty",
                      path_);
    }
    ids_.reserve(vocab.size());
    for (const auto& [text, id] : vocab.items()) {
      if (!id.is_number_unsigned()) {
        return DataLoss("{}: the id of token {} is no number from 0", path_, Quote(text));
      }
      LUTDB_RETURN_IF_ERROR(SetToken(id.get<uint64_t>(), text, vocab.size()));
      ids_.emplace(text, static_cast<uint32_t>(id.get<uint64_t>()));
    }
    return absl::OkStatus();
  }

  absl::Status AddMerge(std::string_view line, const std::string& where) {
    const size_t space = line.find(' ', 1);
    if (space == line.npos || line.find(' ', space + 1) != line.npos) {
      return DataLoss("{}: {} is no merge of two tokens", where, Quote(line));
    }
    return AddMerge(std::string(line.substr(0, space)), std::string(line.substr(space + 1)), where);
  }

  absl::Status AddMerge(const std::string& left, const std::string& right,
                        const std::string& where) {
    // The right part's mark of continuing a word is not repeated inside one.
    const bool continues = !spec_.continuing.empty() &&
                           right.compare(0, spec_.continuing.size(), spec_.continuing) == 0;
    const std::string whole = left + right.substr(continues ? spec_.continuing.size() : 0);
    for (const std::string& part : {left, right, whole}) {
      const auto found = ids_.find(part);
      if (found == ids_.end()) {
        return DataLoss("{}: merging {} and {} needs the token {}, which is not in the vocabulary",
                        where, Quote(left), Quote(right), Quote(part));
      }
      spec_.merges.push_back(found->second);
    }
    return absl::OkStatus();
  }

  absl::Status ReadBpe(const Json& model) {
    spec_.kind = TokenizerKind::kMergeBpe;
    JsonFields fields(model, Where("model"));
    double dropout = 0;
    LUTDB_RETURN_IF_ERROR(fields.Number("dropout", JsonFields::kOptional, 0, 1, &dropout));
    if (dropout != 0) {
      return Unimplemented("{}: BPE with dropout answers by chance; set dropout to null", path_);
    }
    LUTDB_RETURN_IF_ERROR(fields.Boolean("fuse_unk", JsonFields::kOptional, &spec_.fuse_unknown));
    LUTDB_RETURN_IF_ERROR(
        fields.Boolean("byte_fallback", JsonFields::kOptional, &spec_.byte_fallback));
    LUTDB_RETURN_IF_ERROR(
        fields.Boolean("ignore_merges", JsonFields::kOptional, &spec_.ignore_merges));
    LUTDB_RETURN_IF_ERROR(ReadMark(model, "continuing_subword_prefix", &spec_.continuing));
    LUTDB_RETURN_IF_ERROR(ReadMark(model, "end_of_word_suffix", &spec_.word_end));
    LUTDB_RETURN_IF_ERROR(ReadVocabMember(model));
    LUTDB_RETURN_IF_ERROR(ReadUnknown(model, "unk_token", /*needed=*/false));
    const auto merges = model.find("merges");
    if (merges == model.end() || !merges->is_array()) {
      return DataLoss("{}: merges must be a list", Where("model"));
    }
    for (size_t i = 0; i < merges->size(); ++i) {
      const Json& merge = (*merges)[i];
      const std::string where = fmt::format("{}: merge {}", path_, i);
      if (merge.is_string()) {
        LUTDB_RETURN_IF_ERROR(AddMerge(merge.get_ref<const std::string&>(), where));
      } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() &&
                 merge[1].is_string()) {
        LUTDB_RETURN_IF_ERROR(AddMerge(merge[0].get_ref<const std::string&>(),
                                       merge[1].get_ref<const std::string&>(), where));
      } else {
        return DataLoss("{}: is no pair of tokens", where);
      }
    }
    return absl::OkStatus();
  }

  absl::Status ReadVocabMember(const Json& model) {
    const auto vocab = model.find("vocab");
    return ReadVocab(vocab == model.end() ? Json() : *vocab);
  }

  // A string that may be null or empty.
  absl::Status ReadMark(const Json& model, const char* key, std::string* mark) const {
    mark->clear();
    const auto found = model.find(key);
    if (found == model.end() || found->is_null()) return absl::OkStatus();
    if (!found->is_string()) return DataLoss("{}: {} must be a string", Where("model"), key);
    *mark = found->get<std::string>();
    return absl::OkStatus();
  }

  absl::Status ReadUnknown(const Json& model, const char* key, bool needed) {
    std::string token;
    LUTDB_RETURN_IF_ERROR(ReadMark(model, key, &token));
    if (token.empty() && !needed) return absl::OkStatus();
    const auto found = ids_.find(token);
    if (found == ids_.end()) {
      return DataLoss("{}: {} {} is not in the vocabulary", Where("model"), key, Quote(token));
    }
    spec_.unknown = found->second;
    return absl::OkStatus();
  }

  absl::Status ReadUnigram(const Json& model) {
    spec_.kind = TokenizerKind::kUnigram;
    spec_.fuse_unknown = true;
    JsonFields fields(model, Where("model"));
    LUTDB_RETURN_IF_ERROR(
        fields.Boolean("byte_fallback", JsonFields::kOptional, &spec_.byte_fallback));
    const auto vocab = model.find("vocab");
    if (vocab == model.end() || !vocab->is_array() || vocab->empty() || vocab->size() > kIdMax) {
      return DataLoss("{}: vocab must be a list of tokens and scores, and not empty",
                      Where("model"));
    }
    for (const Json& piece : *vocab) {
      if (!piece.is_array() || piece.size() != 2 || !piece[0].is_string() ||
          !piece[1].is_number()) {
        return DataLoss("{}: element {} of vocab is no pair of a token and its score",
                        Where("model"), spec_.tokens.size());
      }
      ids_.try_emplace(piece[0].get<std::string>(), static_cast<uint32_t>(spec_.tokens.size()));
      spec_.tokens.push_back(piece[0].get<std::string>());
      spec_.scores.push_back(piece[1].get<float>());
    }
    if (model.contains("unk_id") && !model["unk_id"].is_null()) {
      LUTDB_RETURN_IF_ERROR(fields.Unsigned("unk_id", JsonFields::kRequired, 0,
                                            spec_.tokens.size() - 1, &spec_.unknown));
    }
    return absl::OkStatus();
  }

  absl::Status ReadWordPiece(const Json& model) {
    spec_.kind = TokenizerKind::kWordPiece;
    spec_.continuing = "##";
    spec_.word_chars_max = 100;
    JsonFields fields(model, Where("model"));
    LUTDB_RETURN_IF_ERROR(fields.Unsigned("max_input_chars_per_word", JsonFields::kOptional, 1,
                                          1u << 30, &spec_.word_chars_max));
    if (model.contains("continuing_subword_prefix")) {
      LUTDB_RETURN_IF_ERROR(ReadMark(model, "continuing_subword_prefix", &spec_.continuing));
    }
    LUTDB_RETURN_IF_ERROR(ReadVocabMember(model));
    return ReadUnknown(model, "unk_token", /*needed=*/true);
  }

  // Byte-level tokens are kept as the bytes they stand for.
  void SpellBytes() {
    if (!spec_.byte_level) return;
    std::string bytes;
    for (std::string& token : spec_.tokens) {
      if (FromByteAlphabet(token, &bytes)) token = bytes;
    }
  }

  absl::Status ReadAddedTokens(const Json& list) {
    if (list.is_null()) return absl::OkStatus();
    if (!list.is_array()) return DataLoss("{}: must be a list", Where("added_tokens"));
    for (const Json& given : list) {
      const std::string where = fmt::format("{}[{}]", Where("added_tokens"), spec_.added.size());
      if (!given.is_object()) return DataLoss("{}: must be an object", where);
      AddedToken token;
      JsonFields fields(given, where);
      LUTDB_RETURN_IF_ERROR(fields.Unsigned("id", JsonFields::kRequired, 0, kIdMax, &token.id));
      LUTDB_RETURN_IF_ERROR(fields.String("content", JsonFields::kRequired, &token.text));
      LUTDB_RETURN_IF_ERROR(fields.Boolean("special", JsonFields::kOptional, &token.special));
      LUTDB_RETURN_IF_ERROR(
          fields.Boolean("single_word", JsonFields::kOptional, &token.single_word));
      LUTDB_RETURN_IF_ERROR(fields.Boolean("lstrip", JsonFields::kOptional, &token.strip_left));
      LUTDB_RETURN_IF_ERROR(fields.Boolean("rstrip", JsonFields::kOptional, &token.strip_right));
      token.normalized = !token.special;
      LUTDB_RETURN_IF_ERROR(fields.Boolean("normalized", JsonFields::kOptional, &token.normalized));
      if (token.id < spec_.tokens.size()) spec_.tokens[token.id].clear();
      LUTDB_RETURN_IF_ERROR(SetToken(token.id, token.text, spec_.tokens.size() + list.size()));
      ids_.insert_or_assign(token.text, token.id);
      spec_.added.push_back(std::move(token));
    }
    if (!spec_.scores.empty()) spec_.scores.resize(spec_.tokens.size(), 0);
    return absl::OkStatus();
  }

  absl::Status ReadPostProcessor(const Json& value, const std::string& where) {
    if (value.is_null()) return absl::OkStatus();
    if (!value.is_object()) return DataLoss("{}: must be an object with a type", where);
    std::string type;
    LUTDB_RETURN_IF_ERROR(JsonFields(value, where).String("type", JsonFields::kRequired, &type));
    if (type == "ByteLevel") return absl::OkStatus();
    if (type == "TemplateProcessing") return ReadTemplate(value, where);
    if (type == "BertProcessing" || type == "RobertaProcessing") {
      LUTDB_RETURN_IF_ERROR(AddEnd(value, "cls", where, &spec_.prefix));
      LUTDB_RETURN_IF_ERROR(AddEnd(value, "sep", where, &spec_.suffix));
      return absl::OkStatus();
    }
    if (type == "Sequence") {
      const auto list = value.find("processors");
      if (list == value.end() || !list->is_array()) {
        return DataLoss("{}: processors must be a list", where);
      }
      for (const Json& step : *list) LUTDB_RETURN_IF_ERROR(ReadPostProcessor(step, where));
      return absl::OkStatus();
    }
    return Unimplemented(
        "{}: type {} is not implemented; known are Sequence, TemplateProcessing, BertProcessing, "
        "RobertaProcessing, ByteLevel",
        where, Quote(type));
  }

  // A pair of a token and its id.
  absl::Status AddEnd(const Json& value, const char* key, const std::string& where,
                      std::vector<uint32_t>* ids) {
    const auto found = value.find(key);
    if (found == value.end() || !found->is_array() || found->size() != 2 ||
        !(*found)[1].is_number_unsigned() || (*found)[1].get<uint64_t>() > kIdMax) {
      return DataLoss("{}: {} must be a token and its id", where, key);
    }
    ids->push_back((*found)[1].get<uint32_t>());
    return absl::OkStatus();
  }

  // The template of a single text: what stands before and after sequence A.
  absl::Status ReadTemplate(const Json& value, const std::string& where) {
    const auto single = value.find("single");
    const auto known = value.find("special_tokens");
    if (single == value.end() || !single->is_array()) {
      return DataLoss("{}: single must be a list", where);
    }
    bool after = false;
    for (const Json& piece : *single) {
      if (piece.is_object() && piece.contains("Sequence")) {
        if (after) return DataLoss("{}: single has the text twice", where);
        after = true;
        continue;
      }
      std::string name;
      if (piece.is_object() && piece.contains("SpecialToken")) {
        const Json& token = piece["SpecialToken"];
        if (token.is_object() && token.contains("id") && token["id"].is_string()) {
          name = token["id"].get<std::string>();
        }
      }
      const bool given = known != value.end() && known->is_object() && known->contains(name) &&
                         (*known)[name].is_object() && (*known)[name].contains("ids") &&
                         (*known)[name]["ids"].is_array();
      if (!given) {
        return DataLoss("{}: single names the special token {}, which special_tokens has not",
                        where, Quote(name));
      }
      for (const Json& id : (*known)[name]["ids"]) {
        if (!id.is_number_unsigned() || id.get<uint64_t>() > kIdMax) {
          return DataLoss("{}: special token {} has an id that is no number", where, Quote(name));
        }
        (after ? spec_.suffix : spec_.prefix).push_back(id.get<uint32_t>());
      }
    }
    return absl::OkStatus();
  }

  std::string path_;
  TokenizerSpec spec_;
  std::unordered_map<std::string, uint32_t> ids_;  // as the file writes the tokens
};

}  // namespace

absl::StatusOr<TokenizerSpec> ReadTokenizerJson(const std::string& path) {
  return Reader(path).Read();
}

}  // namespace lutdb
