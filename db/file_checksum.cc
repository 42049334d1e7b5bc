#include "db/file_checksum.h"

#include <xxhash.h>

#include <cerrno>
#include <cstdio>
#include <system_error>
#include <vector>

#include "base/status.h"

namespace lutdb::db {
namespace {

constexpr char kName[] = "lutdb.xxh3-64";
constexpr size_t kReadBytes = 1 << 20;

struct FreeState {
  void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
};

class Xxh3Generator : public rocksdb::FileChecksumGenerator {
 public:
  Xxh3Generator() : state_(XXH3_createState()) { XXH3_64bits_reset(state_.get()); }
  void Update(const char* data, size_t bytes) override {
    XXH3_64bits_update(state_.get(), data, bytes);
  }
  void Finalize() override {
    XXH64_canonical_t canonical;
    XXH64_canonicalFromHash(&canonical, XXH3_64bits_digest(state_.get()));
    checksum_.assign(reinterpret_cast<const char*>(canonical.digest), sizeof(canonical.digest));
  }
  std::string GetChecksum() const override { return checksum_; }
  const char* Name() const override { return kName; }

 private:
  std::unique_ptr<XXH3_state_t, FreeState> state_;
  std::string checksum_;
};

class Xxh3Factory : public rocksdb::FileChecksumGenFactory {
 public:
  std::unique_ptr<rocksdb::FileChecksumGenerator> CreateFileChecksumGenerator(
      const rocksdb::FileChecksumGenContext& context) override {
    const std::string& wanted = context.requested_checksum_func_name;
    if (!wanted.empty() && wanted != kName) return nullptr;
    return std::make_unique<Xxh3Generator>();
  }
  const char* Name() const override { return kName; }
};

}  // namespace

std::shared_ptr<rocksdb::FileChecksumGenFactory> FileChecksumFactory() {
  static const auto factory = std::make_shared<Xxh3Factory>();
  return factory;
}

std::string ChecksumOf(std::string_view bytes) {
  Xxh3Generator generator;
  generator.Update(bytes.data(), bytes.size());
  generator.Finalize();
  return generator.GetChecksum();
}

absl::StatusOr<std::string> ChecksumOfFile(const std::string& path, uint64_t* bytes) {
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"),
                                                       &std::fclose);
  if (!file && errno == ENOENT) return DataLoss("{} is missing", path);
  if (!file) {
    return Unavailable("{} cannot be opened: {}", path, std::generic_category().message(errno));
  }
  Xxh3Generator generator;
  std::vector<char> buffer(kReadBytes);
  *bytes = 0;
  size_t got;
  while ((got = std::fread(buffer.data(), 1, buffer.size(), file.get())) > 0) {
    generator.Update(buffer.data(), got);
    *bytes += got;
  }
  if (std::ferror(file.get())) {
    return Unavailable("{} cannot be read: {}", path, std::generic_category().message(errno));
  }
  generator.Finalize();
  return generator.GetChecksum();
}

}  // namespace lutdb::db
