// What is done to stores while faults happen, and how it is told afterwards that nothing was lost.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/fault/edit_script.h"

namespace lutdb::fault {

// One kind of work. All three functions run in child processes.
struct Workload {
  std::string name;
  // The store (and a half-built one beside it) that each run starts from; a folder that holds them
  // under the name "s".
  std::string start;
  // Does the work on the store at a path, calling Acknowledge after each step that succeeded;
  // returns the first error's line.
  std::function<std::string(const std::string& store)> run;
  // Looks at what is left, with `acknowledged` steps done, perhaps one more. complete: the work
  // returned no error. Says what is wrong.
  std::function<std::string(const std::string& store, int64_t acknowledged, bool complete)> check;
};

// Makes every workload's start below `folder`. Aborts when that fails: nothing is injected yet.
class Workloads {
 public:
  Workloads(std::string folder, uint64_t seed);
  ~Workloads();

  const std::vector<Workload>& all() const { return all_; }
  const Workload& Get(const std::string& name) const;
  const std::string& folder() const { return folder_; }
  // A store with a history, baked once and edited since, closed; and what it holds.
  const std::string& edited_store() const { return edited_; }
  const EditScript& edited_script() const { return *edited_script_; }
  // Steps of that script that the workload "bake" starts after.
  size_t edited_begin() const { return edited_begin_; }
  const std::string& model() const { return model_; }
  const std::string& graph() const { return graph_; }
  // Everything a store can be asked for after a fault: the state after `low` to `high` steps, all
  // files and records clean, the history whole, and one more commit possible.
  std::string CheckEdited(const std::string& store, const EditScript& script, size_t low,
                          size_t high) const;

 private:
  void BuildModel();
  void AddBuild();
  void AddResume();
  void AddScript(const std::string& name, int steps, int before, bool bakes, uint64_t seed);
  void AddRepair();
  void AddArena();
  void AddBackup();
  void AddTune();
  std::string Built(const std::string& store) const;
  std::string CheckBuilt(const std::string& store) const;

  std::string folder_, model_, graph_, built_, edited_;
  uint64_t seed_;
  BuiltTables tables_;
  std::vector<std::unique_ptr<EditScript>> scripts_;
  const EditScript* edited_script_ = nullptr;
  size_t edited_begin_ = 0;
  std::vector<Workload> all_;
};

// Copies a folder's contents to another that is emptied first.
void CopyFolder(const std::string& from, const std::string& to);

}  // namespace lutdb::fault
