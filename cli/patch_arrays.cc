// Patches as .npz: the arrays of cli/patch_reader.h, read one after the other.

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "base/file.h"
#include "base/npy.h"
#include "base/status.h"
#include "cli/npz_file.h"
#include "cli/patch_reader.h"

namespace lutdb::cli {
namespace {

// f32 holds whole numbers exactly up to this; no table has as many neurons, chunks or codes.
constexpr float kWholeMax = 1 << 24;

struct NamedOp {
  const char* name;
  PatchOp op;
};
constexpr NamedOp kArrays[] = {{"value", PatchOp::kValue},
                               {"raw", PatchOp::kRaw},
                               {"add", PatchOp::kAdd},
                               {"add_raw", PatchOp::kAddRaw},
                               {"scale", PatchOp::kScale}};

class ArrayPatch {
 public:
  ArrayPatch(const std::string& path, const NpzFile& file, const PatchTables& tables)
      : path_(path), file_(file), tables_(tables), bytes_max_(UsableMemoryBytes() / 8) {}

  absl::Status Read(const PatchSinks& sinks) {
    if (file_.Has("store")) {
      std::string hash;
      LUTDB_ASSIGN_OR_RETURN(const std::string bytes, file_.Read("store", 1 << 16));
      LUTDB_ASSIGN_OR_RETURN(const NpyTexts text, ParseNpyTexts(bytes, file_.Where("store")));
      if (text.count != 1 || !text.Get(0, &hash)) {
        return DataLoss("{}: one text is expected", file_.Where("store"));
      }
      LUTDB_RETURN_IF_ERROR(sinks.store(hash));
    }
    LUTDB_RETURN_IF_ERROR(ReadTables());
    LUTDB_RETURN_IF_ERROR(ReadIndices("neuron", &neurons_));
    LUTDB_RETURN_IF_ERROR(ReadIndices("chunk", &chunks_));
    LUTDB_RETURN_IF_ERROR(ReadIndices("code", &codes_));
    LUTDB_RETURN_IF_ERROR(ReadOperands());
    return Emit(sinks);
  }

 private:
  // Arrays have one element per entry, or one for all.
  absl::Status Agree(uint64_t count, const std::string& name) {
    if (count == 1 || count == count_) return absl::OkStatus();
    if (count_ != 1) {
      return DataLoss("{}: {} elements, but another array has {}", file_.Where(name), count,
                      count_);
    }
    count_ = count;
    return absl::OkStatus();
  }
  template <typename T>
  static T At(const std::vector<T>& values, uint64_t i) {
    return values[values.size() == 1 ? 0 : i];
  }

  absl::Status ReadTables() {
    LUTDB_ASSIGN_OR_RETURN(const std::string bytes, file_.Read("table", bytes_max_));
    if (!IsNpyText(bytes)) return TakeIndices("table", bytes, &table_numbers_);
    LUTDB_ASSIGN_OR_RETURN(const NpyTexts texts, ParseNpyTexts(bytes, file_.Where("table")));
    LUTDB_RETURN_IF_ERROR(Agree(texts.count, "table"));
    table_numbers_.reserve(texts.count);
    std::string name;
    for (uint64_t i = 0; i < texts.count; ++i) {
      if (!texts.Get(i, &name)) {
        return DataLoss("{}: element {} is not ASCII", file_.Where("table"), i);
      }
      LUTDB_ASSIGN_OR_RETURN(const uint32_t table, tables_.Find(name));
      table_numbers_.push_back(table);
    }
    return absl::OkStatus();
  }

  absl::Status ReadIndices(const std::string& name, std::vector<uint32_t>* indices) {
    LUTDB_ASSIGN_OR_RETURN(const std::string bytes, file_.Read(name, bytes_max_));
    return TakeIndices(name, bytes, indices);
  }
  absl::Status TakeIndices(const std::string& name, const std::string& bytes,
                           std::vector<uint32_t>* indices) {
    LUTDB_ASSIGN_OR_RETURN(const NpyArray array, ParseNpy(bytes, file_.Where(name)));
    LUTDB_RETURN_IF_ERROR(Agree(array.values.size(), name));
    indices->reserve(array.values.size());
    for (size_t i = 0; i < array.values.size(); ++i) {
      const float value = array.values[i];
      if (!(value >= 0 && value < kWholeMax) || value != std::floor(value)) {
        return OutOfRange("{}: element {} is {}, no index", file_.Where(name), i, value);
      }
      indices->push_back(static_cast<uint32_t>(value));
    }
    return absl::OkStatus();
  }

  absl::Status ReadOperands() {
    const NamedOp* found = nullptr;
    for (const NamedOp& known : kArrays) {
      if (!file_.Has(known.name)) continue;
      if (found != nullptr) {
        return DataLoss("{} and {}: only one can be given", file_.Where(found->name), known.name);
      }
      found = &known;
    }
    if (found == nullptr) {
      return DataLoss("{}: one of these arrays is needed: raw, value, add, add_raw, scale", path_);
    }
    op_ = found->op;
    LUTDB_ASSIGN_OR_RETURN(const std::string bytes, file_.Read(found->name, bytes_max_));
    LUTDB_ASSIGN_OR_RETURN(NpyArray array, ParseNpy(bytes, file_.Where(found->name)));
    LUTDB_RETURN_IF_ERROR(Agree(array.values.size(), found->name));
    const bool whole = op_ == PatchOp::kRaw || op_ == PatchOp::kAddRaw;
    for (size_t i = 0; i < array.values.size(); ++i) {
      const float value = array.values[i];
      if (!std::isfinite(value) || (whole && value != std::floor(value))) {
        return DataLoss("{}: element {} is {}, not a {} number", file_.Where(found->name), i, value,
                        whole ? "whole" : "finite");
      }
    }
    operands_ = std::move(array.values);
    return absl::OkStatus();
  }

  absl::Status Emit(const PatchSinks& sinks) const {
    const bool empty = count_ == 0 || table_numbers_.empty() || neurons_.empty() ||
                       chunks_.empty() || codes_.empty() || operands_.empty();
    if (empty) {
      return FailedPrecondition("{}: the patch is empty; nothing was changed", path_);
    }
    for (uint64_t i = 0; i < count_; ++i) {
      LUTDB_ASSIGN_OR_RETURN(const uint32_t table, tables_.Find(uint64_t{At(table_numbers_, i)}));
      const PatchEntry entry = {.key = {table, At(neurons_, i), At(chunks_, i), At(codes_, i)},
                                .op = op_,
                                .operand = At(operands_, i),
                                .number = i};
      absl::Status status = tables_.Check(entry.key);
      if (status.ok()) status = sinks.entry(entry);
      if (!status.ok()) return InPatch(fmt::format("{} entry {}", path_, i), status);
    }
    return absl::OkStatus();
  }

  const std::string& path_;
  const NpzFile& file_;
  const PatchTables& tables_;
  const uint64_t bytes_max_;  // of one array's file
  uint64_t count_ = 1;
  std::vector<uint32_t> table_numbers_, neurons_, chunks_, codes_;
  PatchOp op_ = PatchOp::kRaw;
  std::vector<float> operands_;
};

}  // namespace

absl::Status ReadPatchArrays(const std::string& path, const PatchTables& tables,
                             const PatchSinks& sinks) {
  LUTDB_ASSIGN_OR_RETURN(const std::unique_ptr<NpzFile> file, NpzFile::Open(path));
  return ArrayPatch(path, *file, tables).Read(sinks);
}

}  // namespace lutdb::cli
