// Addresses are typed by people and come from programs.

#include "base/check.h"
#include "query/address.h"
#include "tests/fuzz/fuzz_target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t count) {
  const auto address = lutdb::ParseAddress({reinterpret_cast<const char*>(bytes), count});
  if (!address.ok()) return 0;
  LUTDB_CHECK(address->axes.size() <= lutdb::kAddressAxes);
  for (size_t i = 0; i < address->axes.size(); ++i) {
    for (uint32_t length : {1u, 7u, 1000u}) {
      const auto indices =
          lutdb::Resolve(address->axes[i], length, lutdb::kAxisNames[i], address->table);
      if (!indices.ok()) continue;
      for (uint32_t index : *indices) LUTDB_CHECK(index < length);
    }
  }
  return 0;
}

std::vector<std::string> lutdb::FuzzSeeds() {
  return {"lm_head[5, 0:4, :]", "model.layers.0.mlp.up_proj", "a[-1, ::2, 3:-4:-1]",
          "t[ 99999999999999999999 : , 1]"};
}
