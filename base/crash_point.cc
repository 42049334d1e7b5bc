#include "base/crash_point.h"

#include <csignal>
#include <cstdlib>
#include <string>

#include "base/check.h"

namespace lutdb {
namespace {

constexpr const char* kNames[] = {
    "build.sealed",     // a range's file is synced, the journal does not say so yet
    "build.journaled",  // it does, nothing is ingested
    "build.ingested",   // files are in the database, the journal does not say so yet
    "build.contents",   // everything is written, nothing is renamed
    "build.renamed",    // the store has its name, the journal lies in it
    "write.logged",     // a write is durable, nobody was told
    "write.noted",      // and counted as acknowledged
    "bake.copied",      // the next generation has its directory
    "bake.named",       // and its final name, nobody reads it
    "bake.announced",   // it is the one in use, this process has the old one
    "gc.removed",       // old generations are gone, old commits are not
    "repair.dropped",   // damaged files are out of the database, new ones are not in
    "repair.ingested",  // they are
    "backup.staged",    // a backup's files are held in the store, none is copied
    "backup.copied",    // a backup is whole, without its final name
};

#ifdef LUTDB_CRASH_POINTS
struct Wanted {
  std::string name;
  long count = 1;
};

Wanted FromEnvironment() {
  Wanted wanted;
  if (const char* text = std::getenv("LUTDB_CRASH_AT")) wanted.name = text;
  if (const size_t colon = wanted.name.find(':'); colon != std::string::npos) {
    wanted.count = std::atol(wanted.name.c_str() + colon + 1);
    wanted.name.resize(colon);
  }
  return wanted;
}
#endif

}  // namespace

std::span<const char* const> CrashPoints() { return kNames; }

void CrashPoint(const char* name) {
#ifdef LUTDB_CRASH_POINTS
  // Read each time: tests set it in children, and no caller is in a hurry.
  static long left = 0;
  static std::string armed;
  const Wanted wanted = FromEnvironment();
  if (wanted.name.empty() || wanted.name != name) return;
  if (armed != wanted.name) {
    armed = wanted.name;
    left = wanted.count;
  }
  if (--left <= 0) ::raise(SIGKILL);
#else
  (void)name;
#endif
}

}  // namespace lutdb
