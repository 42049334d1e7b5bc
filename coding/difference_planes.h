// Numbers of 16 bits in few bytes: low bits that none has are left out, differences are taken as
// often as makes them smallest, and what is left goes into byte planes. Which number another is
// taken from is for the caller to say. docs/format.md, "Tile records" (corrections).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace lutdb {

// Arithmetic is modulo 2^16, as that of entries is, so that nothing can overflow.
using Numbers = std::vector<uint16_t>;
using NumbersFn = std::function<void(Numbers* numbers)>;

// The byte `kind`, one for the shift, one for the order, and planes. difference: puts differences
// in the place of numbers, once. numbers are spoilt.
std::string DifferencePlanes(char kind, const NumbersFn& difference, Numbers* numbers);

// Restores numbers (sized by the caller) from the front of *body, behind a kind that the caller has
// looked at. integrate undoes `difference`. False when the body is damaged.
bool ReadDifferencePlanes(std::string_view* body, const NumbersFn& integrate, Numbers* numbers);

}  // namespace lutdb
