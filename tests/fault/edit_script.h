// A random list of edits, made up beforehand, and what a store must hold after each of them: the
// oracle. It computes branches, tags, logs and every entry on its own, from the entries of the
// build and the list alone.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lutdb/history.h"

namespace lutdb::fault {

// Every entry of a store as it was built, table by table, in the order of Store::Get.
struct BuiltTable {
  std::string name;
  uint32_t neurons = 0, chunks = 0, codes = 0;
  std::vector<int16_t> entries;
};
using BuiltTables = std::vector<BuiltTable>;

struct EditStep {
  enum class Kind { kCommit, kBranch, kDeleteBranch, kTag, kMerge, kRevert, kBake, kGc };
  Kind kind = Kind::kCommit;
  std::string ref = {};    // the branch written to, or the new name
  std::string other = {};  // the branch merged, or where the new name points
  std::string message = {};
  std::vector<EntryEdit> edits = {};
};

// One ref's content: which entries differ from the build, and the messages of its log, sorted.
struct RefState {
  std::map<std::pair<uint32_t, size_t>, int16_t> edited;  // table, place in its entries
  std::vector<std::string> log;
};
struct StoreState {
  std::map<std::string, std::shared_ptr<const RefState>> branches, tags;
};

class EditScript {
 public:
  // A random script of `steps` steps for a store of these tables. bakes: with bakes and gcs.
  EditScript(const BuiltTables& tables, int steps, bool bakes, uint64_t seed);
  ~EditScript();

  const std::vector<EditStep>& steps() const { return steps_; }
  // After so many steps; 0: the build.
  const StoreState& state(size_t steps) const { return states_[steps]; }
  const BuiltTables& tables() const { return *tables_; }

 private:
  class Author;
  const BuiltTables* tables_;
  std::vector<EditStep> steps_;
  std::vector<StoreState> states_;
};

// Does one step; NotFound etc. are the store's.
absl::Status RunStep(const EditStep& step, History* history);

// Reads all tables of a store at a ref.
absl::StatusOr<BuiltTables> ReadTables(const std::string& store, const std::string& ref);

// Whether the store holds exactly the state after `low` to `high` steps, any one of them; says what
// is different otherwise. *found: which.
std::string CompareStore(const std::string& store, const EditScript& script, size_t low,
                         size_t high, size_t* found);

}  // namespace lutdb::fault
