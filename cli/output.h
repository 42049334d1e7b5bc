// Standard output, where results go. A reader that closes the pipe (`lutdb get ... | head`) is not
// an error: writing just stops.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace lutdb::cli {

// Keys keep the order in which they are written.
using Json = nlohmann::ordered_json;

// Buffered; used by one thread at a time. The process must ignore SIGPIPE.
class Output {
 public:
  explicit Output(int descriptor) : descriptor_(descriptor) {}
  Output(const Output&) = delete;

  void Write(std::string_view text);
  // Indented, with a newline. Text that is not UTF-8 is written with replacement characters, since
  // JSON can hold nothing else.
  void WriteJson(const Json& json);
  // Everything written so far reaches the descriptor. Unavailable when that failed (a full disk).
  absl::Status Flush();
  // False once writing makes no sense any more; long loops ask and stop.
  bool open() const { return !reader_gone_ && status_.ok(); }
  bool reader_gone() const { return reader_gone_; }

 private:
  int descriptor_;
  std::string buffer_;
  bool reader_gone_ = false;
  absl::Status status_;
};

}  // namespace lutdb::cli
