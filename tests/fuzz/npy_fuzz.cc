// .npy files come from anywhere.

#include "base/check.h"
#include "base/npy.h"
#include "tests/fuzz/fuzz_target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t count) {
  const auto array = lutdb::ParseNpy({reinterpret_cast<const char*>(bytes), count}, "x.npy");
  if (!array.ok()) return 0;
  LUTDB_CHECK(array->values.size() <= count);
  LUTDB_CHECK(array->rows() * array->row_width() == array->values.size());
  return 0;
}

std::vector<std::string> lutdb::FuzzSeeds() {
  const std::string dictionary =
      "{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3), }             \n";
  std::string file("\x93NUMPY\x01\x00", 8);
  file += static_cast<char>(dictionary.size());
  file += '\0';
  return {file + dictionary + std::string(12, 'x')};
}
