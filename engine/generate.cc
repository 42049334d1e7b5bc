// Model::Generate: prompt in, continuation out, text streamed as it becomes whole.
#include <algorithm>
#include <chrono>

#include "engine/model_state.h"
#include "engine/sample.h"
#include "engine/utf8.h"

namespace lutdb {
namespace {

double SecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Turns tokens into text and hands on what is whole. Without a tokenizer it does nothing.
class TextStream {
 public:
  TextStream(const Tokenizer& tokenizer, const TextSink& sink, std::string* text)
      : tokenizer_(tokenizer), decoder_(tokenizer), sink_(sink), text_(*text) {}

  absl::Status Add(int32_t token) {
    if (!tokenizer_.present()) return absl::OkStatus();
    const size_t before = text_.size();
    LUTDB_RETURN_IF_ERROR(decoder_.Push(token, &text_));
    Emit(before);
    return absl::OkStatus();
  }
  void Finish() {
    const size_t before = text_.size();
    decoder_.Finish(&text_);
    Emit(before);
  }

 private:
  void Emit(size_t before) {
    if (sink_ && text_.size() > before) sink_(std::string_view(text_).substr(before));
  }

  const Tokenizer& tokenizer_;
  TokenDecoder decoder_;
  const TextSink& sink_;
  std::string& text_;
};

bool IsCancelled(const GenerateOptions& options) {
  return options.cancel != nullptr && options.cancel->load(std::memory_order_relaxed);
}

// Tokens that end a text: the model's and the tokenizer's end tokens, and BOS (a new text begins).
bool EndsText(const Graph& graph, const TokenizerSpec& tokenizer, uint32_t token) {
  return token == graph.bos || token == tokenizer.bos || token == tokenizer.eos ||
         std::find(graph.eos.begin(), graph.eos.end(), token) != graph.eos.end();
}

}  // namespace

absl::StatusOr<GenerateResult> Model::Generate(std::string_view prompt,
                                               const GenerateOptions& options,
                                               const TextSink& sink) {
  if (!is_language_model()) {
    return InvalidArgument("this is not a language model: it takes rows of numbers, not text");
  }
  if (!state_->tokenizer->present() && prompt.empty()) {
    return GenerateFromTokens({}, options, sink);
  }
  LUTDB_ASSIGN_OR_RETURN(const std::vector<int32_t> tokens, Encode(prompt));
  return GenerateFromTokens(tokens, options, sink);
}

absl::StatusOr<GenerateResult> Model::GenerateFromTokens(absl::Span<const int32_t> prompt,
                                                         const GenerateOptions& options,
                                                         const TextSink& sink) {
  if (!is_language_model()) {
    return InvalidArgument("this is not a language model: it takes rows of numbers, not tokens");
  }
  const SamplerOptions sampling{
      .temperature = options.temperature, .top_p = options.top_p, .seed = options.seed};
  LUTDB_RETURN_IF_ERROR(Sampler::Check(sampling));
  const Graph& graph = state_->graph();
  const TokenizerSpec& spec = state_->tokenizer->spec();
  const uint32_t bos = graph.bos != kNone ? graph.bos : spec.bos;
  const auto start = static_cast<int32_t>(bos);
  if (prompt.empty()) {
    if (bos == kNone) return InvalidArgument("the model has no start token: give it a prompt");
    prompt = absl::MakeConstSpan(&start, 1);
  }
  if (prompt.size() > context()) {
    return OutOfRange("the prompt of {} tokens does not fit the context of {}", prompt.size(),
                      context());
  }
  const CommitHold hold(*this);
  GenerateResult result;
  result.prompt_tokens = static_cast<uint32_t>(prompt.size());
  TextStream text(*state_->tokenizer, sink, &result.text);
  Sampler sampler(sampling);
  std::vector<float>& logits = state_->logits;
  logits.resize(output_width());
  Reset();

  auto clock = std::chrono::steady_clock::now();
  for (size_t i = 0; i < prompt.size(); ++i) {
    if (IsCancelled(options)) return absl::CancelledError("generation was interrupted");
    const bool last = i + 1 == prompt.size() && options.max_tokens > 0;
    LUTDB_RETURN_IF_ERROR(Feed(prompt[i], last ? absl::MakeSpan(logits) : absl::Span<float>()));
    LUTDB_RETURN_IF_ERROR(text.Add(prompt[i]));
  }
  result.prompt_seconds = SecondsSince(clock);

  clock = std::chrono::steady_clock::now();
  while (result.tokens.size() < options.max_tokens) {
    if (IsCancelled(options)) return absl::CancelledError("generation was interrupted");
    const uint32_t token = sampler.Next(logits);
    result.ended = EndsText(graph, spec, token);
    if (result.ended) break;
    result.tokens.push_back(static_cast<int32_t>(token));
    LUTDB_RETURN_IF_ERROR(text.Add(static_cast<int32_t>(token)));
    const bool full = state_->forward->position() >= context();
    if (full || result.tokens.size() == options.max_tokens) break;
    LUTDB_RETURN_IF_ERROR(Feed(static_cast<int32_t>(token), absl::MakeSpan(logits)));
  }
  text.Finish();
  result.seconds = SecondsSince(clock);
  return result;
}

}  // namespace lutdb
