// UTF-8: what is a whole character, and text that arrives in pieces that may cut one.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace lutdb {

// How a byte string begins.
enum class Utf8Start {
  kCharacter,   // with a whole, well-formed character
  kIncomplete,  // with one that more bytes could complete
  kInvalid,     // with bytes that no character begins with
};
struct Utf8Prefix {
  Utf8Start start = Utf8Start::kInvalid;
  size_t bytes =
      0;  // of the character, of the incomplete one, or to skip when invalid (at least 1)
};
// text is not empty. Overlong forms, surrogates and numbers beyond U+10FFFF are invalid.
Utf8Prefix ReadUtf8(std::string_view text);

bool IsUtf8(std::string_view text);

// Collects bytes and gives out whole characters; what can be no character becomes U+FFFD.
class Utf8Joiner {
 public:
  // Appends what has become complete to *out.
  void Push(std::string_view bytes, std::string* out);
  // Ends the text: a character that was cut short becomes one U+FFFD.
  void Finish(std::string* out);

 private:
  std::string pending_;  // fewer than four bytes between calls
};

}  // namespace lutdb
