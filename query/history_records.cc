#include "query/history_records.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/status.h"
#include "coding/hash.h"
#include "db/keys.h"

namespace lutdb {
namespace {

constexpr size_t kTileKeyBytes = 10;
constexpr size_t kIdDigits = 32;
constexpr size_t kRefNameMax = 64;

bool IsHex(const std::string& text) {
  return text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

std::string Quoted(const std::string& text) {
  const bool plain = std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return c >= ' ' && c < 0x7f && c != '"' && c != '\\';
  });
  if (plain) return '"' + text + '"';
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// The JSON of what an id stands for, without its closing brace. Written here and not by the library
// because it is half of what a small commit computes beside its sync.
std::string Fields(const CommitInfo& info) {
  std::string parents;
  for (const std::string& parent : info.parents) {
    parents += fmt::format("{}\"{}\"", parents.empty() ? "" : ",", parent);
  }
  return fmt::format(
      R"({{"author":{},"entries":{},"message":{},"notes":{},"parents":[{}],"time":{})",
      Quoted(info.author), info.entries, Quoted(info.message), Quoted(info.notes), parents,
      info.time);
}

}  // namespace

std::string CommitKey(const std::string& id) { return "c" + id; }
std::string PatchPrefix(const std::string& id) { return "p" + id; }
std::string ValuesBeforeKey(const std::string& id) { return "o" + id; }
std::string SnapshotPrefix(const std::string& id) { return "s" + id; }
std::string SnapshotKey(const std::string& id) { return "S" + id; }
std::string BranchKey(const std::string& branch) { return "r" + branch; }
std::string TagKey(const std::string& tag) { return "t" + tag; }

std::string PrefixEnd(std::string prefix) {
  prefix.back() = static_cast<char>(prefix.back() + 1);  // our prefixes never end in 0xff
  return prefix;
}

void FoldAll(const TileChanges& more, TileChanges* changes) {
  for (const auto& [tile, deltas] : more) {
    TileDeltas& folded = (*changes)[tile];
    FoldInto(deltas, &folded);
    if (folded.empty()) changes->erase(tile);
  }
}

TileChanges Reversed(TileChanges changes) {
  for (auto& [tile, deltas] : changes) {
    for (EntryDelta& delta : deltas) std::swap(delta.before, delta.after);
  }
  return changes;
}

uint64_t CountEntries(const TileChanges& changes) {
  uint64_t count = 0;
  for (const auto& [tile, deltas] : changes) count += deltas.size();
  return count;
}

void SetValuesBefore(const std::vector<int16_t>& values, TileChanges* changes) {
  auto value = values.begin();
  for (auto& [tile, deltas] : *changes) {
    for (EntryDelta& delta : deltas) delta.before = *value++;
  }
}

std::vector<int16_t> ValuesBefore(const TileChanges& changes) {
  std::vector<int16_t> values;
  for (const auto& [tile, deltas] : changes) {
    for (const EntryDelta& delta : deltas) values.push_back(delta.before);
  }
  return values;
}

void DropUnchanged(TileChanges* changes) {
  for (auto tile = changes->begin(); tile != changes->end();) {
    std::erase_if(tile->second, [](const EntryDelta& d) { return d.before == d.after; });
    tile = tile->second.empty() ? changes->erase(tile) : std::next(tile);
  }
}

std::string TileSuffix(const TileId& tile) {
  return db::TileKey(tile.table, tile.group, static_cast<uint16_t>(tile.neuron_block));
}

absl::StatusOr<TileId> ParseTileSuffix(std::string_view suffix) {
  if (suffix.size() != kTileKeyBytes) return DataLoss("the history holds a malformed key");
  return TileId{LoadBig<uint32_t>(suffix.data()), LoadBig<uint32_t>(suffix.data() + 4),
                LoadBig<uint16_t>(suffix.data() + 8)};
}

std::string SerializeCommit(const CommitRecord& commit) {
  return fmt::format(R"({},"depth":{},"chain_commits":{},"chain_entries":{}}})",
                     Fields(commit.info), commit.depth, commit.chain_commits, commit.chain_entries);
}

absl::StatusOr<CommitRecord> ParseCommit(const std::string& id, std::string_view bytes) {
  const auto json = nlohmann::json::parse(bytes, nullptr, false);
  const auto damaged = [&] { return DataLoss("commit {} is damaged", id); };
  if (!json.is_object()) return damaged();
  const auto text = [&](const char* key, std::string* out) {
    const auto it = json.find(key);
    if (it == json.end() || !it->is_string()) return false;
    *out = it->get<std::string>();
    return true;
  };
  const auto number = [&](const char* key, auto* out) {
    const auto it = json.find(key);
    if (it == json.end() || !it->is_number_integer()) return false;
    *out = it->get<std::remove_pointer_t<decltype(out)>>();
    return true;
  };
  CommitRecord commit;
  CommitInfo& info = commit.info;
  info.id = id;
  if (!text("author", &info.author) || !text("message", &info.message) ||
      !text("notes", &info.notes) || !number("time", &info.time) ||
      !number("entries", &info.entries) || !number("depth", &commit.depth) ||
      !number("chain_commits", &commit.chain_commits) ||
      !number("chain_entries", &commit.chain_entries)) {
    return damaged();
  }
  const auto parents = json.find("parents");
  if (parents == json.end() || !parents->is_array()) return damaged();
  for (const auto& parent : *parents) {
    if (!parent.is_string()) return damaged();
    info.parents.push_back(parent.get<std::string>());
    if (!IsCommitId(info.parents.back())) return damaged();
  }
  return commit;
}

std::string CommitId(const CommitRecord& commit, const TileChanges& changes) {
  Hash128Stream hash;
  const auto add = [&](std::string_view bytes) {
    const uint64_t size = bytes.size();
    hash.Update(&size, sizeof(size));
    hash.Update(bytes.data(), bytes.size());
  };
  add(Fields(commit.info) + '}');
  for (const auto& [tile, deltas] : changes) {
    add(TileSuffix(tile));
    std::string plain;  // not the encoded patch: ids outlive the choice of a compressor
    for (const EntryDelta& delta : deltas) {
      AppendLittle(delta.index, &plain);
      AppendLittle(delta.after, &plain);
    }
    add(plain);
  }
  return hash.Finish().Hex();
}

bool IsCommitId(const std::string& text) { return text.size() == kIdDigits && IsHex(text); }

bool IsRefName(const std::string& name) {
  if (name.empty() || name.size() > kRefNameMax || IsCommitId(name)) return false;
  if (name.front() == '-' || name.front() == '.') return false;
  return std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '.' ||
           c == '_' || c == '-';
  });
}

}  // namespace lutdb
