#include "ingest/model_source.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <string_view>
#include <utility>

#include "base/status.h"
#include "coding/tensor_record.h"
#include "ingest/decoder_graph.h"
#include "ingest/gguf_model.h"
#include "ingest/graph_file.h"
#include "ingest/huggingface.h"
#include "ingest/json_file.h"
#include "ingest/llama2c.h"
#include "ingest/lowering.h"
#include "ingest/safetensors.h"
#include "ingest/tokenizer_file.h"
#include "ingest/tokenizer_gguf.h"

namespace lutdb {
namespace {

constexpr char kConfigFile[] = "config.json";

// "stories260K" for ".../stories260K/", ".../stories260K.bin" and ".../stories260K.safetensors".
std::string ModelName(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  std::string name = BaseName(path);
  for (const std::string_view suffix : {".safetensors", ".gguf", ".bin", ".graph.json", ".json"}) {
    if (name.size() > suffix.size() && name.ends_with(suffix)) {
      name.resize(name.size() - suffix.size());
      break;
    }
  }
  return name;
}

absl::StatusOr<Lowering> LowerSafetensors(const std::string& path, const std::string& directory,
                                          TensorCatalog catalog,
                                          const ModelSourceOptions& options) {
  Lowering lowering(std::move(catalog));
  lowering.source().format = "safetensors";
  lowering.source().name = ModelName(path);
  if (!options.graph_file.empty()) {
    LUTDB_RETURN_IF_ERROR(LowerGraphFile(options.graph_file, &lowering));
    return lowering;
  }
  const std::string config_path = JoinPath(directory, kConfigFile);
  if (!PathExists(config_path)) {
    return NotFound(
        "{}: nothing says what it computes; put {} beside it (Hugging Face) or give a "
        "graph file with --graph",
        path, kConfigFile);
  }
  LUTDB_ASSIGN_OR_RETURN(const DecoderConfig config, ReadHuggingFaceConfig(config_path));
  LUTDB_RETURN_IF_ERROR(LowerDecoder(config, &lowering));
  return lowering;
}

absl::StatusOr<Lowering> LowerLlama2c(const std::string& path, MappedFile file,
                                      const ModelSourceOptions& options) {
  if (!options.graph_file.empty()) {
    return InvalidArgument(
        "{}: --graph goes with a safetensors file; a llama2.c checkpoint has a "
        "graph of its own",
        path);
  }
  LUTDB_ASSIGN_OR_RETURN(Llama2cModel model, OpenLlama2c(std::move(file)));
  Lowering lowering(std::move(model.catalog));
  lowering.source().format = "llama2.c";
  lowering.source().name = ModelName(path);
  LUTDB_RETURN_IF_ERROR(LowerDecoder(model.config, &lowering));
  return lowering;
}

absl::StatusOr<Lowering> LowerGguf(const std::string& path, MappedFile file,
                                   const ModelSourceOptions& options) {
  if (!options.graph_file.empty()) {
    return InvalidArgument(
        "{}: --graph goes with a safetensors file; a GGUF file says itself what it computes", path);
  }
  LUTDB_ASSIGN_OR_RETURN(GgufFile gguf, OpenGguf(std::move(file)));
  LUTDB_ASSIGN_OR_RETURN(const DecoderConfig config, ReadGgufDecoder(&gguf));
  TokenizerSpec tokenizer;
  if (options.tokenizer_file.empty()) {
    LUTDB_ASSIGN_OR_RETURN(tokenizer, ReadGgufTokenizer(gguf.metadata));
    if (tokenizer.kind != TokenizerKind::kAbsent) {
      LUTDB_RETURN_IF_ERROR(FitTokenizer(path, config.vocabulary, &tokenizer));
    }
  }
  Lowering lowering(std::move(gguf.catalog));
  lowering.source().format = "gguf";
  lowering.source().name = ModelName(path);
  lowering.source().tokenizer = std::move(tokenizer);
  LUTDB_RETURN_IF_ERROR(LowerDecoder(config, &lowering));
  return lowering;
}

// A graph file alone, whose tables all start without weights.
absl::StatusOr<Lowering> LowerGraphAlone(const std::string& path,
                                         const ModelSourceOptions& options) {
  if (!options.graph_file.empty()) {
    return InvalidArgument("{} and --graph {}: give one graph file", path, options.graph_file);
  }
  TensorCatalog catalog;
  catalog.path = path;
  Lowering lowering(std::move(catalog));
  lowering.source().format = "graph";
  lowering.source().name = ModelName(path);
  LUTDB_RETURN_IF_ERROR(LowerGraphFile(path, &lowering));
  return lowering;
}

// A file, by its first bytes. The name only decides which error fits a file that is neither.
absl::StatusOr<Lowering> LowerFile(const std::string& path, const ModelSourceOptions& options) {
  if (path.ends_with(".json")) return LowerGraphAlone(path, options);
  LUTDB_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
  const std::string_view bytes = file.view();
  if (LooksLikeGguf(file)) return LowerGguf(path, std::move(file), options);
  const bool llama2c = LooksLikeLlama2c(file);
  if (LooksLikeSafetensors(file) || path.ends_with(".safetensors") ||
      (!options.graph_file.empty() && !llama2c)) {
    LUTDB_ASSIGN_OR_RETURN(TensorCatalog catalog, OpenSafetensorsFile(path));
    return LowerSafetensors(path, DirectoryOf(path), std::move(catalog), options);
  }
  if (llama2c) return LowerLlama2c(path, std::move(file), options);
  if (bytes.starts_with("PK\x03\x04")) {
    return Unimplemented(
        "{}: is a PyTorch or zip archive, which is not implemented; give safetensors, GGUF or a "
        "llama2.c checkpoint",
        path);
  }
  return DataLoss(
      "{}: is no model file that lutdb knows (a directory with config.json, safetensors, "
      "GGUF, a llama2.c checkpoint of version 0 or 1), or it is damaged",
      path);
}

absl::Status AddTokenizer(const std::string& directory, const ModelSourceOptions& options,
                          ModelSource* source) {
  std::string path = options.tokenizer_file;
  if (!source->graph.is_language_model()) {
    if (path.empty()) return absl::OkStatus();
    return InvalidArgument("{}: --tokenizer goes with a language model, not with a {} network",
                           path, source->graph.architecture);
  }
  if (path.empty()) {
    if (source->format == "gguf") return absl::OkStatus();  // its own, or none
    path = FindTokenizerFile(directory);
    if (path.empty()) return absl::OkStatus();
  }
  LUTDB_ASSIGN_OR_RETURN(source->tokenizer, ReadTokenizerFile(path, source->graph.vocabulary));
  return absl::OkStatus();
}

absl::Status CheckGraph(const std::string& path, const ModelSource& source) {
  std::vector<TableSpec> tables;
  std::vector<TensorSpec> tensors;
  for (const SourceTable& table : source.tables) tables.push_back(table.spec);
  for (const SourceTensor& tensor : source.tensors) {
    tensors.push_back({.id = static_cast<uint32_t>(tensors.size()),
                       .name = tensor.name,
                       .dtype = tensor.dtype,
                       .rows = tensor.rows,
                       .cols = tensor.cols,
                       .rows_per_record = RowsPerRecord(tensor.dtype, tensor.cols)});
  }
  const absl::Status status = ValidateGraph(source.graph, tables, tensors);
  return status.ok() ? status : Error(status.code(), "{}: {}", path, Message(status));
}

}  // namespace

uint64_t SourceTensor::SourceRow(uint64_t row) const {
  if (rope_head_dim == 0) return row;
  const uint64_t half = rope_head_dim / 2;
  const uint64_t within = row % rope_head_dim;
  return row - within + 2 * (within % half) + within / half;
}

void SourceTensor::CopyRow(uint64_t row, void* to) const {
  if (packed == nullptr) {
    std::memcpy(to, data + SourceRow(row) * row_bytes(), row_bytes());
    return;
  }
  float elements[kPackedElementsMax];
  auto* out = static_cast<uint8_t*>(to);
  for (uint64_t begin = 0; begin < cols; begin += packed->elements) {
    ReadRow(row, begin, packed->elements, elements);
    std::memcpy(out + begin * sizeof(float), elements, packed->elements * sizeof(float));
  }
}

void SourceTensor::ReadRow(uint64_t row, uint64_t col_begin, uint64_t count, float* out) const {
  if (data == nullptr) {
    std::fill_n(out, count, 0.0f);
    return;
  }
  const uint8_t* from = data + SourceRow(row) * source_row_bytes();
  if (packed != nullptr) return UnpackElements(*packed, from, col_begin, count, out);
  ToFloat(dtype, from + col_begin * DTypeBytes(dtype), count, out);
}

absl::StatusOr<ModelSource> OpenModelSource(const std::string& path,
                                            const ModelSourceOptions& options) {
  if (!PathExists(path)) return NotFound("{}: no such file or directory", path);
  const bool is_directory = IsDirectory(path);
  const std::string directory = is_directory ? path : DirectoryOf(path);
  absl::StatusOr<Lowering> lowering = NotFound("{}: not read", path);
  if (is_directory) {
    if (options.graph_file.empty() && !PathExists(JoinPath(path, kConfigFile))) {
      return NotFound("{}: has no {}; give a Hugging Face directory, a model file, or --graph",
                      path, kConfigFile);
    }
    LUTDB_ASSIGN_OR_RETURN(TensorCatalog catalog, OpenSafetensorsDirectory(path));
    lowering = LowerSafetensors(path, path, std::move(catalog), options);
  } else {
    lowering = LowerFile(path, options);
  }
  if (!lowering.ok()) return lowering.status();
  ModelSource source = lowering->Finish();
  LUTDB_RETURN_IF_ERROR(AddTokenizer(directory, options, &source));
  LUTDB_RETURN_IF_ERROR(CheckGraph(path, source));
  return source;
}

}  // namespace lutdb
