// Other programs that are measured beside lutdb.
#pragma once

#include <array>
#include <cstdio>
#include <string>

namespace lutdb::bench {

// What a command prints; empty when it cannot be run or fails.
inline std::string OutputOf(const std::string& command) {
  std::string output;
  FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return output;
  std::array<char, 4096> buffer;
  for (size_t bytes = 0; (bytes = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) {
    output.append(buffer.data(), bytes);
  }
  return ::pclose(pipe) == 0 ? output : std::string();
}

}  // namespace lutdb::bench
