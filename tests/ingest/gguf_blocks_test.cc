// Packed types: against ggml's own numbers where they are published, and otherwise against an
// oracle written from the layouts in NumPy, whose answers are kept here as hashes of their bits.
#include "ingest/gguf_blocks.h"

#include "tests/ingest/model_files.h"

namespace lutdb {
namespace {

std::vector<float> Unpack(const GgufType& type, const std::string& blocks) {
  const uint64_t elements = blocks.size() / type.bytes * type.elements;
  std::vector<float> values(elements);
  UnpackElements(type, reinterpret_cast<const uint8_t*>(blocks.data()), 0, elements, values.data());
  return values;
}

// FNV-1a of the bytes.
uint64_t HashOf(const std::vector<float>& values) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char byte : FloatBytes(values)) {
    hash = (hash ^ static_cast<uint8_t>(byte)) * 0x100000001b3u;
  }
  return hash;
}

struct OracleCase {
  const char* name;
  uint32_t id;
  uint32_t bytes;
  std::vector<uint32_t> halves;  // where scales of type f16 lie in a block
  uint32_t elements;
  uint64_t hash;  // of 64 blocks
};

// Bytes of a linear congruential generator, f16 scales made finite and small.
std::string Blocks(const OracleCase& vector) {
  std::string blocks;
  uint64_t state = vector.id * 0x9e3779b97f4a7c15u;
  for (uint32_t i = 0; i < 64 * vector.bytes; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    blocks.push_back(static_cast<char>(state >> 56));
  }
  for (uint32_t block = 0; block < 64; ++block) {
    for (const uint32_t half : vector.halves) {
      char& high = blocks[block * vector.bytes + half + 1];
      high = static_cast<char>((high & 0x83) | 0x20);
    }
  }
  return blocks;
}

const std::vector<OracleCase>& OracleCases() {
  static const std::vector<OracleCase> cases = {
      {"Q4_1", 3, 20, {0, 2}, 32u, 0xbde0bae1804ebe71u},
      {"Q5_0", 6, 22, {0}, 32u, 0xcea1999b180c7c09u},
      {"Q5_1", 7, 24, {0, 2}, 32u, 0x04aef24224a2670eu},
      {"Q2_K", 10, 84, {80, 82}, 256u, 0x83a3927a4b1c5a73u},
      {"Q3_K", 11, 110, {108}, 256u, 0x90e8f0d62e50a8fdu},
      {"Q5_K", 13, 176, {0, 2}, 256u, 0x226dd6958793e42cu},
      {"IQ4_NL", 20, 18, {0}, 32u, 0x898d0087c0837e4du},
      {"IQ4_XS", 23, 136, {0}, 256u, 0x7da1b1f6c294d7cdu},
      {"TQ1_0", 34, 54, {52}, 256u, 0x074386f3218947ffu},
      {"TQ2_0", 35, 66, {64}, 256u, 0x293eb30fa334622du},
  };
  return cases;
}

TEST(GgufBlocks, AgreeWithTheOracle) {
  for (const OracleCase& vector : OracleCases()) {
    SCOPED_TRACE(vector.name);
    const GgufType* type = FindGgufType(vector.id);
    ASSERT_NE(type, nullptr);
    EXPECT_STREQ(type->name, vector.name);
    EXPECT_EQ(type->bytes, vector.bytes);
    EXPECT_EQ(type->elements, vector.elements);
    EXPECT_EQ(HashOf(Unpack(*type, Blocks(vector))), vector.hash);
  }
}

TEST(GgufBlocks, AnyPartOfARowIsThatPartOfTheWhole) {
  for (const OracleCase& vector : OracleCases()) {
    SCOPED_TRACE(vector.name);
    const GgufType& type = *FindGgufType(vector.id);
    const std::string blocks = Blocks(vector);
    const std::vector<float> whole = Unpack(type, blocks);
    const auto* row = reinterpret_cast<const uint8_t*>(blocks.data());
    for (const auto& [begin, count] : std::vector<std::pair<uint64_t, uint64_t>>{
             {0, 1}, {5, 40}, {31, 2}, {255, 258}, {300, 700}, {whole.size() - 1, 1}, {7, 0}}) {
      std::vector<float> part(count);
      UnpackElements(type, row, begin, count, part.data());
      EXPECT_EQ(FloatBytes(part),
                FloatBytes({whole.begin() + begin, whole.begin() + begin + count}));
    }
  }
}

TEST(GgufBlocks, NamesWhatItReads) {
  const std::string readable = ReadableGgufTypes();
  EXPECT_EQ(readable,
            "F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_NL, "
            "IQ4_XS, TQ1_0, TQ2_0");
  EXPECT_EQ(FindGgufType(4), nullptr);
  EXPECT_EQ(FindGgufType(16)->bytes, 0u);
  EXPECT_EQ(FindGgufType(16)->unpack, nullptr);
}

}  // namespace
}  // namespace lutdb
