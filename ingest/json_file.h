// JSON from outside: bounded in bytes, depth and number of values, duplicate keys refused, and
// typed, range-checked access whose errors say which field of which file is wrong.
//
// Built on the SAX interface, because the DOM parser keeps the last of two equal keys silently and
// has no limit on depth or memory.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace lutdb {

inline constexpr uint64_t kJsonFileBytesMax = 64 << 20;

// Values one member of the outermost object may hold. A value costs at least 16 bytes of memory.
inline constexpr uint64_t kJsonMemberValuesMax = 8 << 20;

// A name from a file as it may appear in a one-line message: quoted, escaped, shortened.
std::string Quote(std::string_view name);

// Hands the members of the outermost object over one by one, in file order, so that the whole need
// not be in memory. `where` names the file in errors. DataLoss when text is not one JSON object, is
// nested deeper than 32, holds an object with two equal keys (the outermost one excepted: that is
// for take_member to see), or a member of more than values_max values; take_member's error is
// passed on.
using TakeMember = std::function<absl::Status(std::string& key, nlohmann::json& value)>;
absl::Status ForEachMember(std::string_view text, const std::string& where, uint64_t values_max,
                           const TakeMember& take_member);

// A whole object from a file of at most kJsonFileBytesMax bytes. NotFound, DataLoss.
absl::StatusOr<nlohmann::json> ReadJsonObject(const std::string& path);

// Access to one object's fields. Null counts as absent. Getters leave *out alone when an optional
// field is absent. The object must outlive this.
class JsonFields {
 public:
  enum Need { kRequired, kOptional };

  JsonFields(const nlohmann::json& object, std::string where);

  // The field, or nullptr; it counts as read.
  const nlohmann::json* Find(const char* key);
  // A string that is not empty.
  absl::Status String(const char* key, Need need, std::string* out);
  absl::Status Boolean(const char* key, Need need, bool* out);
  // An integer within [min, max]; DataLoss naming the range otherwise.
  absl::Status Unsigned(const char* key, Need need, uint64_t min, uint64_t max, uint64_t* out);
  absl::Status Unsigned(const char* key, Need need, uint64_t min, uint64_t max, uint32_t* out);
  // A finite number within [min, max].
  absl::Status Number(const char* key, Need need, double min, double max, double* out);
  // DataLoss naming the first field nobody asked for: it may be misspelt.
  absl::Status RefuseUnread() const;

  const std::string& where() const { return where_; }

 private:
  const nlohmann::json& object_;
  std::string where_;
  std::set<std::string, std::less<>> read_;
};

}  // namespace lutdb
