#include "ingest/journal.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <sstream>

#include "base/file.h"
#include "base/status.h"
#include "coding/hash.h"

namespace lutdb {
namespace {

constexpr char kTitle[] = "lutdb-journal-1";
constexpr uint64_t kJournalBytesMax = uint64_t{1} << 30;

std::string Line(const std::string& body) {
  return fmt::format("{} {:016x}\n", body, Hash64Of(body.data(), body.size()));
}

std::string PlanLine(const PlanHashes& plan) {
  return Line(fmt::format("{} plan {} model {} specs {}", kTitle, plan.plan.Hex(), plan.model.Hex(),
                          plan.specs.Hex()));
}

std::string SealedLine(uint64_t range, const RangeResult& r) {
  return Line(fmt::format("sealed {} {} {} {} {} {} {}", range, r.file_bytes, r.records,
                          r.raw_bytes, r.stored_bytes, r.derived_entries, r.cells.Hex()));
}

std::string IngestedLine(uint64_t range) { return Line(fmt::format("ingested {}", range)); }

bool ReadHash(std::istream& in, Hash128* hash) {
  std::string hex;
  if (!(in >> hex) || hex.size() != 32 ||
      hex.find_first_not_of("0123456789abcdef") != std::string::npos) {
    return false;
  }
  hash->high = std::stoull(hex.substr(0, 16), nullptr, 16);
  hash->low = std::stoull(hex.substr(16), nullptr, 16);
  return true;
}

bool ReadPlan(std::istream& in, JournalState* state) {
  std::string plan, model, specs;
  state->has_plan = in >> plan && plan == "plan" && ReadHash(in, &state->plan.plan) &&
                    in >> model && model == "model" && ReadHash(in, &state->plan.model) &&
                    in >> specs && specs == "specs" && ReadHash(in, &state->plan.specs);
  return state->has_plan;
}

// One whole line without its checksum; false when it makes no sense.
bool ReadBody(const std::string& body, JournalState* state) {
  std::istringstream in(body);
  std::string event;
  in >> event;
  if (event == kTitle) return ReadPlan(in, state);
  if (!state->has_plan) return false;
  uint64_t range = 0;
  if (!(in >> range)) return false;
  if (event == "ingested") {
    state->ingested.insert(range);
    return true;
  }
  RangeResult r;
  if (event != "sealed" ||
      !(in >> r.file_bytes >> r.records >> r.raw_bytes >> r.stored_bytes >> r.derived_entries) ||
      !ReadHash(in, &r.cells)) {
    return false;
  }
  state->sealed[range] = r;
  state->ingested.erase(range);  // made anew after what the database had was dropped
  return true;
}

absl::Status WriteAll(const std::string& path, int descriptor, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == ENOSPC) {
      return ResourceExhausted("{}: the disk is full; free some space and build again to resume",
                               path);
    }
    if (written < 0) return Unavailable("{}: {}", path, std::strerror(errno));
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  // A failed sync is never retried: what reached the disk is unknown until the file is read again.
  if (fdatasync(descriptor) != 0) return Unavailable("{}: {}", path, std::strerror(errno));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<JournalState> ReadJournal(const std::string& path) {
  JournalState state;
  if (!PathExists(path)) return state;
  LUTDB_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kJournalBytesMax));
  constexpr size_t kChecksumDigits = 16;
  size_t begin = 0;
  for (size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    if (end - begin <= kChecksumDigits) break;
    const std::string body = text.substr(begin, end - begin - kChecksumDigits - 1);
    if (Line(body) != text.substr(begin, end + 1 - begin) || !ReadBody(body, &state)) break;
  }
  return state;
}

absl::StatusOr<std::unique_ptr<JournalWriter>> JournalWriter::Create(const std::string& path,
                                                                     const PlanHashes& plan) {
  JournalState state;
  state.has_plan = true;
  state.plan = plan;
  return Resume(path, state);
}

absl::StatusOr<std::unique_ptr<JournalWriter>> JournalWriter::Resume(const std::string& path,
                                                                     const JournalState& state) {
  std::string text = PlanLine(state.plan);
  for (const auto& [range, result] : state.sealed) text += SealedLine(range, result);
  for (const uint64_t range : state.ingested) text += IngestedLine(range);
  LUTDB_RETURN_IF_ERROR(WriteFileAtomically(path, text));
  const int descriptor = open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (descriptor < 0) return Unavailable("{}: {}", path, std::strerror(errno));
  return std::unique_ptr<JournalWriter>(new JournalWriter(path, descriptor));
}

JournalWriter::~JournalWriter() { close(descriptor_); }

absl::Status JournalWriter::Append(const std::string& lines) {
  return WriteAll(path_, descriptor_, lines);
}

absl::Status JournalWriter::Sealed(uint64_t range, const RangeResult& result) {
  return Append(SealedLine(range, result));
}

absl::Status JournalWriter::Ingested(const std::vector<uint64_t>& ranges) {
  std::string lines;
  for (const uint64_t range : ranges) lines += IngestedLine(range);
  return Append(lines);
}

}  // namespace lutdb
