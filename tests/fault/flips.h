// One bit of a store at rest turned over, anywhere in any of its files, again and again.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tests/fault/workloads.h"

namespace lutdb::fault {

struct FlipCounts {
  int64_t flips = 0;
  int64_t harmless = 0;       // a byte that nothing depends on: every answer right, nothing found
  int64_t found = 0;          // by verify --deep
  int64_t refused = 0;        // reading gave an error
  int64_t mended = 0;         // repair brought everything back
  int64_t unrecoverable = 0;  // repair or verify named what is lost
};

struct FlipTally {
  std::map<std::string, FlipCounts> kinds;  // of files
  std::vector<std::string> violations;
};

FlipTally FlipBits(const Workloads& workloads, int64_t count, uint64_t seed);

}  // namespace lutdb::fault
