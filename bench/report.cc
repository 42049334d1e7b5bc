#include "bench/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "engine/kernels/kernels.h"

namespace lutdb::bench {
namespace {

std::string ProcessorName() {
  std::ifstream lines("/proc/cpuinfo");
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("model name", 0) == 0) return line.substr(line.find(':') + 2);
  }
  return "unknown processor";
}

std::string Machine() {
  return fmt::format("{}, {} threads", ProcessorName(), std::thread::hardware_concurrency());
}

const char* BuildKind() {
#ifdef NDEBUG
  return "release";
#else
  return "debug";
#endif
}

}  // namespace

Measured Summarize(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  const auto at = [&](double share) {
    return values[static_cast<size_t>(share * static_cast<double>(values.size() - 1) + 0.5)];
  };
  return {.median = at(0.5), .low = at(0.25), .high = at(0.75)};
}

double SecondsOf(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

Measured PairedRatio(int rounds, const std::function<double()>& a,
                     const std::function<double()>& b) {
  std::vector<double> ratios;
  for (int round = 0; round < rounds; ++round) {
    const double first = round % 2 == 0 ? a() : b();
    const double second = round % 2 == 0 ? b() : a();
    ratios.push_back(round % 2 == 0 ? first / second : second / first);
  }
  return Summarize(std::move(ratios));
}

namespace {

// Two decimals, as the bounds are written, unless the bound is too small for them.
std::string BoundText(double bound, bool at_least) {
  const char* sign = at_least ? ">=" : "<=";
  return bound < 0.01 ? fmt::format("{} {:g}", sign, bound) : fmt::format("{} {:.2f}", sign, bound);
}

}  // namespace

void Report::Add(const std::string& name, const Measured& value, double bound, bool at_least,
                 const std::string& what) {
  figures_.push_back({name, what, BoundText(bound, at_least), value,
                      at_least ? value.median >= bound : value.median <= bound});
}

void Report::Missing(const std::string& name, double bound, bool at_least, const std::string& why) {
  figures_.push_back({.name = name,
                      .what = why,
                      .bound = BoundText(bound, at_least),
                      .value = {},
                      .holds = false,
                      .missing = true});
}

void Report::Note(const std::string& name, const Measured& value, const std::string& what) {
  figures_.push_back({name, what, "", value, true});
}

std::string Report::Json() const {
  nlohmann::json figures = nlohmann::json::array();
  for (const Figure& figure : figures_) {
    nlohmann::json one = {{"name", figure.name},
                          {"value", figure.value.median},
                          {"spread", {figure.value.low, figure.value.high}},
                          {"what", figure.what}};
    if (figure.missing) one["value"] = one["spread"] = nullptr;
    if (!figure.bound.empty()) {
      one["bound"] = figure.bound;
      one["holds"] = figure.holds;
    }
    figures.push_back(std::move(one));
  }
  const nlohmann::json report = {{"machine", Machine()},
                                 {"isa", kernels::IsaName()},
                                 {"build", BuildKind()},
                                 {"figures", figures}};
  return report.dump(2);
}

std::string Report::Text() const {
  std::string text = fmt::format("{}; {}; {}\n", Machine(), kernels::IsaName(), BuildKind());
  for (const Figure& figure : figures_) {
    if (figure.missing) {
      text += fmt::format("{:28} {:>10}  {:9} {}\n", figure.name, "-", figure.bound, figure.what);
      continue;
    }
    text += fmt::format("{:28} {:>10.4g}  ({:.4g} .. {:.4g})  {:9} {}  {}\n", figure.name,
                        figure.value.median, figure.value.low, figure.value.high, figure.bound,
                        figure.bound.empty() ? "     "
                        : figure.holds       ? "holds"
                                             : "FAILS",
                        figure.what);
  }
  return text;
}

bool Report::all_hold() const {
  return std::all_of(figures_.begin(), figures_.end(), [](const Figure& f) { return f.holds; });
}

}  // namespace lutdb::bench
