#include "query/history_records.h"

#include <xxhash.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/status.h"
#include "db/keys.h"

namespace lutdb {
namespace {

constexpr size_t kTileKeyBytes = 10;

bool IsHexId(const std::string& id) {
  return id.size() == 32 && id.find_first_not_of("0123456789abcdef") == std::string::npos;
}

}  // namespace

std::string CommitKey(const std::string& id) { return "c" + id; }
std::string PatchPrefix(const std::string& id) { return "p" + id; }
std::string HeadPrefix(const std::string& branch) { return "h" + branch + '\0'; }
std::string BranchKey(const std::string& branch) { return "r" + branch; }
std::string TagKey(const std::string& tag) { return "t" + tag; }

std::string PrefixEnd(std::string prefix) {
  prefix.back() = static_cast<char>(prefix.back() + 1);  // our prefixes never end in 0xff
  return prefix;
}

std::string TileSuffix(const TileId& tile) {
  return db::TileKey(tile.table, tile.group, static_cast<uint16_t>(tile.neuron_block));
}

absl::StatusOr<TileId> ParseTileSuffix(std::string_view suffix) {
  if (suffix.size() != kTileKeyBytes) return DataLoss("history holds a malformed key");
  return TileId{LoadBig<uint32_t>(suffix.data()), LoadBig<uint32_t>(suffix.data() + 4),
                LoadBig<uint16_t>(suffix.data() + 8)};
}

std::string SerializeCommit(const CommitRecord& commit) {
  const CommitInfo& info = commit.info;
  const nlohmann::json json = {
      {"parents", info.parents}, {"author", info.author}, {"time", info.time},
      {"message", info.message}, {"notes", info.notes},   {"entries", info.entries},
      {"depth", commit.depth},
  };
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
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
      !number("entries", &info.entries) || !number("depth", &commit.depth)) {
    return damaged();
  }
  const auto parents = json.find("parents");
  if (parents == json.end() || !parents->is_array()) return damaged();
  for (const auto& parent : *parents) {
    if (!parent.is_string()) return damaged();
    info.parents.push_back(parent.get<std::string>());
    if (!IsHexId(info.parents.back())) return damaged();
  }
  return commit;
}

std::string CommitId(const CommitRecord& commit, const TileChanges& changes) {
  XXH3_state_t* state = XXH3_createState();
  XXH3_128bits_reset(state);
  const auto add = [&](std::string_view bytes) {
    const uint64_t size = bytes.size();
    XXH3_128bits_update(state, &size, sizeof(size));
    XXH3_128bits_update(state, bytes.data(), bytes.size());
  };
  add(SerializeCommit(commit));
  std::string patch;
  for (const auto& [tile, deltas] : changes) {
    add(TileSuffix(tile));
    EncodePatch(deltas, &patch);
    add(patch);
  }
  const XXH128_hash_t digest = XXH3_128bits_digest(state);
  XXH3_freeState(state);
  return Hash128{digest.low64, digest.high64}.Hex();
}

bool IsRefName(const std::string& name) {
  if (name.empty() || name.size() > 200 || name.find("..") != std::string::npos) return false;
  if (name.front() == '-' || name.front() == '.' || name.front() == '/' || name.back() == '/') {
    return false;
  }
  return std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '.' ||
           c == '_' || c == '-' || c == '/';
  });
}

}  // namespace lutdb
