// A fuzz target: what libFuzzer calls, and what replay.cc calls where there is no libFuzzer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

// Must return for any bytes; sanitizers and checks find what is wrong.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t count);

namespace lutdb {

// Good inputs, for replay.cc to spoil.
std::vector<std::string> FuzzSeeds();

}  // namespace lutdb
