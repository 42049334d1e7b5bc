#include "base/memory_limit.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <limits>
#include <sstream>

#include "base/file.h"

namespace lutdb {
namespace {

constexpr uint64_t kUnlimited = std::numeric_limits<uint64_t>::max();

// Files of /proc and /sys report size 0, so they are read as streams.
uint64_t ReadLimit(const std::string& path) {
  std::ifstream file(path);
  std::string word;
  if (!(file >> word)) return kUnlimited;
  uint64_t bytes = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), bytes);
  if (error != std::errc() || end != word.data() + word.size()) return kUnlimited;  // "max"
  return bytes;
}

// A group is bound by its own limit and by those of all groups around it. In a container the
// group's own folder may not be mounted; the ones that are still count.
uint64_t SmallestUpwards(const std::string& root, std::string group, const char* file) {
  uint64_t limit = kUnlimited;
  while (true) {
    limit = std::min(limit, ReadLimit(root + group + "/" + file));
    const size_t slash = group.rfind('/');
    if (slash == std::string::npos) return limit;
    group.resize(slash);
  }
}

// Whether a comma-separated list has this word.
bool Lists(std::string_view list, std::string_view word) {
  while (true) {
    const size_t comma = list.find(',');
    if (list.substr(0, comma) == word) return true;
    if (comma == std::string_view::npos) return false;
    list.remove_prefix(comma + 1);
  }
}

}  // namespace

uint64_t CgroupMemoryLimit(std::string_view groups, const std::string& root) {
  uint64_t limit = kUnlimited;
  while (!groups.empty()) {
    const size_t end = std::min(groups.find('\n'), groups.size());
    const std::string_view line = groups.substr(0, end);
    groups.remove_prefix(std::min(end + 1, groups.size()));
    // hierarchy-ID:controller,controller:/path
    const size_t first = line.find(':');
    if (first == std::string_view::npos) continue;
    const size_t second = line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    const std::string group(line.substr(second + 1));
    if (controllers.empty()) {
      limit = std::min(limit, SmallestUpwards(root, group, "memory.max"));
      limit = std::min(limit, SmallestUpwards(root + "/unified", group, "memory.max"));
    } else if (Lists(controllers, "memory")) {
      limit = std::min(limit, SmallestUpwards(root + "/memory", group, "memory.limit_in_bytes"));
    }
  }
  return limit;
}

uint64_t UsableMemoryBytes() {
  const long pages = ::sysconf(_SC_PHYS_PAGES);
  const long page_bytes = ::sysconf(_SC_PAGESIZE);
  uint64_t bytes = kUnlimited;
  if (pages > 0 && page_bytes > 0) {
    bytes = static_cast<uint64_t>(pages) * static_cast<uint64_t>(page_bytes);
  }
  std::ifstream file("/proc/self/cgroup");
  std::stringstream groups;
  groups << file.rdbuf();
  return std::min(bytes, CgroupMemoryLimit(groups.str(), "/sys/fs/cgroup"));
}

}  // namespace lutdb
