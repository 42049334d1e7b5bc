// SST files written outside the database, to be ingested. Keys must arrive in ascending order.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "db/rocks.h"

namespace lutdb::db {

struct SstInfo {
  uint64_t entries = 0;
  uint64_t file_bytes = 0;
  std::string first_key;
  std::string last_key;
};

// One file of one family. Not thread-safe. An unfinished file is deleted by the destructor.
class SstWriter {
 public:
  static absl::StatusOr<std::unique_ptr<SstWriter>> Create(Family family, const std::string& path);
  ~SstWriter();
  absl::Status Add(std::string_view key, std::string_view value);
  // Syncs the file (not its directory). An empty file is an error.
  absl::StatusOr<SstInfo> Finish();

 private:
  struct State;
  explicit SstWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace lutdb::db
