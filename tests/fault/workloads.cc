#include "tests/fault/workloads.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <random>

#include "base/check.h"
#include "base/file.h"
#include "base/status.h"
#include "db/manifest.h"
#include "db/store_files.h"
#include "lutdb/build.h"
#include "lutdb/tune.h"
#include "query/row_source.h"
#include "tests/fault/faulty_calls.h"
#include "tests/fault/in_child.h"
#include "tests/ingest/built_stores.h"

namespace lutdb::fault {
namespace {

namespace fs = std::filesystem;

void Must(const std::string& what, const std::function<std::string()>& work) {
  const Ending ending = InChild(work);
  if (!ending.ok) fmt::print(stderr, "{}: {} (signal {})\n", what, ending.message, ending.signal);
  LUTDB_CHECK(ending.ok);
}

// Entries cross from a child to its parent through a file.
void SaveTables(const BuiltTables& tables, const std::string& path) {
  std::ofstream file(path, std::ios::binary);
  for (const BuiltTable& table : tables) {
    file << table.name << ' ' << table.neurons << ' ' << table.chunks << ' ' << table.codes;
    for (const int16_t entry : table.entries) file << ' ' << entry;
    file << '\n';
  }
}

BuiltTables LoadTables(const std::string& path) {
  BuiltTables tables;
  std::ifstream file(path);
  BuiltTable table;
  while (file >> table.name >> table.neurons >> table.chunks >> table.codes) {
    table.entries.resize(size_t{table.neurons} * table.chunks * table.codes);
    for (int16_t& entry : table.entries) file >> entry;
    tables.push_back(table);
  }
  return tables;
}

bool SameEntries(const BuiltTables& a, const BuiltTables& b) {
  return std::equal(
      a.begin(), a.end(), b.begin(), b.end(),
      [](const BuiltTable& x, const BuiltTable& y) { return x.entries == y.entries; });
}

std::string VerifyClean(const std::string& store) {
  VerifyOptions options;
  options.deep = true;
  options.threads = 1;
  const auto report = VerifyStore(store, options);
  if (!report.ok()) return "verify: " + Message(report.status());
  if (!report->clean) return "verify: " + report->problems.front();
  return "";
}

std::string CheckHistory(const std::string& store) {
  const auto history = History::Open(store, {});
  if (!history.ok()) return "history: " + Message(history.status());
  const auto report = (*history)->Check();
  if (!report.ok()) return "history: " + Message(report.status());
  return report->problems.empty() ? "" : "history: " + report->problems.front();
}

// The store still takes a commit, and gives it back.
std::string TryCommit(const std::string& store, const BuiltTables& tables) {
  auto history = History::Open(store, {.write = true, .wait_seconds = 5});
  if (!history.ok()) return "opening to write: " + Message(history.status());
  const std::vector<EntryEdit> edit = {{0, 0, 0, 0, 1234}};
  const std::vector<EntryEdit> other = {{0, 0, 0, 0, 1235}};
  auto commit = (*history)->Commit("main", edit, {.author = "after", .message = "after"});
  if (!commit.ok()) commit = (*history)->Commit("main", other, {.message = "after"});
  if (!commit.ok()) return "a commit afterwards: " + Message(commit.status());
  const auto read = ReadTables(store, "main");
  if (!read.ok()) return "reading afterwards: " + Message(read.status());
  const int value = read->at(0).entries[0];
  return value == 1234 || value == 1235 ? "" : "the commit afterwards is not seen";
}

// A power cut can tear the end of RocksDB's MANIFEST. The store is then refused by that name, and
// `repair` must give all of it back.
std::string MendTornManifest(const std::string& store) {
  const absl::Status opened = History::Open(store, {}).status();
  const bool torn = opened.code() == absl::StatusCode::kDataLoss &&
                    opened.message().find("MANIFEST") != std::string::npos;
  if (!torn) return "";
  const auto report = RepairStore(store, {});
  if (!report.ok()) return "repairing a torn MANIFEST: " + Message(report.status());
  return report->unrecoverable.empty() ? "" : "lost: " + report->unrecoverable.front();
}

// Flips a bit in the middle of the largest file of table records.
void Damage(const std::string& store) {
  std::string path;
  {
    auto opened = db::OpenStore(store, db::Access::kRead, {});
    LUTDB_CHECK(opened.ok());
    uint64_t largest = 0;
    for (const db::LiveFile& file : opened->rocks->LiveFiles()) {
      if (file.family != db::Family::kTile || file.bytes <= largest) continue;
      largest = file.bytes;
      path = file.path;
    }
  }
  LUTDB_CHECK(!path.empty());
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  const auto place = static_cast<std::streamoff>(fs::file_size(path) / 3);
  file.seekg(place);
  const char byte = static_cast<char>(file.get());
  file.seekp(place);
  file.put(static_cast<char>(byte ^ 0x20));
}

std::string RunSteps(const std::string& store, const EditScript& script, size_t begin) {
  auto history = History::Open(store, {.write = true, .wait_seconds = 5});
  if (!history.ok()) return Message(history.status());
  for (size_t i = begin; i < script.steps().size(); ++i) {
    const absl::Status status = RunStep(script.steps()[i], history->get());
    if (!status.ok()) return fmt::format("step {}: {}", i, Message(status));
    Acknowledge();
  }
  return "";
}

// Pins random rows of every table through an arena too small for all of them, and compares each
// entry; opened twice, so that what the first left behind is used.
std::string PinRows(const std::string& store, const BuiltTables& built, uint64_t seed) {
  std::mt19937_64 random(seed);
  for (const uint64_t arena_bytes : {uint64_t{1} << 20, uint64_t{1} << 20, uint64_t{8192}}) {
    auto reader = StoreReader::Open(store, 1 << 20);
    if (!reader.ok()) return Message(reader.status());
    auto rows = RowSource::Create(**reader, {.arena_bytes = arena_bytes, .threads = 1});
    if (!rows.ok()) return Message(rows.status());
    PinnedRows pinned;
    for (int round = 0; round < 12; ++round) {
      for (uint32_t t = 0; t < built.size(); ++t) {
        std::vector<uint16_t> codes(std::min(built[t].chunks, (*rows)->ChunksPerPin(t)));
        for (uint16_t& code : codes) code = static_cast<uint16_t>(random() % built[t].codes);
        const absl::Status status = (*rows)->Pin(t, 0, codes, &pinned);
        if (!status.ok()) return Message(status);
        for (size_t c = 0; c < codes.size(); ++c) {
          const auto* row = static_cast<const int16_t*>(pinned.rows()[c]);
          const int sign = pinned.signs() == nullptr ? 1 : pinned.signs()[c];
          for (size_t n = 0; n < built[t].neurons; ++n) {
            const int wanted =
                built[t].entries[(n * built[t].chunks + c) * built[t].codes + codes[c]];
            const int got = row == nullptr ? 0 : sign * row[n];
            if (got != wanted) {
              return fmt::format("WRONG: a pinned entry of {} is {} instead of {}", built[t].name,
                                 got, wanted);
            }
          }
        }
        pinned.Release();
      }
    }
    Acknowledge();
  }
  return "";
}

// Trains a few epochs, with a checkpoint after each.
absl::Status Tune(const std::string& store) {
  Dataset data;
  data.source = "made up";
  data.rows = 120;
  data.width = 13;
  data.has_classes = true;
  std::mt19937_64 random(5);
  for (size_t row = 0; row < data.rows; ++row) {
    for (uint32_t i = 0; i < data.width; ++i) {
      data.inputs.push_back(static_cast<float>(random() % 1000) / 1000);
    }
    data.labels.push_back(data.row(row)[0] > 0.5F ? 3 : 7);
  }
  const auto split = SplitRows(data, 0.25, 1);
  LUTDB_CHECK(split.ok());
  TuneOptions options;
  options.batch = 30;
  options.epochs = 4;
  options.threads = 1;
  options.checkpoint_seconds = 0;
  options.wait_seconds = 5;
  const auto report = TuneRowsOf(store, data, *split, options);
  if (report.ok()) LUTDB_CHECK(!report->commit.empty());
  return report.status();
}

}  // namespace

void CopyFolder(const std::string& from, const std::string& to) {
  fs::remove_all(to);
  fs::copy(from, to, fs::copy_options::recursive);
}

Workloads::Workloads(std::string folder, uint64_t seed) : folder_(std::move(folder)), seed_(seed) {
  fs::create_directories(folder_);
  BuildModel();
  AddBuild();
  AddResume();
  AddScript("commit", 14, 0, /*bakes=*/false, seed + 1);
  AddScript("merge", 30, 14, /*bakes=*/false, seed + 2);
  AddScript("bake", 24, 12, /*bakes=*/true, seed + 3);
  AddRepair();
  AddArena();
  AddBackup();
  AddTune();
}
Workloads::~Workloads() = default;

const Workload& Workloads::Get(const std::string& name) const {
  for (const Workload& workload : all_) {
    if (workload.name == name) return workload;
  }
  LUTDB_CHECK(!"a workload of that name");
  return all_.front();
}

std::string Workloads::Built(const std::string& store) const {
  BuildOptions options;
  options.graph_file = graph_;
  options.input_bits = 4;
  options.threads = 1;
  return Message(BuildStore(model_, store, options).status());
}

void Workloads::BuildModel() {
  const FeedForward shape = {.inputs = 13, .width = 70, .layers = 2, .table = ""};
  model_ = JoinPath(folder_, "m.safetensors");
  graph_ = JoinPath(folder_, "m.graph.json");
  std::ofstream(model_, std::ios::binary) << SafetensorsBytes(shape.Tensors());
  std::ofstream(graph_) << shape.Graph();
  built_ = JoinPath(folder_, "built");
  fs::create_directory(built_);
  const std::string store = JoinPath(built_, "s"), saved = JoinPath(folder_, "tables");
  Must("the first build", [&]() -> std::string {
    if (std::string error = Built(store); !error.empty()) return error;
    const auto tables = ReadTables(store, "main");
    if (!tables.ok()) return Message(tables.status());
    SaveTables(*tables, saved);
    VerifyOptions exact;
    exact.exact_fraction = 1;
    const auto report = VerifyStore(store, exact);
    return report.ok() && report->clean ? "" : "verify --exact";
  });
  tables_ = LoadTables(saved);
  LUTDB_CHECK(tables_.size() == 2);
}

// A store equal to the one built in peace.
std::string Workloads::CheckBuilt(const std::string& store) const {
  if (std::string error = Built(store); !error.empty()) return "building again: " + error;
  if (std::string error = VerifyClean(store); !error.empty()) return error;
  const auto tables = ReadTables(store, "main");
  if (!tables.ok()) return Message(tables.status());
  if (!SameEntries(*tables, tables_)) return "entries differ from those built";
  for (const char* left : {".partial", ".partial/journal"}) {
    if (PathExists(store + left)) return store + left + " was left behind";
  }
  return PathExists(JoinPath(store, "journal")) ? "a journal was left behind" : "";
}

void Workloads::AddBuild() {
  Workload build;
  build.name = "build";
  build.start = JoinPath(folder_, "build.start");
  fs::create_directory(build.start);
  build.run = [this](const std::string& store) {
    std::string error = Built(store);
    if (error.empty()) Acknowledge();
    return error;
  };
  build.check = [this](const std::string& store, int64_t acknowledged, bool) -> std::string {
    if (acknowledged > 0 && !IsDirectory(store)) return "the store that was built is gone";
    // Whole or not at all: what bears the final name opens.
    if (IsDirectory(store)) {
      if (std::string error = VerifyClean(store); !error.empty()) return error;
    }
    return CheckBuilt(store);
  };
  all_.push_back(build);
}

// A build that was killed in the middle goes on.
void Workloads::AddResume() {
  Workload resume = Get("build");
  resume.name = "resume";
  resume.start = JoinPath(folder_, "resume.start");
  fs::create_directory(resume.start);
  const std::string store = JoinPath(resume.start, "s");
  const std::string scratch = JoinPath(folder_, "resume.count");
  fs::create_directory(scratch);
  const std::string counted = JoinPath(scratch, "s");
  Watch(counted);
  (void)InChild([&] { return Built(counted); });
  const int64_t calls = TotalCalls();
  Unwatch();
  Watch(store);
  Arm(Effect::kKill, Call::kRead, calls * 2 / 3, false, 0);
  (void)InChild([&] { return Built(store); });
  Unwatch();
  LUTDB_CHECK(PathExists(store + ".partial"));
  all_.push_back(resume);
}

std::string Workloads::CheckEdited(const std::string& store, const EditScript& script, size_t low,
                                   size_t high) const {
  size_t found = 0;
  std::string problem = MendTornManifest(store);
  if (problem.empty()) problem = CompareStore(store, script, low, high, &found);
  if (problem.empty()) problem = VerifyClean(store);
  if (problem.empty()) problem = CheckHistory(store);
  if (problem.empty()) problem = TryCommit(store, tables_);
  return problem;
}

// before: steps of the script that are done before anything is injected.
void Workloads::AddScript(const std::string& name, int steps, int before, bool bakes,
                          uint64_t seed) {
  scripts_.push_back(std::make_unique<EditScript>(tables_, steps, bakes, seed));
  const EditScript* script = scripts_.back().get();
  Workload workload;
  workload.name = name;
  workload.start = JoinPath(folder_, name + ".start");
  CopyFolder(built_, workload.start);
  const std::string store = JoinPath(workload.start, "s");
  Must(name, [&]() -> std::string {
    auto history = History::Open(store, {.write = true});
    if (!history.ok()) return Message(history.status());
    for (int i = 0; i < before; ++i) {
      const absl::Status status = RunStep(script->steps()[static_cast<size_t>(i)], history->get());
      if (!status.ok()) return fmt::format("step {}: {}", i, Message(status));
    }
    return "";
  });
  const auto begin = static_cast<size_t>(before);
  workload.run = [script, begin](const std::string& path) {
    return RunSteps(path, *script, begin);
  };
  workload.check = [this, script, begin](const std::string& path, int64_t acknowledged,
                                         bool complete) {
    const size_t low = begin + static_cast<size_t>(acknowledged);
    return CheckEdited(path, *script, low, complete ? low : low + 1);
  };
  all_.push_back(workload);
  if (!bakes) return;
  edited_script_ = script;
  edited_begin_ = begin;
  edited_ = JoinPath(folder_, "edited");
  CopyFolder(workload.start, edited_);
  edited_ = JoinPath(edited_, "s");
  Must("the edited store", [&] { return RunSteps(edited_, *script, begin); });
}

void Workloads::AddRepair() {
  Workload repair;
  repair.name = "repair";
  repair.start = JoinPath(folder_, "repair.start");
  CopyFolder(DirectoryOf(edited_), repair.start);
  const std::string store = JoinPath(repair.start, "s");
  Must("damage", [&]() -> std::string {
    Damage(store);
    return "";
  });
  repair.run = [](const std::string& path) {
    VerifyOptions options;
    options.threads = 1;
    const auto report = RepairStore(path, options);
    if (!report.ok()) return Message(report.status());
    if (!report->unrecoverable.empty()) return "unrecoverable: " + report->unrecoverable.front();
    Acknowledge();
    return std::string();
  };
  repair.check = [this](const std::string& path, int64_t, bool) -> std::string {
    VerifyOptions options;
    options.threads = 1;
    const auto report = RepairStore(path, options);
    if (!report.ok()) return "repairing again: " + Message(report.status());
    if (!report->unrecoverable.empty()) return "unrecoverable: " + report->unrecoverable.front();
    const size_t all = edited_script_->steps().size();
    return CheckEdited(path, *edited_script_, all, all);
  };
  all_.push_back(repair);
}

void Workloads::AddArena() {
  Workload arena;
  arena.name = "arena";
  arena.start = JoinPath(folder_, "arena.start");
  CopyFolder(built_, arena.start);
  arena.run = [this](const std::string& path) { return PinRows(path, tables_, seed_); };
  arena.check = [this](const std::string& path, int64_t, bool) {
    const std::string problem = PinRows(path, tables_, seed_ + 1);
    const bool wrong = problem.empty() || problem.rfind("WRONG", 0) == 0;
    return wrong ? problem : "cannot be read: " + problem;
  };
  all_.push_back(arena);
}

// Backing up twice, by links and byte by byte.
void Workloads::AddBackup() {
  Workload backup;
  backup.name = "backup";
  backup.start = DirectoryOf(edited_);
  backup.run = [](const std::string& path) -> std::string {
    for (const bool copy : {false, true}) {
      BackupOptions options;
      options.copy = copy;
      options.wait_seconds = 5;
      const auto report = BackupStore(path, path + (copy ? ".copy" : ".links"), options);
      if (!report.ok()) return Message(report.status());
      Acknowledge();
    }
    return "";
  };
  backup.check = [this](const std::string& path, int64_t acknowledged, bool) -> std::string {
    const size_t all = edited_script_->steps().size();
    int64_t copies = 0;
    for (const std::string& copy : {path + ".links", path + ".copy"}) {
      if (!PathExists(copy)) continue;
      ++copies;
      if (std::string error = CheckEdited(copy, *edited_script_, all, all); !error.empty()) {
        return copy + ": " + error;
      }
    }
    if (copies < acknowledged) return "a backup is gone";
    return CheckEdited(path, *edited_script_, all, all);
  };
  all_.push_back(backup);
}

// Training is one commit at its end: all of it or nothing, and the same after any number of deaths.
void Workloads::AddTune() {
  Workload tune;
  tune.name = "tune";
  tune.start = JoinPath(folder_, "tune.start");
  CopyFolder(built_, tune.start);
  const std::string room = JoinPath(folder_, "tuned"), saved = JoinPath(folder_, "tuned.tables");
  CopyFolder(built_, room);
  Must("tune", [&]() -> std::string {
    const std::string store = JoinPath(room, "s");
    if (const absl::Status status = Tune(store); !status.ok()) return Message(status);
    const auto tables = ReadTables(store, "main");
    if (!tables.ok()) return Message(tables.status());
    SaveTables(*tables, saved);
    return "";
  });
  const BuiltTables tuned = LoadTables(saved);
  LUTDB_CHECK(!SameEntries(tuned, tables_));
  tune.run = [](const std::string& path) {
    const absl::Status status = Tune(path);
    if (status.ok()) Acknowledge();
    return Message(status);
  };
  tune.check = [this, tuned](const std::string& path, int64_t acknowledged, bool) -> std::string {
    std::string problem = MendTornManifest(path);
    if (!problem.empty()) return problem;
    auto tables = ReadTables(path, "main");
    if (tables.ok() && acknowledged == 0 && SameEntries(*tables, tables_)) {
      if (const absl::Status status = Tune(path); !status.ok()) {
        return "tuning again: " + Message(status);
      }
      tables = ReadTables(path, "main");
    }
    if (!tables.ok()) return Message(tables.status());
    if (!SameEntries(*tables, tuned)) return "entries differ from those tuned in peace";
    problem = VerifyClean(path);
    if (problem.empty()) problem = CheckHistory(path);
    return problem.empty() ? TryCommit(path, tables_) : problem;
  };
  all_.push_back(tune);
}

}  // namespace lutdb::fault
