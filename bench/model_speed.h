// What model_speed.py asks of an engine that runs a whole language model. Each engine is a process
// of its own, so that the memory of each can be told apart, and waits without using the processor
// while it is not asked.
//
// Questions are lines on standard input, answers are JSON objects, one a line, on standard output:
//   prompt N          {"seconds"}: an empty context, N tokens at once, logits of the last
//   generate C N      {"seconds"}: after C tokens as a prompt, N tokens one at a time, logits of
//   each
//                     and the index of the largest, as greedy sampling takes it
//   greedy C N        {"tokens"}: what greedy sampling says after C tokens
//   logits N FILE     {}: N tokens one at a time, their logits in FILE, f32
//   memory            {"resident_bytes", "peak_bytes"} and what the engine itself says
//
// Tokens fed are those of a file, the same for every engine, and not what the engine predicts: a
// model of random weights soon repeats itself, which would let a table's rows stay in the cache.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace lutdb::bench {

class LanguageEngine {
 public:
  virtual ~LanguageEngine() = default;
  virtual void Reset() = 0;
  // Appends tokens to the context, together. Logits of the last one, valid until the next call.
  virtual const float* Feed(const int32_t* tokens, size_t count) = 0;
  virtual size_t vocabulary() const = 0;
  // Keys of the engine's own for `memory`.
  virtual nlohmann::json Memory() const = 0;
};

// Raw little-endian int32; exits with a message when there are none.
std::vector<int32_t> ReadTokens(const std::string& path);

// Answers until standard input ends.
void Serve(const std::vector<int32_t>& tokens, LanguageEngine* engine);

}  // namespace lutdb::bench
