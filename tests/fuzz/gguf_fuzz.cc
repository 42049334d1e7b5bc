// GGUF files come from anywhere: whatever the bytes are, the reader refuses them or lists tensors
// that lie in the file.

#include <sys/mman.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/check.h"
#include "ingest/gguf_model.h"
#include "ingest/tokenizer_gguf.h"
#include "tests/fuzz/fuzz_target.h"

namespace lutdb {
namespace {

void TryFile(const std::string& path) {
  auto mapped = MappedFile::Open(path);
  if (!mapped.ok()) return;
  const uint8_t* begin = mapped->data();
  const uint8_t* end = begin + mapped->size();
  auto file = OpenGguf(*std::move(mapped));
  if (!file.ok()) return;
  float elements[kPackedElementsMax];
  for (const auto& [name, tensor] : file->catalog.tensors) {
    LUTDB_CHECK(tensor.data >= begin && tensor.data < end);
    if (tensor.packed == nullptr) continue;
    uint64_t count = 1;
    for (const uint64_t size : tensor.shape) count *= size;
    const uint64_t blocks = count / tensor.packed->elements;
    LUTDB_CHECK(blocks <= static_cast<uint64_t>(end - tensor.data) / tensor.packed->bytes);
    tensor.packed->unpack(tensor.data + (blocks - 1) * tensor.packed->bytes, elements);
  }
  ReadGgufTokenizer(file->metadata).status().IgnoreError();
  ReadGgufDecoder(&*file).status().IgnoreError();
}

void AppendText(const std::string& text, std::string* file) {
  AppendLittle<uint64_t>(text.size(), file);
  file->append(text);
}

}  // namespace
}  // namespace lutdb

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t count) {
  const int memory = memfd_create("gguf", MFD_CLOEXEC);
  LUTDB_CHECK(memory >= 0);
  LUTDB_CHECK(write(memory, bytes, count) == static_cast<ssize_t>(count));
  lutdb::TryFile("/proc/self/fd/" + std::to_string(memory));
  close(memory);
  return 0;
}

std::vector<std::string> lutdb::FuzzSeeds() {
  std::string file = "GGUF";
  AppendLittle<uint32_t>(3, &file);
  AppendLittle<uint64_t>(2, &file);
  AppendLittle<uint64_t>(5, &file);
  const auto pair = [&file](const std::string& key, uint32_t type) {
    AppendText(key, &file);
    AppendLittle<uint32_t>(type, &file);
  };
  pair("general.architecture", 8);
  AppendText("llama", &file);
  pair("llama.embedding_length", 4);
  AppendLittle<uint32_t>(32, &file);
  pair("llama.attention.head_count", 9);
  AppendLittle<uint32_t>(5, &file);
  AppendLittle<uint64_t>(1, &file);
  AppendLittle<uint32_t>(1, &file);
  pair("tokenizer.ggml.model", 8);
  AppendText("llama", &file);
  pair("tokenizer.ggml.tokens", 9);
  AppendLittle<uint32_t>(8, &file);
  AppendLittle<uint64_t>(3, &file);
  for (const char* token : {"a", "b", "\xe2\x96\x81"}) AppendText(token, &file);
  uint64_t offset = 0;
  for (const char* name : {"token_embd.weight", "output.weight"}) {
    AppendText(name, &file);
    AppendLittle<uint32_t>(2, &file);
    AppendLittle<uint64_t>(32, &file);
    AppendLittle<uint64_t>(3, &file);
    AppendLittle<uint32_t>(offset == 0 ? 2 : 8, &file);
    AppendLittle<uint64_t>(offset, &file);
    offset += 64;
  }
  file.resize((file.size() + 31) / 32 * 32);
  file.append(64 + 3 * 34, '\x11');
  return {file};
}
