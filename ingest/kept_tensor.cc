#include "ingest/kept_tensor.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "base/status.h"
#include "coding/tensor_record.h"
#include "db/keys.h"

namespace lutdb {

absl::StatusOr<std::unique_ptr<KeptTensor>> KeptTensor::Open(const db::Rocks& rocks,
                                                             const TensorSpec& spec) {
  std::unique_ptr<KeptTensor> tensor(new KeptTensor(rocks, spec));
  tensor->source_ = {.name = spec.name, .dtype = spec.dtype, .rows = spec.rows, .cols = spec.cols};
  tensor->bytes_ = std::max<uint64_t>(1, tensor->source_.bytes());
  void* memory = mmap(nullptr, tensor->bytes_, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    return ResourceExhausted("no address space for {} bytes of {}", tensor->bytes_, spec.name);
  }
  tensor->memory_ = static_cast<uint8_t*>(memory);
  tensor->source_.data = tensor->memory_;
  tensor->loaded_.assign((spec.rows + spec.rows_per_record - 1) / spec.rows_per_record, false);
  return tensor;
}

KeptTensor::~KeptTensor() {
  if (memory_ != nullptr) munmap(memory_, bytes_);
}

absl::Status KeptTensor::Load(uint64_t begin, uint64_t end) {
  const uint64_t row_bytes = spec_.cols * static_cast<uint64_t>(DTypeBytes(spec_.dtype));
  for (uint64_t block = begin / spec_.rows_per_record; block * spec_.rows_per_record < end;
       ++block) {
    if (loaded_[block]) continue;
    const auto key = db::WeightsKey(spec_.id, static_cast<uint32_t>(block));
    auto record = rocks_.Get(db::Family::kWeights, key);
    if (record.status().code() == absl::StatusCode::kNotFound) {
      return DataLoss("kept weights of {}, rows from {}: the record is missing", spec_.name,
                      block * spec_.rows_per_record);
    }
    if (!record.ok()) return record.status();
    LUTDB_RETURN_IF_ERROR(DecodeTensorRows(spec_, static_cast<uint32_t>(block), *record, &rows_));
    const uint64_t offset = block * spec_.rows_per_record * row_bytes;
    if (rows_.size() > bytes_ - offset) {
      return DataLoss("kept weights of {}: a record is too long", spec_.name);
    }
    std::memcpy(memory_ + offset, rows_.data(), rows_.size());
    loaded_[block] = true;
  }
  return absl::OkStatus();
}

void KeptTensor::Drop() {
  (void)madvise(memory_, bytes_, MADV_DONTNEED);  // private and anonymous: the pages are freed
  std::fill(loaded_.begin(), loaded_.end(), false);
}

}  // namespace lutdb
