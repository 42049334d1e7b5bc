#include "cli/output.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/status.h"

namespace lutdb::cli {
namespace {
constexpr size_t kBufferBytes = 1 << 16;
}  // namespace

void Output::Write(std::string_view text) {
  if (!open()) return;
  buffer_.append(text);
  if (buffer_.size() >= kBufferBytes) Flush().IgnoreError();  // remembered in status_
}

void Output::WriteJson(const Json& json) {
  Write(json.dump(2, ' ', false, Json::error_handler_t::replace));
  Write("\n");
}

absl::Status Output::Flush() {
  size_t done = 0;
  while (open() && done < buffer_.size()) {
    const ssize_t wrote = write(descriptor_, buffer_.data() + done, buffer_.size() - done);
    if (wrote >= 0) {
      done += static_cast<size_t>(wrote);
    } else if (errno == EPIPE) {
      reader_gone_ = true;
    } else if (errno != EINTR) {
      status_ = Unavailable("cannot write to standard output: {}", std::strerror(errno));
    }
  }
  buffer_.clear();
  return status_;
}

}  // namespace lutdb::cli
