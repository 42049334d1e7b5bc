#include "tests/fault/edit_script.h"

#include <algorithm>
#include <random>
#include <set>

#include "base/check.h"
#include "base/status.h"
#include "lutdb/store.h"

namespace lutdb::fault {

// Makes up the steps and follows what they do.
class EditScript::Author {
 public:
  Author(EditScript* script, uint64_t seed) : script_(*script), random_(seed) {
    commits_.push_back({});  // number 0: the build
    branches_["main"] = 0;
    script_.states_.push_back(State());
  }

  void Write(int steps, bool bakes) {
    while (static_cast<int>(script_.steps_.size()) < steps) {
      const uint64_t dice = random_() % 100;
      if (dice < 45) {
        Commit();
      } else if (dice < 57) {
        Branch();
      } else if (dice < 64) {
        Tag();
      } else if (dice < 76) {
        Merge();
      } else if (dice < 86) {
        Revert();
      } else if (bakes) {
        dice < 94 ? Bake() : Gc();
      }
    }
  }

 private:
  struct Node {
    std::map<std::pair<uint32_t, size_t>, int16_t> edited;
    std::vector<size_t> parents;
    std::string message;
  };

  StoreState State() const {
    StoreState state;
    for (const auto& [name, head] : branches_) state.branches[name] = Describe(head);
    for (const auto& [name, head] : tags_) state.tags[name] = Describe(head);
    return state;
  }
  std::shared_ptr<const RefState> Describe(size_t head) const {
    auto state = std::make_shared<RefState>();
    state->edited = commits_[head].edited;
    std::set<size_t> seen;
    std::vector<size_t> waiting = {head};
    while (!waiting.empty()) {
      const size_t at = waiting.back();
      waiting.pop_back();
      if (at == 0 || !seen.insert(at).second) continue;
      state->log.push_back(commits_[at].message);
      for (const size_t parent : commits_[at].parents) waiting.push_back(parent);
    }
    std::sort(state->log.begin(), state->log.end());
    return state;
  }

  void Done(EditStep step) {
    script_.steps_.push_back(std::move(step));
    script_.states_.push_back(State());
  }
  std::string NewMessage(const char* what) {
    return fmt::format("{} {}", what, script_.steps_.size());
  }
  int16_t ValueAt(size_t commit, uint32_t table, size_t place) const {
    const auto found = commits_[commit].edited.find({table, place});
    return found != commits_[commit].edited.end() ? found->second
                                                  : script_.tables()[table].entries[place];
  }
  // Entries that are as built again are no edits.
  void SetValue(Node* node, uint32_t table, size_t place, int16_t value) const {
    if (value == script_.tables()[table].entries[place]) {
      node->edited.erase({table, place});
    } else {
      node->edited[{table, place}] = value;
    }
  }
  std::string AnyBranch() {
    auto at = branches_.begin();
    std::advance(at, static_cast<long>(random_() % branches_.size()));
    return at->first;
  }

  void Commit() {
    EditStep step = {.kind = EditStep::Kind::kCommit, .ref = AnyBranch()};
    step.message = NewMessage("commit");
    const size_t head = branches_[step.ref];
    Node node = commits_[head];
    std::set<std::pair<uint32_t, size_t>> chosen;
    const size_t count = 1 + random_() % (random_() % 8 == 0 ? 300 : 12);
    for (size_t i = 0; i < count; ++i) {
      const auto table = static_cast<uint32_t>(random_() % script_.tables().size());
      const BuiltTable& shape = script_.tables()[table];
      const size_t place = random_() % shape.entries.size();
      if (!chosen.insert({table, place}).second) continue;
      const auto value = static_cast<int16_t>(static_cast<int>(random_() % 60001) - 30000);
      if (value == ValueAt(head, table, place)) continue;
      SetValue(&node, table, place, value);
      const size_t row = place / shape.codes;
      step.edits.push_back({table, static_cast<uint32_t>(row / shape.chunks),
                            static_cast<uint32_t>(row % shape.chunks),
                            static_cast<uint32_t>(place % shape.codes), value});
    }
    if (step.edits.empty()) return;
    Append(step.ref, std::move(node), {head}, step.message);
    Done(std::move(step));
  }

