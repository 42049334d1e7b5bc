#include "base/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/status.h"

namespace lutdb {
namespace {

constexpr size_t kShownMax = 200;
constexpr uint32_t kMatchStepsMax = 50'000'000;
constexpr uint32_t kHeapKibMax = 64 << 10;

struct FreeMatchData {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};
struct FreeContext {
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};

std::string Reason(int error) {
  PCRE2_UCHAR text[256] = {};
  pcre2_get_error_message(error, text, sizeof(text));
  return reinterpret_cast<const char*>(text);
}

// A pattern in a one-line message.
std::string Shown(std::string_view pattern) {
  std::string shown;
  for (const char c : pattern.substr(0, kShownMax)) {
    if (static_cast<unsigned char>(c) < 0x20) {
      shown += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      shown += c;
    }
  }
  return pattern.size() > kShownMax ? shown + "..." : shown;
}

}  // namespace

struct Regex::Code {
  ~Code() { pcre2_code_free(code); }
  pcre2_code* code = nullptr;
  std::unique_ptr<pcre2_match_context, FreeContext> context;
  std::string pattern;
};

Regex::Regex(std::unique_ptr<Code> code) : code_(std::move(code)) {}
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;
Regex::~Regex() = default;

absl::StatusOr<Regex> Regex::Compile(std::string_view pattern) {
  if (pattern.size() > kPatternBytesMax) {
    return InvalidArgument("the expression '{}' has {} bytes; at most {} are taken", Shown(pattern),
                           pattern.size(), kPatternBytesMax);
  }
  auto code = std::make_unique<Code>();
  code->pattern = pattern;
  int error = 0;
  PCRE2_SIZE place = 0;
  code->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                             PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C,
                             &error, &place, nullptr);
  if (code->code == nullptr) {
    return InvalidArgument("the expression '{}' is wrong at byte {}: {}", Shown(pattern), place,
                           Reason(error));
  }
  // Without machine code (not every machine allows it) the interpreter does the same, slower.
  pcre2_jit_compile(code->code, PCRE2_JIT_COMPLETE);
  code->context.reset(pcre2_match_context_create(nullptr));
  if (code->context == nullptr) return ResourceExhausted("out of memory for an expression");
  pcre2_set_match_limit(code->context.get(), kMatchStepsMax);
  pcre2_set_heap_limit(code->context.get(), kHeapKibMax);
  return Regex(std::move(code));
}

absl::StatusOr<bool> Regex::Find(std::string_view text, size_t from, RegexMatch* match) const {
  // One pair of offsets is enough: groups inside the pattern are not asked for. A thread keeps it.
  static thread_local std::unique_ptr<pcre2_match_data, FreeMatchData> data(
      pcre2_match_data_create(1, nullptr));
  if (data == nullptr) return ResourceExhausted("out of memory for an expression");
  const auto run = [&](uint32_t options) {
    return pcre2_match(code_->code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                       PCRE2_NO_UTF_CHECK | options, data.get(), code_->context.get());
  };
  int found = run(0);
  // The machine code has a small stack of its own; the interpreter uses the heap.
  if (found == PCRE2_ERROR_JIT_STACKLIMIT) found = run(PCRE2_NO_JIT);
  if (found == PCRE2_ERROR_NOMATCH) return false;
  if (found < 0) {
    return ResourceExhausted("the expression '{}' fails on this text: {}", Shown(code_->pattern),
                             Reason(found));
  }
  const PCRE2_SIZE* offsets = pcre2_get_ovector_pointer(data.get());
  // A look-behind that resets the start (\K) can put it after the end.
  if (offsets[0] > offsets[1]) return false;
  *match = {.begin = offsets[0], .end = offsets[1]};
  return true;
}

}  // namespace lutdb
