// Models of the engine's tests: built once from files made here or shipped in models/, then run.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "base/status.h"
#include "engine/kernels/kernels.h"
#include "lutdb/build.h"
#include "lutdb/model.h"
#include "tests/ingest/model_files.h"
#include "tests/scratch_directory.h"

namespace lutdb {

inline std::string RepositoryPath(const std::string& name) {
  return std::string(LUTDB_SOURCE_DIR) + "/" + name;
}

// Builds and expects success.
inline void BuildOrFail(const std::string& model, const std::string& store,
                        const BuildOptions& options) {
  const auto report = BuildStore(model, store, options);
  ASSERT_TRUE(report.ok()) << Message(report.status());
}

// A Hugging Face directory of a Llama with weights from its tensors' names.
inline std::string WriteLlama(const ScratchDirectory& scratch, const std::string& name,
                              const TinyLlama& llama) {
  const std::string directory = scratch / name;
  std::filesystem::create_directory(directory);
  std::ofstream(directory + "/config.json") << llama.Config();
  std::ofstream(directory + "/model.safetensors", std::ios::binary)
      << SafetensorsBytes(llama.Tensors());
  return directory;
}

inline std::unique_ptr<Model> OpenOrNull(const std::string& store, ModelOptions options = {}) {
  auto model = Model::Open(store, options);
  EXPECT_TRUE(model.ok()) << Message(model.status());
  return model.ok() ? *std::move(model) : nullptr;
}

// Logits of every position of a fixed token sequence, one after the other.
inline std::vector<float> LogitsOf(Model& model, uint32_t tokens, uint32_t vocabulary) {
  std::vector<float> all(size_t{tokens} * vocabulary);
  model.Reset();
  for (uint32_t i = 0; i < tokens; ++i) {
    const absl::Status fed = model.Feed(static_cast<int32_t>((i * 7 + 1) % vocabulary),
                                        absl::MakeSpan(all).subspan(i * vocabulary, vocabulary));
    EXPECT_TRUE(fed.ok()) << Message(fed);
    if (!fed.ok()) break;
  }
  return all;
}

// The same positions together, in pieces of `piece` tokens, and then once more for the last logits
// alone, which must be those of the last piece.
inline std::vector<float> LogitsTogether(Model& model, uint32_t tokens, uint32_t vocabulary,
                                         size_t piece) {
  std::vector<int32_t> ids;
  for (uint32_t i = 0; i < tokens; ++i)
    ids.push_back(static_cast<int32_t>((i * 7 + 1) % vocabulary));
  std::vector<float> all, last(vocabulary);
  model.Reset();
  for (size_t begin = 0; begin < ids.size(); begin += piece) {
    const absl::Status fed = model.FeedEach(absl::MakeConstSpan(ids).subspan(begin, piece),
                                            [&](size_t, absl::Span<const float> logits) {
                                              all.insert(all.end(), logits.begin(), logits.end());
                                              return absl::OkStatus();
                                            });
    EXPECT_TRUE(fed.ok()) << Message(fed);
  }
  model.Reset();
  EXPECT_TRUE(model.FeedAll(ids, absl::MakeSpan(last)).ok());
  EXPECT_EQ(all.size(), size_t{tokens} * vocabulary);
  EXPECT_EQ(
      std::memcmp(last.data(), all.data() + all.size() - vocabulary, vocabulary * sizeof(float)),
      0);
  return all;
}

// Bits, not values.
inline bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

inline std::vector<std::string> InstructionSets() {
  std::istringstream list(kernels::IsaList());
  std::vector<std::string> names;
  for (std::string name; list >> name;) names.push_back(name);
  return names;
}

}  // namespace lutdb
