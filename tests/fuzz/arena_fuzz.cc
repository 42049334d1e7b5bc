// The arena's index lies in a directory that anybody with the store can write to. Its checksum is
// made right here, so that what is behind it is reached.

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/bytes.h"
#include "base/check.h"
#include "query/arena_index.h"
#include "tests/fuzz/fuzz_target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t count) {
  std::string file(reinterpret_cast<const char*>(bytes), count);
  lutdb::ParseArenaIndex(file).status().IgnoreError();
  lutdb::AppendLittle(static_cast<uint64_t>(XXH3_64bits(file.data(), file.size())), &file);
  const auto index = lutdb::ParseArenaIndex(file);
  // Nothing is read that was not written: the bytes come out again.
  if (index.ok()) LUTDB_CHECK(lutdb::SerializeArenaIndex(*index) == file);
  return 0;
}

std::vector<std::string> lutdb::FuzzSeeds() {
  ArenaIndex index;
  index.generation = 2;
  index.tables.push_back({Residency::kRows, 100, 128, {{5, 77}, {9, 78}}});
  index.tables.push_back({Residency::kWhole, 10, 64, {{0, 1}}});
  std::string bytes = SerializeArenaIndex(index);
  bytes.resize(bytes.size() - sizeof(uint64_t));
  return {bytes, SerializeArenaIndex({})};
}
