// The main() of a fuzz target in builds without libFuzzer: tries every file of the target's corpus
// (the folder given), and spoils each good input in some thousand ways, always the same ones, so
// that every test run tries bad bytes.
//
//   NAME_fuzz [CORPUS]

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/fuzz/fuzz_target.h"

namespace {

uint64_t state = 0x9e3779b97f4a7c15;
// xorshift64
uint64_t Random(uint64_t bound) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state % bound;
}

void Spoil(std::string* bytes) {
  if (bytes->empty()) return;
  const size_t place = Random(bytes->size());
  switch (Random(6)) {
    case 0:
      (*bytes)[place] = static_cast<char>((*bytes)[place] ^ (1 << Random(8)));
      break;
    case 1:
      (*bytes)[place] = static_cast<char>(Random(256));
      break;
    case 2:
      bytes->resize(place);
      break;
    case 3:
      bytes->insert(place, bytes->substr(Random(bytes->size()), Random(16)));
      break;
    case 4:
      bytes->erase(place, Random(16));
      break;
    default: {
      // Numbers that lengths and counts go wrong at.
      const uint64_t numbers[] = {0, ~uint64_t{0}, uint64_t{1} << 63, 0x7fffffff, 0xffff};
      const uint64_t number = numbers[Random(5)];
      const size_t length = size_t{1} << Random(4);
      if (place + length <= bytes->size()) std::memcpy(bytes->data() + place, &number, length);
    }
  }
}

void Try(const std::string& bytes) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
}

int TryCorpus(const std::string& folder) {
  int files = 0;
  std::error_code ignored;  // a target without a corpus yet
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    std::ifstream file(entry.path(), std::ios::binary);
    Try({std::istreambuf_iterator<char>(file), {}});
    ++files;
  }
  return files;
}

}  // namespace

int main(int argc, char** argv) {
  const int files = argc > 1 ? TryCorpus(argv[1]) : 0;
  constexpr int kTriesPerSeed = 5000;
  int tries = 0;
  for (const std::string& seed : lutdb::FuzzSeeds()) {
    Try(seed);
    for (int i = 0; i < kTriesPerSeed; ++i, ++tries) {
      std::string spoilt = seed;
      for (uint64_t changes = 1 + Random(4); changes > 0; --changes) Spoil(&spoilt);
      Try(spoilt);
    }
  }
  Try("");
  std::printf("%d files of the corpus and %d spoilt inputs tried\n", files, tries);
  return tries > 0 ? 0 : 1;
}
