#include "cli/patch_reader.h"

#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "base/file.h"
#include "base/status.h"
#include "query/address.h"

namespace lutdb::cli {
namespace {

constexpr size_t kLineBytesMax = 1 << 16;
constexpr size_t kReadBytes = 1 << 18;

struct OpName {
  const char* name;
  PatchOp op;
};
constexpr OpName kOps[] = {{"value", PatchOp::kValue},
                           {"raw", PatchOp::kRaw},
                           {"add", PatchOp::kAdd},
                           {"add_raw", PatchOp::kAddRaw},
                           {"scale", PatchOp::kScale}};

// Takes the members of one flat object as the parser meets them. No tree is made.
class LineHandler : public nlohmann::json_sax<nlohmann::json> {
 public:
  std::optional<std::string> store, address, table_name;
  std::optional<int64_t> table, neuron, chunk, code;
  std::optional<PatchOp> op;
  double operand = 0;
  std::string problem;

  bool null() override { return Wrong("null"); }
  bool boolean(bool) override { return Wrong("true or false"); }
  bool number_integer(int64_t value) override { return Whole(value); }
  bool number_unsigned(uint64_t value) override {
    if (value > INT64_MAX) return Fail(fmt::format("{} is too large", value));
    return Whole(static_cast<int64_t>(value));
  }
  bool number_float(double value, const std::string& text) override {
    if (!depth_) return Wrong("a number");
    if (!TakesNumber() || op == PatchOp::kRaw || op == PatchOp::kAddRaw) {
      return Fail(fmt::format("\"{}\" must be a whole number, not {}", key_, text));
    }
    operand = value;
    return true;
  }
  bool string(std::string& value) override {
    std::optional<std::string>* to = key_ == "store"     ? &store
                                     : key_ == "address" ? &address
                                     : key_ == "table"   ? &table_name
                                                         : nullptr;
    if (!depth_ || to == nullptr) return Wrong("text");
    *to = std::move(value);
    return true;
  }
  bool binary(nlohmann::json::binary_t&) override { return Wrong("binary"); }
  bool start_object(size_t) override {
    if (depth_) return Wrong("an object");
    return depth_ = true;
  }
  bool key(std::string& name) override {
    key_ = name;
    for (const std::string& seen : seen_) {
      if (seen == name) return Fail(fmt::format("\"{}\" comes twice", name));
    }
    seen_.push_back(name);
    for (const OpName& known : kOps) {
      if (name != known.name) continue;
      if (op.has_value()) {
        return Fail(
            "only one of \"value\", \"raw\", \"add\", \"add_raw\" and \"scale\" can be given");
      }
      op = known.op;
      return true;
    }
    for (const char* known : {"store", "address", "table", "neuron", "chunk", "code"}) {
      if (name == known) return true;
    }
    return Fail(fmt::format("\"{}\" is no part of a patch", name));
  }
  bool end_object() override { return true; }
  bool start_array(size_t) override { return Wrong("a list"); }
  bool end_array() override { return true; }
  bool parse_error(size_t position, const std::string&,
                   const nlohmann::json::exception& error) override {
    if (std::strstr(error.what(), "out_of_range") != nullptr) {
      return Fail("a number is beyond what a double can hold");
    }
    return Fail(fmt::format("not JSON at character {}", position));
  }

 private:
  bool TakesNumber() const {
    for (const OpName& known : kOps) {
      if (key_ == known.name) return true;
    }
    return false;
  }
  bool Whole(int64_t value) {
    if (!depth_) return Wrong("a number");
    if (TakesNumber()) {
      operand = static_cast<double>(value);
      return true;
    }
    std::optional<int64_t>* to = key_ == "table"    ? &table
                                 : key_ == "neuron" ? &neuron
                                 : key_ == "chunk"  ? &chunk
                                 : key_ == "code"   ? &code
                                                    : nullptr;
    if (to == nullptr) return Wrong("a number");
    *to = value;
    return true;
  }
  bool Wrong(const char* what) {
    if (!depth_) return Fail(fmt::format("an object is expected, not {}", what));
    return Fail(fmt::format("\"{}\" cannot be {}", key_, what));
  }
  bool Fail(std::string text) {
    if (problem.empty()) problem = std::move(text);
    return false;
  }

