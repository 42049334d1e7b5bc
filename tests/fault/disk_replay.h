// What a disk can hold after a power cut, from a recording of what was done to it.
//
// The model is the one POSIX promises and no more: a file's bytes are safe when the file was synced
// after they were written, a name when its directory was synced after the name changed. Everything
// else is lost, or there in part, file by file and directory by directory, independently.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "tests/fault/disk_trace.h"

namespace lutdb::fault {

enum class Cut {
  kNothingUnsynced,  // all that was not synced is gone
  kSomeUnsynced,     // of each file and directory, a random beginning of it is there, the last
                     // write torn
  kEverything,       // nothing is lost: the process was killed, not the machine
};

class ReplayedDisk {
 public:
  // What lay at `from` when the recording began, all of it synced. Paths of changes start with
  // `root`; obeys_syncs: false for the control, a disk that forgets every sync.
  ReplayedDisk(std::string root, const std::string& from, bool obeys_syncs);
  ~ReplayedDisk();

  void Apply(const DiskChange& change);
  // Writes what is there after a cut now as a tree at `to` (the path that stands for root).
  void WriteAfter(Cut cut, std::mt19937_64* random, const std::string& to) const;

 private:
  struct File;
  struct Directory;
  struct Node {
    std::shared_ptr<File> file;
    std::shared_ptr<Directory> directory;
    explicit operator bool() const { return file != nullptr || directory != nullptr; }
  };
  struct NameChange {
    std::string name;
    Node node;  // none: the name goes
  };

  void Load(const std::string& path, Directory* directory);
  // The directory that holds the last part of `path`, and that part.
  std::shared_ptr<Directory> Parent(const std::string& path, std::string* name) const;
  Node Find(const std::string& path) const;
  void ChangeName(const std::string& path, Node node);
  void Rename(const DiskChange& change);
  static void Write(const Directory& directory, Cut cut, std::mt19937_64* random,
                    const std::string& to);

  std::string root_;
  bool obeys_syncs_;
  std::shared_ptr<Directory> top_;  // the directory that holds root and what is named after it
  std::map<uint64_t, std::shared_ptr<File>> files_;
};

}  // namespace lutdb::fault
