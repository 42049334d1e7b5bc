#include "tests/fault/disk_replay.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/check.h"
#include "base/file.h"

namespace lutdb::fault {
namespace {

namespace fs = std::filesystem;

struct FileChange {
  bool truncates = false;
  uint64_t offset = 0;
  std::string bytes;
};

void ApplyTo(const FileChange& change, size_t bytes_max, std::string* content) {
  if (change.truncates) {
    content->resize(change.offset, '\0');
    return;
  }
  const size_t count = std::min(bytes_max, change.bytes.size());
  if (content->size() < change.offset + count) content->resize(change.offset + count, '\0');
  content->replace(change.offset, count, change.bytes, 0, count);
}

std::string ReadAll(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

struct ReplayedDisk::File {
  std::string synced;
  std::vector<FileChange> since;
};

struct ReplayedDisk::Directory {
  std::map<std::string, Node> now, synced;
  // Changes since it was synced, in order; those of one call come or go together.
  std::vector<std::vector<NameChange>> since;

  void Change(std::vector<NameChange> changes) {
    for (const NameChange& change : changes) Set(change, &now);
    since.push_back(std::move(changes));
  }
  static void Set(const NameChange& change, std::map<std::string, Node>* names) {
    if (change.node) {
      (*names)[change.name] = change.node;
    } else {
      names->erase(change.name);
    }
  }
  void Sync() {
    synced = now;
    since.clear();
  }
};

ReplayedDisk::ReplayedDisk(std::string root, const std::string& from, bool obeys_syncs)
    : root_(std::move(root)), obeys_syncs_(obeys_syncs), top_(std::make_shared<Directory>()) {
  for (const auto& entry : fs::directory_iterator(DirectoryOf(from))) {
    const std::string found = entry.path().filename();
    auto directory = std::make_shared<Directory>();
    Load(entry.path(), directory.get());
    top_->now[BaseName(root_) + found.substr(BaseName(from).size())] = {.file = nullptr,
                                                                        .directory = directory};
  }
  top_->Sync();
}

ReplayedDisk::~ReplayedDisk() = default;

void ReplayedDisk::Load(const std::string& path, Directory* directory) {
  for (const auto& entry : fs::directory_iterator(path)) {
    const std::string name = entry.path().filename();
    Node node;
    if (entry.is_directory()) {
      node.directory = std::make_shared<Directory>();
      Load(entry.path(), node.directory.get());
    } else {
      node.file = std::make_shared<File>();
      node.file->synced = ReadAll(entry.path());
    }
    directory->now[name] = node;
  }
  directory->Sync();
}

std::shared_ptr<ReplayedDisk::Directory> ReplayedDisk::Parent(const std::string& path,
                                                              std::string* name) const {
  const std::string above = DirectoryOf(root_);
  LUTDB_CHECK(path.rfind(above, 0) == 0);
  std::shared_ptr<Directory> at = top_;
  std::string part;
  std::vector<std::string> parts;
  for (const char c : path.substr(above.size()) + "/") {
    if (c != '/') {
      part += c;
    } else if (!part.empty()) {
      parts.push_back(std::move(part));
      part.clear();
    }
  }
  LUTDB_CHECK(!parts.empty());
  for (size_t i = 0; i + 1 < parts.size(); ++i) {
    const auto found = at->now.find(parts[i]);
    if (found == at->now.end() || found->second.directory == nullptr) return nullptr;
    at = found->second.directory;
  }
  *name = parts.back();
  return at;
}

ReplayedDisk::Node ReplayedDisk::Find(const std::string& path) const {
  std::string name;
  const auto parent = Parent(path, &name);
  if (parent == nullptr) return {};
  const auto found = parent->now.find(name);
  return found == parent->now.end() ? Node() : found->second;
}

void ReplayedDisk::ChangeName(const std::string& path, Node node) {
  std::string name;
  const auto parent = Parent(path, &name);
  LUTDB_CHECK(parent != nullptr);
  parent->Change({{name, std::move(node)}});
}

void ReplayedDisk::Rename(const DiskChange& change) {
  std::string from_name, to_name;
  const auto from = Parent(change.path, &from_name);
  const auto to = Parent(change.to, &to_name);
  LUTDB_CHECK(from != nullptr && to != nullptr);
  const Node node = from->now.at(from_name);
  if (from == to) {
    from->Change({{to_name, node}, {from_name, {}}});
  } else {
    to->Change({{to_name, node}});
    from->Change({{from_name, {}}});
  }
}

void ReplayedDisk::Apply(const DiskChange& change) {
  switch (change.change) {
    case Change::kBind:
      files_[change.file] = Find(change.path).file;
      LUTDB_CHECK(files_[change.file] != nullptr);
      break;
    case Change::kCreate:
      files_[change.file] = std::make_shared<File>();
      ChangeName(change.path, {.file = files_[change.file], .directory = nullptr});
      break;
    case Change::kWrite:
      files_.at(change.file)->since.push_back({false, change.offset, change.bytes});
      break;
    case Change::kTruncate:
      files_.at(change.file)->since.push_back({true, change.offset, ""});
      break;
    case Change::kSync: {
      if (!obeys_syncs_) break;
      File& file = *files_.at(change.file);
      for (const FileChange& made : file.since) ApplyTo(made, SIZE_MAX, &file.synced);
      file.since.clear();
      break;
    }
    case Change::kSyncDirectory:
      if (!obeys_syncs_) break;
      if (change.path == DirectoryOf(root_)) {
        top_->Sync();
      } else if (const Node node = Find(change.path); node.directory != nullptr) {
        node.directory->Sync();
      }
      break;
    case Change::kRename:
      Rename(change);
      break;
    case Change::kLink:
      ChangeName(change.to, Find(change.path));
      break;
    case Change::kUnlink:
    case Change::kRemoveDirectory:
      ChangeName(change.path, {});
      break;
    case Change::kMakeDirectory:
      ChangeName(change.path, {.file = nullptr, .directory = std::make_shared<Directory>()});
      break;
    case Change::kAcknowledge:
      break;
  }
}

void ReplayedDisk::Write(const Directory& directory, Cut cut, std::mt19937_64* random,
                         const std::string& to) {
  fs::create_directories(to);
  std::map<std::string, Node> names = cut == Cut::kEverything ? directory.now : directory.synced;
  if (cut == Cut::kSomeUnsynced) {
    const size_t kept = (*random)() % (directory.since.size() + 1);
    for (size_t i = 0; i < kept; ++i) {
      for (const NameChange& change : directory.since[i]) Directory::Set(change, &names);
    }
  }
  for (const auto& [name, node] : names) {
    const std::string path = JoinPath(to, name);
    if (node.directory != nullptr) {
      Write(*node.directory, cut, random, path);
      continue;
    }
    std::string content = node.file->synced;
    const std::vector<FileChange>& since = node.file->since;
    const size_t kept = cut == Cut::kEverything        ? since.size()
                        : cut == Cut::kNothingUnsynced ? 0
                                                       : (*random)() % (since.size() + 1);
    for (size_t i = 0; i < kept; ++i) {
      const bool torn = cut == Cut::kSomeUnsynced && i + 1 == kept && (*random)() % 2 == 0;
      const size_t size = since[i].bytes.size();
      const size_t whole = torn && size > 0 ? (*random)() % size : size;
      ApplyTo(since[i], whole, &content);
      // The size can reach the disk before the bytes do, which then are zeros.
      const bool sized = torn && (*random)() % 2 == 0 && !since[i].truncates;
      if (sized && content.size() < since[i].offset + size) {
        content.resize(since[i].offset + size, '\0');
      }
    }
    std::ofstream(path, std::ios::binary) << content;
  }
}

void ReplayedDisk::WriteAfter(Cut cut, std::mt19937_64* random, const std::string& to) const {
  // Only what bears the root's name: a half-built store beside it is written beside `to`.
  Directory all = *top_;
  const std::string name = BaseName(root_);
  const std::string stage = to + ".replay";
  fs::remove_all(stage);
  Write(all, cut, random, stage);
  for (const auto& entry : fs::directory_iterator(stage)) {
    const std::string found = entry.path().filename();
    fs::rename(entry.path(), to + found.substr(name.size()));
  }
  fs::remove_all(stage);
}

}  // namespace lutdb::fault
