#include "cli/layer_groups.h"

#include <algorithm>
#include <map>

#include "base/check.h"

namespace lutdb::cli {
namespace {

// The name with its first part that is a whole number replaced: "model.layers.3.x" ->
// "model.layers.*.x".
std::string Pattern(const std::string& name) {
  size_t begin = 0;
  while (begin < name.size()) {
    const size_t end = std::min(name.find('.', begin), name.size());
    const bool number = end > begin && std::all_of(name.begin() + begin, name.begin() + end,
                                                   [](char c) { return c >= '0' && c <= '9'; });
    if (number) return name.substr(0, begin) + "*" + name.substr(end);
    begin = end + 1;
  }
  return name;
}

}  // namespace

std::vector<LayerGroup> GroupLayers(const std::vector<std::string>& names,
                                    const std::vector<std::string>& keys) {
  LUTDB_CHECK(names.size() == keys.size());
  std::vector<LayerGroup> groups;
  std::map<std::pair<std::string, std::string>, size_t> places;
  for (size_t i = 0; i < names.size(); ++i) {
    const std::string pattern = Pattern(names[i]);
    const auto [place, is_new] = places.try_emplace({pattern, keys[i]}, groups.size());
    if (is_new) groups.push_back({pattern, {}});
    groups[place->second].members.push_back(i);
  }
  for (LayerGroup& group : groups) {
    if (group.members.size() == 1) group.name = names[group.members[0]];
  }
  return groups;
}

}  // namespace lutdb::cli
