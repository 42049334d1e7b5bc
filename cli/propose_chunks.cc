#include "cli/propose_chunks.h"

#include <fmt/format.h>

#include <string>
#include <vector>

#include "base/status.h"
#include "cli/text_table.h"
#include "engine/propose_chunks.h"

namespace lutdb::cli {
namespace {

std::string NameOf(const Dataset& data, uint32_t input) {
  return input < data.input_names.size() ? data.input_names[input] : fmt::format("{}", input);
}

}  // namespace

absl::Status ProposeChunks(const Dataset& data, const RowSplit& split, uint32_t pairs_max,
                           bool json, Output& output) {
  ProposeOptions options;
  options.pairs_max = pairs_max;
  LUTDB_ASSIGN_OR_RETURN(const std::vector<ProposedPair> pairs,
                         ProposePairs(data, split.train, {}, options));
  if (json) {
    Json list = Json::array();
    for (const ProposedPair& pair : pairs) {
      list.push_back({{"inputs", {pair.first, pair.second}},
                      {"names", {NameOf(data, pair.first), NameOf(data, pair.second)}},
                      {"gain", pair.gain}});
    }
    output.WriteJson({{"rows", split.train.size()}, {"pairs", std::move(list)}});
    return absl::OkStatus();
  }
  TextTable table({{"inputs"}, {"names", TextTable::Align::kLeft}, {"gain"}});
  for (const ProposedPair& pair : pairs) {
    table.Add({fmt::format("[{}, {}]", pair.first, pair.second),
               NameOf(data, pair.first) + " x " + NameOf(data, pair.second),
               fmt::format("{:.4f}", pair.gain)});
  }
  output.Write(table.Format());
  output.Write(
      fmt::format("\nGain: share of the target's variance over {} training rows that both inputs "
                  "explain together, beyond a function of each.\nA table takes a pair as a chunk "
                  "of its graph file: \"chunks\": [{{\"inputs\": [a, b], \"bits\": 5}}, ...]\n",
                  split.train.size()));
  return absl::OkStatus();
}

}  // namespace lutdb::cli
