#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <system_error>

#include "base/file.h"
#include "base/status.h"
#include "engine/dataset.h"
#include "engine/log_spectra.h"
#include "engine/tar_file.h"
#include "engine/wav_file.h"

namespace lutdb {
namespace {

constexpr size_t kRecordingsMax = size_t{1} << 22;
constexpr uint64_t kRecordingBytesMax = uint64_t{256} << 20;

bool IsWavName(const std::string& name) {
  constexpr std::string_view kEnd = ".wav";
  return name.size() > kEnd.size() && name[0] != '.' &&
         std::string_view(name).substr(name.size() - kEnd.size()) == kEnd;
}

absl::StatusOr<std::vector<std::string>> WavNames(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  std::filesystem::directory_iterator at(folder, error);
  for (; !error && at != std::filesystem::directory_iterator(); at.increment(error)) {
    std::string name = at->path().filename().string();
    if (!IsWavName(name)) continue;
    if (names.size() == kRecordingsMax) {
      return ResourceExhausted("{} holds more than {} recordings", folder, kRecordingsMax);
    }
    names.push_back(std::move(name));
  }
  if (error) return Unavailable("{}: cannot be listed: {}", folder, error.message());
  std::sort(names.begin(), names.end());
  return names;
}

class WavLoader {
 public:
  WavLoader(const DataOptions& options, const DataShape& shape) : options_(options), shape_(shape) {
    data_.source = options.wav;
    data_.has_classes = true;
  }

  // `name` is the file's own, `path` for messages.
  absl::Status Add(const std::string& name, const std::string& path, std::string_view bytes) {
    const size_t first = name.find('_');
    if (first == 0 || first == std::string::npos) {
      return DataLoss("{}: its name does not begin with a class and '_'", path);
    }
    LUTDB_ASSIGN_OR_RETURN(const WavSound sound, ParseWav(bytes, path));
    if (!spectra_.has_value()) LUTDB_RETURN_IF_ERROR(Start(sound.rate));
    if (sound.rate != spectra_->rate()) {
      return DataLoss("{} has {} samples per second, others {}; bring them to one rate", path,
                      sound.rate, spectra_->rate());
    }
    LUTDB_RETURN_IF_ERROR(
        CheckDataBytes(options_.wav, data_.rows + 1, data_.width, options_.bytes_max));
    data_.inputs.resize(data_.inputs.size() + data_.width);
    spectra_->Row(sound.samples, absl::MakeSpan(data_.inputs).last(data_.width));
    LUTDB_ASSIGN_OR_RETURN(const uint32_t number,
                           classes_.Number(std::string_view(name).substr(0, first), path));
    data_.labels.push_back(number);
    const auto next = static_cast<uint32_t>(strata_.size());
    data_.strata.push_back(strata_.emplace(name.substr(0, name.rfind('_')), next).first->second);
    ++data_.rows;
    return absl::OkStatus();
  }

  absl::StatusOr<Dataset> Finish() {
    if (data_.rows == 0) return DataLoss("{} holds no .wav recordings", options_.wav);
    LUTDB_RETURN_IF_ERROR(classes_.Finish(options_, shape_, &data_));
    return std::move(data_);
  }

 private:
  absl::Status Start(uint32_t rate) {
    LUTDB_ASSIGN_OR_RETURN(LogSpectra spectra, LogSpectra::Create(options_.front_end, rate));
    spectra_.emplace(std::move(spectra));
    data_.width = spectra_->width();
    if (shape_.inputs == 0 || shape_.inputs == data_.width) return absl::OkStatus();
    return InvalidArgument(
        "{} frames of {} bands give {} inputs, but the network takes {}; "
        "choose --frames and --bands",
        options_.front_end.frames, options_.front_end.bands, data_.width, shape_.inputs);
  }

  const DataOptions& options_;
  const DataShape& shape_;
  std::optional<LogSpectra> spectra_;
  ClassNumbering classes_;
  std::map<std::string, uint32_t> strata_;
  Dataset data_;
};

absl::StatusOr<Dataset> LoadFolder(const DataOptions& options, const DataShape& shape) {
  LUTDB_ASSIGN_OR_RETURN(const std::vector<std::string> names, WavNames(options.wav));
  WavLoader loader(options, shape);
  for (const std::string& name : names) {
    const std::string path = JoinPath(options.wav, name);
    LUTDB_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path, kRecordingBytesMax));
    LUTDB_RETURN_IF_ERROR(loader.Add(name, path, bytes));
  }
  return loader.Finish();
}

// In the order of the names, as from a folder, so that both give the same rows.
absl::StatusOr<Dataset> LoadArchive(const DataOptions& options, const DataShape& shape) {
  LUTDB_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(options.wav));
  LUTDB_ASSIGN_OR_RETURN(std::vector<TarMember> members, ListTar(file.view(), options.wav));
  const auto by_name = [](const TarMember& a, const TarMember& b) {
    return BaseName(a.name) < BaseName(b.name);
  };
  std::stable_sort(members.begin(), members.end(), by_name);
  WavLoader loader(options, shape);
  for (const TarMember& member : members) {
    const std::string name = BaseName(member.name);
    if (!IsWavName(name)) continue;
    LUTDB_RETURN_IF_ERROR(
        loader.Add(name, fmt::format("{}, {}", options.wav, member.name), member.bytes));
  }
  return loader.Finish();
}

}  // namespace

absl::StatusOr<Dataset> LoadWav(const DataOptions& options, const DataShape& shape) {
  if (shape.outputs == 1) {
    return InvalidArgument("{}: recordings have classes, but the network answers one real value",
                           options.wav);
  }
  if (IsDirectory(options.wav)) return LoadFolder(options, shape);
  return LoadArchive(options, shape);
}

}  // namespace lutdb