  void Append(const std::string& branch, Node node, std::vector<size_t> parents,
              const std::string& message) {
    std::erase(parents, size_t{0});
    node.parents = std::move(parents);
    node.message = message;
    commits_.push_back(std::move(node));
    branches_[branch] = commits_.size() - 1;
  }

  // At most one branch beside main, so that every merge has one plain base.
  void Branch() {
    if (branches_.size() > 1) return;
    EditStep step = {.kind = EditStep::Kind::kBranch,
                     .ref = fmt::format("side{}", script_.steps_.size()),
                     .other = "main"};
    branches_[step.ref] = side_base_ = branches_["main"];
    Done(std::move(step));
  }

  void Tag() {
    EditStep step = {.kind = EditStep::Kind::kTag,
                     .ref = fmt::format("tag{}", script_.steps_.size()),
                     .other = AnyBranch()};
    tags_[step.ref] = branches_[step.other];
    Done(std::move(step));
  }

  void Merge() {
    if (branches_.size() < 2) return;
    const std::string side = branches_.rbegin()->first;
    const size_t theirs = branches_[side], ours = branches_["main"];
    if (theirs == side_base_) return;
    EditStep step = {.kind = EditStep::Kind::kMerge, .ref = "main", .other = side};
    step.message = NewMessage("merge");
    if (ours == side_base_) {
      branches_["main"] = theirs;
    } else {
      Node node = commits_[ours];
      std::set<std::pair<uint32_t, size_t>> touched;
      for (const size_t commit : {theirs, side_base_}) {
        for (const auto& [place, value] : commits_[commit].edited) touched.insert(place);
      }
      for (const auto& [table, place] : touched) {
        const int16_t value = ValueAt(theirs, table, place);
        if (value != ValueAt(side_base_, table, place)) SetValue(&node, table, place, value);
      }
      Append("main", std::move(node), {ours, theirs}, step.message);
    }
    Done(std::move(step));
    branches_.erase(side);
    Done({.kind = EditStep::Kind::kDeleteBranch, .ref = side});
  }

  void Revert() {
    const std::string branch = AnyBranch();
    const size_t head = branches_[branch];
    if (head == 0 || commits_[head].parents.size() > 1) return;
    const size_t parent = commits_[head].parents.empty() ? 0 : commits_[head].parents[0];
    if (branch != "main" && head == side_base_) return;
    EditStep step = {.kind = EditStep::Kind::kRevert, .ref = branch};
    step.message = NewMessage("revert");
    Node node = commits_[parent];
    Append(branch, std::move(node), {head}, step.message);
    Done(std::move(step));
  }

  void Bake() {
    if (branches_["main"] == baked_) return;
    baked_ = branches_["main"];
    Done({.kind = EditStep::Kind::kBake, .ref = "main"});
  }
  void Gc() { Done({.kind = EditStep::Kind::kGc}); }

