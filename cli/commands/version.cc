// lutdb version: version, format version, instruction set in use.

#include <cstdlib>
#include <memory>
#include <sstream>

#include "base/status.h"
#include "cli/command.h"
#include "cli/text_table.h"
#include "engine/kernels/kernels.h"
#include "lutdb/types.h"

namespace lutdb::cli {
namespace {

absl::Status Version(bool json, Output& output) {
  // No store is opened here, so the choice is applied as opening one would.
  const char* isa = std::getenv("LUTDB_FORCE_ISA");
  if (isa != nullptr && *isa != '\0' && !kernels::ForceIsa(isa)) {
    return InvalidArgument(
        "LUTDB_FORCE_ISA: '{}' is not an instruction set of this machine; it has {}", isa,
        kernels::IsaList());
  }
  if (json) {
    std::vector<std::string> available;
    std::istringstream list(kernels::IsaList());
    for (std::string name; list >> name;) available.push_back(name);
    output.WriteJson({{"version", LUTDB_VERSION},
                      {"format_version", kFormatVersion},
                      {"isa", kernels::IsaName()},
                      {"isa_available", available}});
    return absl::OkStatus();
  }
  output.Write(FormatFacts({{"lutdb", LUTDB_VERSION},
                            {"format version", std::to_string(kFormatVersion)},
                            {"instruction set", kernels::IsaName()},
                            {"available", kernels::IsaList()}}));
  return absl::OkStatus();
}

}  // namespace

Action DeclareVersion(CLI::App& app) {
  const auto json = std::make_shared<bool>(false);
  AddJson(app, json.get());
  return [json](Output& output) { return Version(*json, output); };
}

}  // namespace lutdb::cli
