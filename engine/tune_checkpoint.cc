#include "engine/tune_checkpoint.h"

#include <utility>

#include "base/status.h"

namespace lutdb {
namespace {

constexpr size_t kIdDigits = 32;  // of a commit
constexpr char kTemporary[] = ".tmp";

// The rest of a file name has a fixed length: the branch can be told.
std::string FileName(const std::string& branch, const std::string& head, uint64_t fingerprint) {
  return fmt::format("{}-{}-{:016x}.ckpt", branch,
                     head.empty() ? std::string(kIdDigits, '0') : head, fingerprint);
}

// Whether `name` is, or was to become, a checkpoint of the branch from another commit.
bool IsStale(std::string_view name, std::string_view current, size_t branch_chars) {
  if (name.ends_with(kTemporary)) name.remove_suffix(sizeof(kTemporary) - 1);
  const size_t commit_end = branch_chars + 1 + kIdDigits;
  return name.size() == current.size() &&
         name.substr(0, branch_chars + 1) == current.substr(0, branch_chars + 1) &&
         name[commit_end] == '-' && name.ends_with(".ckpt") &&
         name.substr(0, commit_end) != current.substr(0, commit_end);
}

}  // namespace

absl::StatusOr<std::string> CheckpointPath(const std::string& store, const std::string& branch,
                                           const std::string& head, uint64_t fingerprint) {
  const std::string folder = JoinPath(store, "tune");
  LUTDB_RETURN_IF_ERROR(MakeDirectory(folder));
  const std::string name = FileName(branch, head, fingerprint);
  LUTDB_ASSIGN_OR_RETURN(const std::vector<std::string> others, ListDirectory(folder));
  for (const std::string& other : others) {
    if (!IsStale(other, name, branch.size())) continue;
    LUTDB_RETURN_IF_ERROR(RemovePath(JoinPath(folder, other)));
  }
  return JoinPath(folder, name);
}

void CheckpointWriter::Append(std::string_view bytes) {
  hash_.Update(bytes.data(), bytes.size());
  if (status_.ok()) status_ = append_(bytes);
}

void CheckpointWriter::Flush() {
  Append(buffer_);
  buffer_.clear();
}

void CheckpointWriter::Bytes(const void* bytes, size_t count) {
  const std::string_view view(static_cast<const char*>(bytes), count);
  if (count < kBufferBytes) {
    buffer_ += view;
    if (buffer_.size() >= kBufferBytes) Flush();
    return;
  }
  Flush();
  Append(view);
}

absl::Status CheckpointWriter::Finish() {
  Flush();
  AppendLittle(hash_.Finish(), &buffer_);
  Flush();
  return status_;
}

absl::Status WriteCheckpoint(const std::string& path, std::string_view magic, uint64_t fingerprint,
                             const std::function<void(CheckpointWriter&)>& write_body) {
  return WriteFileAtomically(path, [&](const AppendBytes& append) {
    CheckpointWriter writer(append);
    writer.Bytes(magic.data(), magic.size());
    writer.Number(fingerprint);
    write_body(writer);
    return writer.Finish();
  });
}

std::optional<Checkpoint> Checkpoint::Open(const std::string& path, std::string_view magic,
                                           uint64_t fingerprint) {
  absl::StatusOr<MappedFile> file = MappedFile::Open(path);
  const size_t begin = magic.size() + sizeof(fingerprint);
  if (!file.ok() || file->size() < begin + sizeof(uint64_t)) return std::nullopt;
  const std::string_view bytes = file->view();
  const size_t end = bytes.size() - sizeof(uint64_t);
  if (!bytes.starts_with(magic) ||
      LoadLittle<uint64_t>(bytes.data() + magic.size()) != fingerprint ||
      LoadLittle<uint64_t>(bytes.data() + end) != Hash64Of(bytes.data(), end)) {
    return std::nullopt;
  }
  return Checkpoint(*std::move(file), begin);
}

std::string_view Checkpoint::body() const {
  return file_.view().substr(begin_, file_.size() - begin_ - sizeof(uint64_t));
}

}  // namespace lutdb
