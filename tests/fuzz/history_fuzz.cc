// What the history, the rows and the kept weights of a damaged store hold: names of refs, commits,
// patches, keys, row records, tensor records.

#include "base/check.h"
#include "coding/patch_columns.h"
#include "coding/patch_record.h"
#include "coding/record.h"
#include "coding/tensor_record.h"
#include "query/history_records.h"
#include "schemas/thresholds.h"
#include "tests/fuzz/fuzz_target.h"

namespace lutdb {
namespace {

const TableGeometry& Geometry(Layout layout) {
  static const auto make = [](Layout kind) {
    TableSpec spec;
    spec.name = "t";
    spec.inputs = 5;
    spec.neurons = 70;
    spec.chunk = 2;
    spec.levels.bits = 3;
    spec.layout = kind;
    if (kind == Layout::kRow) spec.codec = Codec::kRaw;
    auto created = TableGeometry::Create(spec);
    LUTDB_CHECK(created.ok());
    return std::move(created).value();
  };
  static const TableGeometry tile = make(Layout::kTile), row = make(Layout::kRow);
  return layout == Layout::kTile ? tile : row;
}

TensorSpec Tensor() {
  TensorSpec spec;
  spec.name = "w";
  spec.rows = 6;
  spec.cols = 5;
  spec.rows_per_record = 4;
  return spec;
}

const std::string kId = "0123456789abcdef0123456789abcdef";

void TryCommit(std::string_view bytes) {
  const auto commit = ParseCommit(kId, bytes);
  if (!commit.ok()) return;
  // What was read can be written and read again, the same.
  const auto again = ParseCommit(kId, SerializeCommit(*commit));
  LUTDB_CHECK(again.ok() && SerializeCommit(*again) == SerializeCommit(*commit));
}

void TryPatch(std::string_view bytes) {
  const auto deltas = DecodePatch(bytes, Geometry(Layout::kTile), {0, 0, 1});
  if (!deltas.ok()) return;
  for (size_t i = 1; i < deltas->size(); ++i) {
    LUTDB_CHECK((*deltas)[i - 1].index < (*deltas)[i].index);
  }
}

// Without the checksum, which a mutation never has right.
void TryColumns(std::string_view bytes) {
  if (bytes.empty()) return;
  const auto first = static_cast<uint8_t>(bytes[0]);
  TileDeltas deltas;
  if (!ReadPatchColumns(bytes.substr(1), 1 + first / 2, first % 2 != 0, &deltas)) return;
  LUTDB_CHECK(deltas.size() == 1u + first / 2);
  for (size_t i = 1; i < deltas.size(); ++i) LUTDB_CHECK(deltas[i - 1].index < deltas[i].index);
}

void TryNames(const std::string& text) {
  // A ref is never a path, nor anything that could be a commit.
  if (IsRefName(text)) {
    LUTDB_CHECK(text.find('/') == std::string::npos && text != "." && text != "..");
    LUTDB_CHECK(!IsCommitId(text) && text.size() <= 64);
  }
  if (const auto tile = ParseTileSuffix(text); tile.ok()) LUTDB_CHECK(TileSuffix(*tile) == text);
}

}  // namespace
}  // namespace lutdb

// The first byte says what the others are.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t count) {
  using namespace lutdb;
  if (count == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(bytes) + 1, count - 1);
  std::string rows;
  switch (bytes[0]) {
    case 'c':
      TryCommit(rest);
      break;
    case 'p':
      TryPatch(rest);
      break;
    case 'k':
      TryColumns(rest);
      break;
    case 'n':
      TryNames(std::string(rest));
      break;
    case 'r':
      OpenRow(Geometry(Layout::kRow), {0, 1, 3, 0}, rest, true).status().IgnoreError();
      break;
    case 't':
      if (DecodeTensorRows(Tensor(), 1, rest, &rows).ok()) LUTDB_CHECK(rows.size() == 2 * 5 * 4);
      break;
    case 'v':
      if (const auto values = DecodeValuesBefore(rest, 7); values.ok()) {
        LUTDB_CHECK(values->size() == 7);
      }
      break;
    default:
      ParseThresholds(rest, 70, {9, 9, 3}).status().IgnoreError();
  }
  return 0;
}

std::vector<std::string> lutdb::FuzzSeeds() {
  CommitRecord commit;
  commit.info = {.id = kId,
                 .parents = {kId},
                 .author = "me",
                 .time = 5,
                 .message = "m",
                 .notes = R"({"a":1})",
                 .entries = 2};
  std::string patch, row, tensor;
  EncodePatch({{3, 1, -2}, {70, 30000, -30000}}, PatchValues::kBeforeAndAfter, &patch);
  TileDeltas tuned;
  for (uint32_t i = 0; i < 100; ++i) {
    tuned.push_back({i + 5 + i / 9, static_cast<int16_t>(40 * i), static_cast<int16_t>(i << 8)});
  }
  std::string columns = "k";
  columns.push_back(static_cast<char>(2 * (tuned.size() - 1) + 1));
  AppendPatchColumns(tuned, /*with_before=*/true, &columns);
  const std::vector<int16_t> entries(70, 5);
  EncodeRow(Geometry(Layout::kRow), {0, 1, 3, 0}, entries.data(), &row);
  const std::vector<float> weights(10, 0.5f);
  EncodeTensorRows(Tensor(), 1, reinterpret_cast<const uint8_t*>(weights.data()), 2, &tensor);
  return {"c" + SerializeCommit(commit),
          "p" + patch,
          columns,
          "nmain",
          "n" + kId,
          "n" + TileSuffix({1, 2, 3}),
          "r" + row,
          "t" + tensor,
          "v" + EncodeValuesBefore({1, -2, 3, -4, 5, 30000, -30000})};
}
