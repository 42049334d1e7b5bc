// tar archives (POSIX ustar, with GNU's and pax's long names passed over), read in place.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace lutdb {

struct TarMember {
  std::string name;        // with its folders, as stored
  std::string_view bytes;  // within the archive
};

// The regular files of an archive that outlives the result, in the order of the archive. DataLoss,
// naming `path` and the place, for a header whose checksum is wrong or a size beyond the end.
absl::StatusOr<std::vector<TarMember>> ListTar(std::string_view archive, const std::string& path);

}  // namespace lutdb