  EditScript& script_;
  std::mt19937_64 random_;
  std::vector<Node> commits_;
  std::map<std::string, size_t> branches_, tags_;
  size_t side_base_ = 0;
  size_t baked_ = 0;
};

EditScript::EditScript(const BuiltTables& tables, int steps, bool bakes, uint64_t seed)
    : tables_(&tables) {
  Author(this, seed).Write(steps, bakes);
}
EditScript::~EditScript() = default;

absl::Status RunStep(const EditStep& step, History* history) {
  CommitOptions options = {.author = "fault", .message = step.message, .time = 1700000000};
  std::vector<EntryChange> conflicts;
  switch (step.kind) {
    case EditStep::Kind::kCommit:
      return history->Commit(step.ref, step.edits, options).status();
    case EditStep::Kind::kBranch:
      return history->CreateBranch(step.ref, step.other);
    case EditStep::Kind::kDeleteBranch:
      return history->DeleteBranch(step.ref);
    case EditStep::Kind::kTag:
      return history->CreateTag(step.ref, step.other);
    case EditStep::Kind::kMerge:
      return history->Merge(step.ref, step.other, MergeChoice::kTheirs, options, &conflicts)
          .status();
    case EditStep::Kind::kRevert: {
      LUTDB_ASSIGN_OR_RETURN(const std::string head, history->Resolve(step.ref));
      return history->Revert(step.ref, head, options).status();
    }
    case EditStep::Kind::kBake:
      return history->Bake(step.ref, nullptr, nullptr);
    case EditStep::Kind::kGc:
      return history->Gc(/*dry_run=*/false).status();
  }
  return absl::OkStatus();
}

absl::StatusOr<BuiltTables> ReadTables(const std::string& store, const std::string& ref) {
  OpenStoreOptions options;
  options.at = ref;
  options.threads = 1;
  LUTDB_ASSIGN_OR_RETURN(const auto opened, Store::Open(store, options));
  BuiltTables tables;
  for (const TableInfo& info : opened->info().tables) {
    LUTDB_ASSIGN_OR_RETURN(Lookup lookup, opened->Get(info.name));
    tables.push_back({info.name, info.neurons, info.chunks, info.codes, std::move(lookup.entries)});
  }
  return tables;
}

namespace {

// What a store holds, by ref.
struct HeldRef {
  BuiltTables tables;
  std::vector<std::string> log;
};

absl::StatusOr<HeldRef> ReadRef(const History& history, const std::string& store,
                                const std::string& ref) {
  HeldRef held;
  LUTDB_ASSIGN_OR_RETURN(held.tables, ReadTables(store, ref));
  LUTDB_ASSIGN_OR_RETURN(const auto commits, history.Log(ref));
  for (const CommitInfo& commit : commits) held.log.push_back(commit.message);
  std::sort(held.log.begin(), held.log.end());
  return held;
}

std::string CompareRef(const HeldRef& held, const RefState& wanted, const BuiltTables& built) {
  if (held.log != wanted.log) {
    return fmt::format("its log has {} commits instead of {}", held.log.size(), wanted.log.size());
  }
  for (uint32_t t = 0; t < built.size(); ++t) {
    const std::vector<int16_t>& got = held.tables[t].entries;
    if (got.size() != built[t].entries.size()) return "it has other tables";
    for (size_t i = 0; i < got.size(); ++i) {
      const auto edited = wanted.edited.find({t, i});
      const int16_t value = edited != wanted.edited.end() ? edited->second : built[t].entries[i];
      if (got[i] != value) {
        return fmt::format("entry {} of {} is {} instead of {}", i, built[t].name, got[i], value);
      }
    }
  }
  return "";
}

using HeldRefs = std::map<std::string, HeldRef>;

std::string CompareRefs(const HeldRefs& held,
                        const std::map<std::string, std::shared_ptr<const RefState>>& wanted,
                        const BuiltTables& built) {
  for (const auto& [name, state] : wanted) {
    if (!held.contains(name)) return name + " is missing";
    const std::string problem = CompareRef(held.at(name), *state, built);
    if (!problem.empty()) return name + ": " + problem;
  }
  for (const auto& [name, state] : held) {
    if (!wanted.contains(name)) return name + " should not be there";
  }
  return "";
}

absl::Status ReadAll(const std::string& store, HeldRefs* branches, HeldRefs* tags) {
  LUTDB_ASSIGN_OR_RETURN(const auto history, History::Open(store, {}));
  LUTDB_ASSIGN_OR_RETURN(const auto branch_refs, history->Branches());
  LUTDB_ASSIGN_OR_RETURN(const auto tag_refs, history->Tags());
  for (const History::Ref& ref : branch_refs) {
    LUTDB_ASSIGN_OR_RETURN((*branches)[ref.name], ReadRef(*history, store, ref.name));
  }
  for (const History::Ref& ref : tag_refs) {
    LUTDB_ASSIGN_OR_RETURN((*tags)[ref.name], ReadRef(*history, store, ref.name));
  }
  return absl::OkStatus();
}

}  // namespace

std::string CompareStore(const std::string& store, const EditScript& script, size_t low,
                         size_t high, size_t* found) {
  HeldRefs branches, tags;
  if (const absl::Status read = ReadAll(store, &branches, &tags); !read.ok()) {
    return "cannot be read: " + Message(read);
  }
  std::string first_problem;
  for (size_t k = low; k <= std::min(high, script.steps().size()); ++k) {
    const StoreState& wanted = script.state(k);
    std::string problem = CompareRefs(branches, wanted.branches, script.tables());
    if (problem.empty()) problem = CompareRefs(tags, wanted.tags, script.tables());
    if (problem.empty()) {
      *found = k;
      return "";
    }
    if (first_problem.empty()) first_problem = fmt::format("after {} steps: {}", k, problem);
  }
  return first_problem;
}

}  // namespace lutdb::fault