  bool depth_ = false;
  std::string key_;
  std::vector<std::string> seen_;
};

absl::Status CheckIndex(int64_t index, uint32_t count, const char* axis, const TableInfo& table) {
  if (index >= 0 && index < int64_t{count}) return absl::OkStatus();
  return OutOfRange("table {} has no {} {}: it has 0 .. {}", table.name, axis, index,
                    int64_t{count} - 1);
}

// An address that names exactly one entry.
absl::StatusOr<EntryKey> KeyOf(const std::string& text, const PatchTables& tables) {
  LUTDB_ASSIGN_OR_RETURN(const Address address, ParseAddress(text));
  EntryKey key;
  LUTDB_ASSIGN_OR_RETURN(key.table, tables.Find(address.table));
  const TableInfo& table = tables.at(key.table);
  const uint32_t counts[] = {table.neurons, table.chunks, table.codes};
  uint32_t* const parts[] = {&key.neuron, &key.chunk, &key.code};
  for (size_t i = 0; i < kAddressAxes; ++i) {
    const AxisIndex all;
    const AxisIndex& axis = i < address.axes.size() ? address.axes[i] : all;
    if (axis.is_slice) {
      return InvalidArgument("\"{}\" does not name one entry; write {}[neuron, chunk, code]", text,
                             address.table);
    }
    LUTDB_ASSIGN_OR_RETURN(const std::vector<uint32_t> index,
                           Resolve(axis, counts[i], kAxisNames[i], address.table));
    *parts[i] = index.front();
  }
  return key;
}

absl::StatusOr<EntryKey> KeyOf(const LineHandler& line, const PatchTables& tables) {
  const bool parts = line.neuron.has_value() || line.chunk.has_value() || line.code.has_value() ||
                     line.table.has_value() || line.table_name.has_value();
  if (line.address.has_value()) {
    if (parts) return InvalidArgument("\"address\" stands for table, neuron, chunk and code");
    return KeyOf(*line.address, tables);
  }
  if (!line.neuron.has_value() || !line.chunk.has_value() || !line.code.has_value() ||
      (!line.table.has_value() && !line.table_name.has_value())) {
    return InvalidArgument(
        "no entry: give \"address\", or \"table\", \"neuron\", \"chunk\", \"code\"");
  }
  EntryKey key;
  if (line.table_name.has_value()) {
    LUTDB_ASSIGN_OR_RETURN(key.table, tables.Find(*line.table_name));
  } else {
    if (*line.table < 0) return NotFound("there is no table {}", *line.table);
    LUTDB_ASSIGN_OR_RETURN(key.table, tables.Find(static_cast<uint64_t>(*line.table)));
  }
  const TableInfo& table = tables.at(key.table);
  LUTDB_RETURN_IF_ERROR(CheckIndex(*line.neuron, table.neurons, "neuron", table));
  LUTDB_RETURN_IF_ERROR(CheckIndex(*line.chunk, table.chunks, "chunk", table));
  LUTDB_RETURN_IF_ERROR(CheckIndex(*line.code, table.codes, "code", table));
  key.neuron = static_cast<uint32_t>(*line.neuron);
  key.chunk = static_cast<uint32_t>(*line.chunk);
  key.code = static_cast<uint32_t>(*line.code);
  return key;
}

bool IsBlank(std::string_view line) {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

// Lines of a file or pipe, of bounded length.
class LineReader {
 public:
  static absl::StatusOr<std::unique_ptr<LineReader>> Open(const std::string& path) {
    if (path == "-") return std::unique_ptr<LineReader>(new LineReader(stdin));
    if (IsDirectory(path)) return FailedPrecondition("{}: a directory, not a patch", path);
    FILE* file = std::fopen(path.c_str(), "rb");
    if (file == nullptr && errno == ENOENT) return NotFound("{}: there is no such file", path);
    if (file == nullptr) return Unavailable("{}: cannot be read: {}", path, std::strerror(errno));
    return std::unique_ptr<LineReader>(new LineReader(file));
  }
  ~LineReader() {
    if (file_ != stdin) std::fclose(file_);
  }
  LineReader(const LineReader&) = delete;

  // False at the end. The line is valid until the next call.
  absl::StatusOr<bool> Next(std::string_view* line) {
    while (true) {
      const size_t end = buffer_.find('\n', begin_);
      if (end != std::string::npos) {
        *line = std::string_view(buffer_).substr(begin_, end - begin_);
        begin_ = end + 1;
        if (line->size() > kLineBytesMax) break;
        return true;
      }
      if (buffer_.size() - begin_ > kLineBytesMax) break;
      buffer_.erase(0, begin_);
      begin_ = 0;
      const size_t before = buffer_.size();
      buffer_.resize(before + kReadBytes);
      const size_t got = std::fread(buffer_.data() + before, 1, kReadBytes, file_);
      buffer_.resize(before + got);
      if (got > 0) continue;
      if (std::ferror(file_) != 0) return Unavailable("cannot be read: {}", std::strerror(errno));
      *line = buffer_;
      begin_ = buffer_.size();
      return !line->empty();
    }
    return DataLoss("longer than {} bytes; a patch has one entry a line", kLineBytesMax);
  }

 private:
  explicit LineReader(FILE* file) : file_(file) {}
  FILE* const file_;
  std::string buffer_;
  size_t begin_ = 0;
};

}  // namespace

PatchTables::PatchTables(const StoreInfo& info) : info_(info) {
  for (uint32_t i = 0; i < info.tables.size(); ++i) by_name_.emplace(info.tables[i].name, i);
}

absl::StatusOr<uint32_t> PatchTables::Find(const std::string& name) const {
  const auto it = by_name_.find(name);
  if (it != by_name_.end()) return it->second;
  return NotFound("there is no table \"{}\"; `lutdb info` lists them", name);
}

absl::StatusOr<uint32_t> PatchTables::Find(uint64_t number) const {
  if (number < info_.tables.size()) return static_cast<uint32_t>(number);
  return NotFound("there is no table {}: they are 0 .. {}", number, info_.tables.size() - 1);
}

absl::Status PatchTables::Check(const EntryKey& key) const {
  const TableInfo& table = at(key.table);
  LUTDB_RETURN_IF_ERROR(CheckIndex(key.neuron, table.neurons, "neuron", table));
  LUTDB_RETURN_IF_ERROR(CheckIndex(key.chunk, table.chunks, "chunk", table));
  return CheckIndex(key.code, table.codes, "code", table);
}

std::string EntryAddress(const StoreInfo& info, const EntryKey& key) {
  return fmt::format("{}[{}, {}, {}]", info.tables[key.table].name, key.neuron, key.chunk,
                     key.code);
}

absl::Status InPatch(const std::string& place, const absl::Status& status) {
  if (status.ok()) return status;
  const absl::StatusCode code =
      absl::IsInvalidArgument(status) ? absl::StatusCode::kDataLoss : status.code();
  return Error(code, "{}: {}", place, Message(status));
}

absl::Status ReadPatchLine(std::string_view line, const PatchTables& tables, bool first,
                           const PatchSinks& sinks) {
  LineHandler handler;
  const bool read = nlohmann::json::sax_parse(line.begin(), line.end(), &handler);
  if (!read || !handler.problem.empty()) return DataLoss("{}", handler.problem);
  if (handler.store.has_value()) {
    if (!first) return DataLoss("\"store\" belongs on the first line");
    if (handler.op.has_value() || handler.address.has_value()) {
      return DataLoss("\"store\" has a line of its own");
    }
    return sinks.store(*handler.store);
  }
  LUTDB_ASSIGN_OR_RETURN(const EntryKey key, KeyOf(handler, tables));
  if (!handler.op.has_value()) {
    return DataLoss(
        "nothing to do with the entry: give \"value\", \"raw\", \"add\", \"add_raw\" or \"scale\"");
  }
  return sinks.entry({.key = key, .op = *handler.op, .operand = handler.operand});
}

absl::Status ReadPatch(const std::string& path, const PatchTables& tables,
                       const PatchSinks& sinks) {
  if (path.size() > 4 && path.compare(path.size() - 4, 4, ".npz") == 0) {
    return ReadPatchArrays(path, tables, sinks);
  }
  LUTDB_ASSIGN_OR_RETURN(const std::unique_ptr<LineReader> reader, LineReader::Open(path));
  const std::string name = path == "-" ? "standard input" : path;
  uint64_t number = 0;
  bool any = false, first = true;
  PatchSinks numbered = sinks;
  numbered.entry = [&](const PatchEntry& entry) {
    any = true;
    PatchEntry copy = entry;
    copy.number = number;
    return sinks.entry(copy);
  };
  while (true) {
    ++number;
    std::string_view line;
    const absl::StatusOr<bool> more = reader->Next(&line);
    if (!more.ok()) return InPatch(fmt::format("{} line {}", name, number), more.status());
    if (!*more) break;
    if (IsBlank(line)) continue;
    const absl::Status status = ReadPatchLine(line, tables, first, numbered);
    if (!status.ok()) return InPatch(fmt::format("{} line {}", name, number), status);
    first = false;
  }
  if (!any) return FailedPrecondition("{}: the patch is empty; nothing was changed", name);
  return absl::OkStatus();
}

}  // namespace lutdb::cli
