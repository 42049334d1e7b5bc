#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>

#include "bench/model_speed.h"

namespace lutdb::bench {
namespace {

using Json = nlohmann::json;

[[noreturn]] void Stop(const std::string& message) {
  fmt::print(stderr, "model_speed: {}\n", message);
  std::exit(1);
}

uint64_t StatusBytes(const std::string& key) {
  std::ifstream lines("/proc/self/status");
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind(key, 0) == 0) return std::stoull(line.substr(key.size())) << 10;
  }
  return 0;
}

int32_t Largest(const float* logits, size_t count) {
  return static_cast<int32_t>(std::max_element(logits, logits + count) - logits);
}

class Server {
 public:
  Server(const std::vector<int32_t>& tokens, LanguageEngine* engine)
      : tokens_(tokens), engine_(*engine) {}

  Json Answer(const std::string& line) {
    std::istringstream words(line);
    std::string question, path;
    size_t first = 0, second = 0;
    words >> question >> first;
    if (question == "prompt") return Prompt(Have(first));
    if (question == "memory") return Memory();
    if (question == "logits" && words >> path) return Logits(Have(first), path);
    if (question == "generate" && words >> second) return Generate(first, Have(first + second));
    if (question == "greedy" && words >> second) return Greedy(Have(first), second);
    Stop(fmt::format("'{}' is no question", line));
  }

 private:
  size_t Have(size_t count) const {
    if (count == 0 || count > tokens_.size()) {
      Stop(fmt::format("there are {} tokens, {} are wanted", tokens_.size(), count));
    }
    return count;
  }
  double Seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }
  void Begin() { start_ = std::chrono::steady_clock::now(); }

  Json Prompt(size_t count) {
    engine_.Reset();
    Begin();
    engine_.Feed(tokens_.data(), count);
    return {{"seconds", Seconds()}};
  }
  Json Generate(size_t begin, size_t end) {
    engine_.Reset();
    if (begin > 0) engine_.Feed(tokens_.data(), begin);
    int64_t sum = 0;  // that no compiler leaves out what is not looked at
    Begin();
    for (size_t i = begin; i < end; ++i) {
      sum += Largest(engine_.Feed(tokens_.data() + i, 1), engine_.vocabulary());
    }
    return {{"seconds", Seconds()}, {"sum", sum}};
  }
  Json Greedy(size_t prompt, size_t count) {
    engine_.Reset();
    const float* logits = engine_.Feed(tokens_.data(), prompt);
    std::vector<int32_t> said;
    while (said.size() < count) {
      said.push_back(Largest(logits, engine_.vocabulary()));
      logits = engine_.Feed(&said.back(), 1);
    }
    return {{"tokens", said}};
  }
  Json Logits(size_t count, const std::string& path) {
    engine_.Reset();
    std::ofstream file(path, std::ios::binary);
    const auto bytes = static_cast<std::streamsize>(engine_.vocabulary() * sizeof(float));
    for (size_t i = 0; i < count; ++i) {
      file.write(reinterpret_cast<const char*>(engine_.Feed(tokens_.data() + i, 1)), bytes);
    }
    file.close();
    if (!file) Stop(fmt::format("{} cannot be written", path));
    return Json::object();
  }
  Json Memory() const {
    Json memory = engine_.Memory();
    memory["resident_bytes"] = StatusBytes("VmRSS:");
    memory["peak_bytes"] = StatusBytes("VmHWM:");
    return memory;
  }

  const std::vector<int32_t>& tokens_;
  LanguageEngine& engine_;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace

std::vector<int32_t> ReadTokens(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::vector<int32_t> tokens;
  for (int32_t token = 0; file.read(reinterpret_cast<char*>(&token), sizeof(token));) {
    tokens.push_back(token);
  }
  if (tokens.empty()) Stop(fmt::format("{} holds no tokens", path));
  return tokens;
}

void Serve(const std::vector<int32_t>& tokens, LanguageEngine* engine) {
  Server server(tokens, engine);
  fmt::print("{{}}\n");  // ready
  std::fflush(stdout);
  for (std::string line; std::getline(std::cin, line);) {
    fmt::print("{}\n", server.Answer(line).dump());
    std::fflush(stdout);
  }
}

}  // namespace lutdb::bench
