#include "coding/zstd_frame.h"

#include <zstd.h>

#include <memory>

#include "base/out_of_memory.h"

namespace lutdb {
namespace {

struct ContextDeleter {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

}  // namespace

bool CompressFrame(const void* from, size_t count, int level, std::vector<uint8_t>* frame) {
  thread_local std::unique_ptr<ZSTD_CCtx, ContextDeleter> context;
  if (context == nullptr) context.reset(ZSTD_createCCtx());
  if (context == nullptr) FailAllocation();
  frame->resize(ZSTD_compressBound(count));
  const size_t bytes =
      ZSTD_compressCCtx(context.get(), frame->data(), frame->size(), from, count, level);
  if (ZSTD_isError(bytes) != 0) return false;
  frame->resize(bytes);
  return true;
}

bool DecompressFrame(const void* frame, size_t bytes, void* to, size_t count) {
  thread_local std::unique_ptr<ZSTD_DCtx, ContextDeleter> context;
  if (context == nullptr) context.reset(ZSTD_createDCtx());
  if (context == nullptr) FailAllocation();
  const size_t result = ZSTD_decompressDCtx(context.get(), to, count, frame, bytes);
  return ZSTD_isError(result) == 0 && result == count;
}

}  // namespace lutdb
