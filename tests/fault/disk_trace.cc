#include "tests/fault/disk_trace.h"

#include "base/bytes.h"

namespace lutdb::fault {
namespace {

void AppendText(const std::string& text, std::string* out) {
  AppendLittle<uint64_t>(text.size(), out);
  out->append(text);
}

class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}
  template <typename T>
  bool Number(T* value) {
    if (bytes_.size() < sizeof(T)) return false;
    *value = LoadLittle<T>(bytes_.data());
    bytes_.remove_prefix(sizeof(T));
    return true;
  }
  bool Text(std::string* text) {
    uint64_t size = 0;
    if (!Number(&size) || bytes_.size() < size) return false;
    *text = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return true;
  }

 private:
  std::string_view bytes_;
};

}  // namespace

void EncodeChange(const DiskChange& change, std::string* out) {
  AppendLittle(static_cast<uint8_t>(change.change), out);
  AppendLittle(change.file, out);
  AppendLittle(change.offset, out);
  AppendText(change.path, out);
  AppendText(change.to, out);
  AppendText(change.bytes, out);
}

std::vector<DiskChange> DecodeChanges(std::string_view bytes) {
  Reader reader(bytes);
  std::vector<DiskChange> changes;
  for (;;) {
    DiskChange change;
    uint8_t kind = 0;
    if (!reader.Number(&kind) || !reader.Number(&change.file) || !reader.Number(&change.offset) ||
        !reader.Text(&change.path) || !reader.Text(&change.to) || !reader.Text(&change.bytes)) {
      return changes;
    }
    change.change = static_cast<Change>(kind);
    changes.push_back(std::move(change));
  }
}

}  // namespace lutdb::fault
