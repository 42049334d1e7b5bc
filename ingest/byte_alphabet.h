// The alphabet in which byte-level vocabularies write bytes as printable characters (GPT-2).
//
// Printable bytes of Latin-1 stand for themselves, the others for the characters from U+0100 on, in
// order: a space is U+0120, a newline U+010A.
#pragma once

#include <string>
#include <string_view>

namespace lutdb {

// The bytes that a token's text stands for. False, and *bytes in no particular state, when a
// character is not of the alphabet.
bool FromByteAlphabet(std::string_view text, std::string* bytes);

}  // namespace lutdb
