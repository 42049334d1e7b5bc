// With libFuzzer, the good inputs go to a corpus first: LUTDB_WRITE_SEEDS names its folder.

#include <cstdlib>
#include <fstream>

#include "tests/fuzz/fuzz_target.h"

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  const char* folder = std::getenv("LUTDB_WRITE_SEEDS");
  if (folder == nullptr) return 0;
  int number = 0;
  for (const std::string& seed : lutdb::FuzzSeeds()) {
    const std::string path = std::string(folder) + "/seed" + std::to_string(number++);
    std::ofstream(path, std::ios::binary) << seed;
  }
  return 0;
}
