// How much memory a control group leaves to this process.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lutdb {

// The smallest memory limit, in bytes, of the groups named in `groups` (the text of
// /proc/self/cgroup) and of their ancestors; the largest uint64_t when none is limited. Reads
// memory.limit_in_bytes (v1) below root/memory and memory.max (v2) below root and root/unified,
// where root is where control groups are mounted. Files that are absent or not numbers count as
// unlimited: a missing limit is no error.
uint64_t CgroupMemoryLimit(std::string_view groups, const std::string& root);

}  // namespace lutdb
