// Standard error, for people: progress, timings, what to know beside the results.
#pragma once

#include <fmt/format.h>

#include <cstdio>
#include <string>
#include <utility>

namespace lutdb::cli {

// A terminal that is gone or a full disk is no reason for a command to fail: what cannot be written
// is dropped. (fmt::print throws then.)
template <typename... Args>
void Notice(fmt::format_string<Args...> format, Args&&... args) {
  const std::string text = fmt::format(format, std::forward<Args>(args)...);
  (void)std::fwrite(text.data(), 1, text.size(), stderr);
}

}  // namespace lutdb::cli
