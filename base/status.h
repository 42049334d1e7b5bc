// absl::Status with fmt messages, and the two macros that pass errors on.
//
// Which code means what, so that one place (cli/main.cc) can choose the exit status:
//   InvalidArgument    the caller's words are wrong: an option, an address, a contradiction; exit 2
//   NotFound           a file, table or key that is not there
//   OutOfRange         an index beyond what exists
//   DataLoss           bytes that are damaged or not what they claim to be
//   Unimplemented      a well-formed thing lutdb does not know (architecture, op, newer format)
//   FailedPrecondition the state forbids it (another plan, half-built, locked)
//   ResourceExhausted  disk, memory or a limit
//   Cancelled          interrupted by the user; work done so far is kept
//   Unavailable        the operating system failed (EIO and such)
// A message is one line that says what, where and what to do.
#pragma once

#include <fmt/format.h>

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace lutdb {

template <typename... Args>
absl::Status Error(absl::StatusCode code, fmt::format_string<Args...> format, Args&&... args) {
  const std::string text = fmt::format(format, std::forward<Args>(args)...);
  return absl::Status(code, {text.data(), text.size()});
}

template <typename... Args>
absl::Status InvalidArgument(fmt::format_string<Args...> format, Args&&... args) {
  return Error(absl::StatusCode::kInvalidArgument, format, std::forward<Args>(args)...);
}
template <typename... Args>
absl::Status NotFound(fmt::format_string<Args...> format, Args&&... args) {
  return Error(absl::StatusCode::kNotFound, format, std::forward<Args>(args)...);
}
template <typename... Args>
absl::Status OutOfRange(fmt::format_string<Args...> format, Args&&... args) {
  return Error(absl::StatusCode::kOutOfRange, format, std::forward<Args>(args)...);
}
template <typename... Args>
absl::Status DataLoss(fmt::format_string<Args...> format, Args&&... args) {
  return Error(absl::StatusCode::kDataLoss, format, std::forward<Args>(args)...);
}
template <typename... Args>
absl::Status Unimplemented(fmt::format_string<Args...> format, Args&&... args) {
  return Error(absl::StatusCode::kUnimplemented, format, std::forward<Args>(args)...);
}
template <typename... Args>
absl::Status FailedPrecondition(fmt::format_string<Args...> format, Args&&... args) {
  return Error(absl::StatusCode::kFailedPrecondition, format, std::forward<Args>(args)...);
}
template <typename... Args>
absl::Status ResourceExhausted(fmt::format_string<Args...> format, Args&&... args) {
  return Error(absl::StatusCode::kResourceExhausted, format, std::forward<Args>(args)...);
}
template <typename... Args>
absl::Status Unavailable(fmt::format_string<Args...> format, Args&&... args) {
  return Error(absl::StatusCode::kUnavailable, format, std::forward<Args>(args)...);
}

// The message as a std::string (Debian's absl::string_view is not std::string_view).
inline std::string Message(const absl::Status& status) {
  std::string line(status.message().data(), status.message().size());
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) c = '?';
  }
  return line;
}

}  // namespace lutdb

#define LUTDB_RETURN_IF_ERROR(expression)                               \
  do {                                                                  \
    if (absl::Status lutdb_status = (expression); !lutdb_status.ok()) { \
      return lutdb_status;                                              \
    }                                                                   \
  } while (false)

#define LUTDB_CONCAT_INNER(a, b) a##b
#define LUTDB_CONCAT(a, b) LUTDB_CONCAT_INNER(a, b)
// LUTDB_ASSIGN_OR_RETURN(auto x, F()): x from an absl::StatusOr, or return its status.
#define LUTDB_ASSIGN_OR_RETURN(target, expression) \
  LUTDB_ASSIGN_OR_RETURN_INNER(LUTDB_CONCAT(lutdb_result_, __LINE__), target, expression)
#define LUTDB_ASSIGN_OR_RETURN_INNER(result, target, expression) \
  auto result = (expression);                                    \
  if (!result.ok()) return result.status();                      \
  target = std::move(result).value()
