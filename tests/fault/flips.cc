#include "tests/fault/flips.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>

#include "base/file.h"
#include "base/status.h"
#include "lutdb/build.h"
#include "tests/fault/faulty_calls.h"
#include "tests/fault/in_child.h"

namespace lutdb::fault {
namespace {

namespace fs = std::filesystem;

std::string KindOf(const std::string& name) {
  if (name.ends_with(".sst")) return "table file";
  if (name.ends_with(".log")) return "log";
  if (name.ends_with(".rows")) return "arena rows";
  for (const char* start : {"MANIFEST", "OPTIONS"}) {
    if (name.rfind(start, 0) == 0) return start;
  }
  return name;
}

struct Flip {
  std::string path;
  uint64_t byte = 0;
  int bit = 0;
};

// Half of the flips choose a file first, so that small files are met; the others a byte.
Flip Choose(const std::vector<std::string>& files, std::mt19937_64* random) {
  Flip flip;
  flip.bit = static_cast<int>((*random)() % 8);
  uint64_t total = 0;
  for (const std::string& file : files) total += fs::file_size(file);
  if ((*random)() % 2 == 0) {
    flip.path = files[(*random)() % files.size()];
    flip.byte = (*random)() % fs::file_size(flip.path);
    return flip;
  }
  flip.byte = (*random)() % total;
  for (const std::string& file : files) {
    flip.path = file;
    if (flip.byte < fs::file_size(file)) break;
    flip.byte -= fs::file_size(file);
  }
  return flip;
}

void Apply(const Flip& flip) {
  std::fstream file(flip.path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekg(static_cast<std::streamoff>(flip.byte));
  const int byte = file.get();
  file.seekp(static_cast<std::streamoff>(flip.byte));
  file.put(static_cast<char>(byte ^ (1 << flip.bit)));
}

// What `verify --deep` finds, a line each.
std::string Verify(const std::string& store) {
  VerifyOptions options;
  options.deep = true;
  options.threads = 1;
  std::string lines;
  const auto report = VerifyStore(store, options);
  if (!report.ok()) return Message(report.status()) + "\n";
  for (const std::string& problem : report->problems) lines += problem + "\n";
  const auto history = History::Open(store, {});
  if (!history.ok()) return lines + Message(history.status()) + "\n";
  const auto checked = (*history)->Check();
  if (!checked.ok()) return lines + Message(checked.status()) + "\n";
  for (const std::string& problem : checked->problems) lines += problem + "\n";
  return lines;
}

std::string Repair(const std::string& store) {
  VerifyOptions options;
  options.threads = 1;
  const auto report = RepairStore(store, options);
  if (!report.ok()) return Message(report.status()) + "\n";
  std::string lines;
  for (const std::string& line : report->unrecoverable) lines += line + "\n";
  return lines;
}

class Flipper {
 public:
  Flipper(const Workloads& workloads, FlipTally* tally)
      : workloads_(workloads), tally_(*tally), room_(JoinPath(workloads.folder(), "flip")) {}

  void Try(const std::string& start, bool edited, uint64_t seed) {
    CopyFolder(start, room_);
    const std::string store = JoinPath(room_, "s");
    std::vector<std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(store)) {
      if (entry.is_regular_file() && entry.file_size() > 0) files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    std::mt19937_64 random(seed);
    const Flip flip = Choose(files, &random);
    Apply(flip);
    const std::string name = BaseName(flip.path);
    what_ = fmt::format("seed {}: bit {} of byte {} of {}", seed, flip.bit, flip.byte,
                        flip.path.substr(store.size() + 1));
    FlipCounts& counts = tally_.kinds[KindOf(name)];
    ++counts.flips;

    const std::string read = Look(store, edited);
    if (!read.empty() && read.rfind("cannot be read", 0) != 0) return Violate(read);
    counts.refused += !read.empty();
    const std::string found = InChildText([&] { return Verify(store); });
    if (found.empty())
      return read.empty() ? void(++counts.harmless) : Violate("not found: " + read);
    ++counts.found;
    const std::string lost = InChildText([&] { return Repair(store); });
    const std::string after = Look(store, edited);
    const std::string rest = InChildText([&] { return Verify(store); });
    if (after.empty() && rest.empty()) return void(++counts.mended);
    // Of a damaged log repair keeps the beginning, and says so.
    const bool shorter = lost.find("has lost the newest") != std::string::npos &&
                         Look(store, edited, /*any_prefix=*/true).empty();
    if (!after.empty() && after.rfind("cannot be read", 0) != 0 && !shorter) {
      return Violate("after repair: " + after);
    }
    const bool named =
        (found + lost).find(name) != std::string::npos || lost.find("weights") != std::string::npos;
    if (!named) return Violate("neither mended nor named: " + found + lost);
    ++counts.unrecoverable;
  }

 private:
  void Violate(const std::string& problem) { tally_.violations.push_back(what_ + ": " + problem); }
  // Dying is a violation whatever for.
  std::string InChildText(const std::function<std::string()>& work) {
    const Ending ending = InChild(work);
    if (ending.hung) Violate("it hangs");
    if (ending.signal != 0) Violate(fmt::format("it dies of signal {}", ending.signal));
    return ending.ok ? "" : ending.message.empty() ? "it died" : ending.message;
  }
  // any_prefix: the state after fewer steps will do.
  std::string Look(const std::string& store, bool edited, bool any_prefix = false) {
    const EditScript& script = workloads_.edited_script();
    const size_t all = script.steps().size();
    return InChildText([&] {
      if (!edited) return workloads_.Get("arena").check(store, 0, true);
      size_t which = 0;
      return CompareStore(store, script, any_prefix ? 0 : all, all, &which);
    });
  }

  const Workloads& workloads_;
  FlipTally& tally_;
  const std::string room_;
  std::string what_;
};

}  // namespace

FlipTally FlipBits(const Workloads& workloads, int64_t count, uint64_t seed) {
  FlipTally tally;
  Unwatch();
  // A store whose arena has rows in it.
  const std::string filled = JoinPath(workloads.folder(), "filled");
  CopyFolder(workloads.Get("arena").start, filled);
  (void)InChild([&] { return workloads.Get("arena").run(JoinPath(filled, "s")); });
  Flipper flipper(workloads, &tally);
  for (int64_t i = 0; i < count; ++i) {
    const bool edited = i % 4 != 3;
    flipper.Try(edited ? DirectoryOf(workloads.edited_store()) : filled, edited,
                seed + static_cast<uint64_t>(i));
  }
  return tally;
}

}  // namespace lutdb::fault
