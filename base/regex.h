// Regular expressions over UTF-8, as tokenizer files write them: PCRE2 behind a small seam.
//
// Classes (\s, \d, \w, \p{..}) follow Unicode, ^ and $ match at line breaks (as in Oniguruma, which
// these files are written for), patterns are compiled to machine code where that is possible.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace lutdb {

struct RegexMatch {
  size_t begin = 0;  // bytes from the start of the text
  size_t end = 0;    // may equal begin
};

// Immutable after compilation; thread-safe.
class Regex {
 public:
  static constexpr size_t kPatternBytesMax = 1 << 16;

  // InvalidArgument for a pattern that is longer than kPatternBytesMax or that PCRE2 refuses; the
  // message has the pattern, the place and the reason.
  static absl::StatusOr<Regex> Compile(std::string_view pattern);

  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;
  ~Regex();

  // Finds the first match that begins at `from` or later; text is valid UTF-8 and `from` a
  // character's boundary in it. False when there is none. ResourceExhausted when the pattern needs
  // more steps on this text than any sane one does.
  absl::StatusOr<bool> Find(std::string_view text, size_t from, RegexMatch* match) const;

 private:
  struct Code;
  explicit Regex(std::unique_ptr<Code> code);
  std::unique_ptr<Code> code_;
};

}  // namespace lutdb
