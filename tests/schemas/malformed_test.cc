// Bytes that are cut, changed or made up never crash a parser and never make it allocate more than
// they could describe; under the sanitizers of the asan preset they must not be misread either.

#include <gtest/gtest.h>

#include "tests/schemas/random_specs.h"

namespace lutdb {
namespace {

// Hands every truncation and `flips` random changes of the bytes to a parser, which must return.
// What it returns is free: a flipped bit of a weight's name is still a name.
template <typename Parse>
void Torment(const std::string& bytes, uint64_t seed, int flips, const Parse& parse) {
  for (size_t size = 0; size < bytes.size(); ++size) {
    // Copied to the exact size, so that a read beyond the end is seen by the sanitizers.
    const std::string cut(bytes, 0, size);
    EXPECT_FALSE(parse(cut)) << "cut to " << size << " of " << bytes.size();
  }
  std::mt19937_64 random(seed);
  for (int i = 0; i < flips; ++i) {
    std::string changed = bytes;
    for (uint64_t count = 1 + random() % 3; count > 0; --count) {
      char& byte = changed[random() % changed.size()];
      // Extreme values find overflows that single bits do not.
      const char values[] = {static_cast<char>(byte ^ (1 << random() % 8)), 0, 1, '\x7f', '\xff'};
      byte = values[random() % 5];
    }
    (void)parse(changed);
  }
  // Every byte once, so that no field is left out.
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string changed = bytes;
    changed[i] = static_cast<char>(~changed[i]);
    (void)parse(changed);
  }
}

TEST(Malformed, Graphs) {
  for (uint64_t seed = 0; seed < 3; ++seed) {
    RandomSpecs specs(seed);
    Manifest manifest = specs.EmptyManifest();
    const Graph graph = specs.LanguageModel(&manifest, 1);
    Torment(SerializeGraph(graph), seed, 20000, [&](const std::string& bytes) {
      const auto parsed = ParseGraph(bytes, manifest.tables, manifest.tensors);
      return parsed.ok() && ValidateGraph(*parsed, manifest.tables, manifest.tensors).ok();
    });
  }
}

TEST(Malformed, Manifests) {
  for (uint64_t seed = 0; seed < 3; ++seed) {
    RandomSpecs specs(seed);
    Manifest manifest = specs.EmptyManifest();
    (void)specs.LanguageModel(&manifest, 1);
    Torment(SerializeManifest(manifest), seed, 20000,
            [](const std::string& bytes) { return ParseManifest(bytes).ok(); });
  }
}

TEST(Malformed, Tokenizers) {
  for (uint64_t seed = 0; seed < 10; ++seed) {
    Torment(SerializeTokenizer(RandomSpecs(seed).Tokenizer()), seed, 20000,
            [](const std::string& bytes) { return ParseTokenizer(bytes).ok(); });
  }
}

TEST(Malformed, OneKindIsNotAnother) {
  const std::string tokenizer = SerializeTokenizer(RandomSpecs(1).Tokenizer());
  EXPECT_FALSE(ParseManifest(tokenizer).ok());
  EXPECT_FALSE(ParseGraph(tokenizer, {}, {}).ok());
  EXPECT_FALSE(ParseTokenizer(SerializeManifest({})).ok());
}

TEST(Malformed, Noise) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 20000; ++i) {
    std::string noise(random() % 200, '\0');
    for (char& byte : noise) byte = static_cast<char>(random());
    if (i % 2 == 0 && noise.size() > 8) noise.replace(4, 4, "LUTM");
    EXPECT_FALSE(ParseManifest(noise).ok());
    EXPECT_FALSE(ParseGraph(noise, {}, {}).ok());
    EXPECT_FALSE(ParseTokenizer(noise).ok());
  }
}

}  // namespace
}  // namespace lutdb
