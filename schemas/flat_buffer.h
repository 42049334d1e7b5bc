// Opening FlatBuffers that may be damaged or hostile. Internal to schemas/: included by .cc files
// only, so that no other layer sees FlatBuffers.
#pragma once

#include <flatbuffers/flatbuffers.h>

#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/aligned_buffer.h"
#include "base/status.h"

namespace lutdb {

// A verified buffer: every offset of it lies inside. Numbers in it are still unchecked.
//
// FlatBuffers may share parts, so a small hostile buffer can describe data far larger than itself.
// Whoever copies out of one takes each piece from the budget first: honest buffers hold every byte
// they describe, thus never use it up.
template <typename Root>
class FlatBuffer {
 public:
  // Copies the bytes, to align them. DataLoss when they are not a well-formed buffer with this
  // identifier; `what` names them in the message.
  static absl::StatusOr<FlatBuffer> Open(std::string_view bytes, const char* identifier,
                                         const char* what) {
    constexpr size_t kBytesMax = size_t{1} << 30;
    if (bytes.size() > kBytesMax) {
      return DataLoss("the {} is damaged: {} bytes are more than any has", what, bytes.size());
    }
    FlatBuffer buffer(bytes, what);
    flatbuffers::Verifier::Options options;
    options.max_depth = 8;
    options.max_tables = 1 << 24;
    flatbuffers::Verifier verifier(buffer.memory_.get(), bytes.size(), options);
    // The verifier reads the identifier at byte 4 before it checks the length. Buffers end where a
    // 4-byte word does, so none that was cut passes for whole.
    if (bytes.size() < 8 || bytes.size() % 4 != 0 || !verifier.VerifyBuffer<Root>(identifier)) {
      return DataLoss("the {} is damaged ({} bytes)", what, bytes.size());
    }
    return buffer;
  }

  const Root* operator->() const { return flatbuffers::GetRoot<Root>(memory_.get()); }

  // False when more has been taken than the buffer can hold.
  bool Take(size_t count, size_t element_bytes) {
    if (count > budget_ / element_bytes) return false;
    budget_ -= count * element_bytes;
    return true;
  }

  // Copies of a string or a vector of scalars (absent ones are empty). DataLoss beyond the budget.
  absl::Status Copy(const flatbuffers::String* from, std::string* to) {
    if (from == nullptr) return absl::OkStatus();
    if (!Take(from->size(), 1)) return Shared();
    to->assign(from->data(), from->size());
    return absl::OkStatus();
  }
  template <typename T>
  absl::Status Copy(const flatbuffers::Vector<T>* from, std::vector<T>* to) {
    if (from == nullptr) return absl::OkStatus();
    // The verifier looks at where the length lies, not at where wider elements begin. Lists of none
    // lie anywhere.
    if (from->size() > 0 && reinterpret_cast<uintptr_t>(from->Data()) % alignof(T) != 0) {
      return DataLoss("the {} is damaged: a list begins where none can", what_);
    }
    if (!Take(from->size(), sizeof(T))) return Shared();
    to->assign(from->begin(), from->end());
    return absl::OkStatus();
  }
  // For vectors of tables and structs: their length, taken from the budget.
  template <typename T>
  absl::StatusOr<size_t> Count(const flatbuffers::Vector<T>* from) {
    if (from == nullptr) return size_t{0};
    if (!Take(from->size(), sizeof(uint16_t))) return Shared();
    return size_t{from->size()};
  }

 private:
  FlatBuffer(std::string_view bytes, const char* what)
      : memory_(MakeAligned<uint8_t>(bytes.size())), budget_(bytes.size()), what_(what) {
    if (!bytes.empty()) std::memcpy(memory_.get(), bytes.data(), bytes.size());
  }
  absl::Status Shared() const {
    return DataLoss("the {} is damaged: it describes more than it holds", what_);
  }

  AlignedArray<uint8_t> memory_;
  size_t budget_;
  const char* what_;
};

// The finished bytes of a builder.
inline std::string FinishedBytes(const flatbuffers::FlatBufferBuilder& builder) {
  return {reinterpret_cast<const char*>(builder.GetBufferPointer()), builder.GetSize()};
}

}  // namespace lutdb
