// Model::Generate: prompt in, continuation out, text streamed as it becomes whole.
#include <algorithm>
#include <chrono>

#include "engine/model_state.h"
#include "engine/sample.h"
#include "engine/utf8.h"

namespace lutdb {
namespace {

// Tokens of a prompt between two looks at whether to go on.
constexpr size_t kPromptPiece = 512;

double SecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Turns tokens into text and hands on what is whole. Without a tokenizer it does nothing.
//
// Text that could be the beginning of a stop text is held back until it is known not to be one.
class TextStream {
 public:
  TextStream(const Tokenizer& tokenizer, const TextSink& sink, std::string* text)
      : tokenizer_(tokenizer), decoder_(tokenizer), sink_(sink), text_(*text) {}

  absl::Status Add(int32_t token) {
    if (!tokenizer_.present()) return absl::OkStatus();
    const size_t before = text_.size();
    LUTDB_RETURN_IF_ERROR(decoder_.Push(token, &text_));
    LookForStop(before);
    Emit(stopped_ ? text_.size() : text_.size() - HeldBack());
    return absl::OkStatus();
  }
  // From here on the text ends before any of these; empty ones are none.
  void WatchFor(const std::vector<std::string>& stops) {
    for (const std::string& stop : stops) {
      if (!stop.empty()) stops_.push_back(stop);
    }
    watched_ = text_.size();
  }
  bool stopped() const { return stopped_; }
  void Finish() {
    const size_t before = text_.size();
    if (!stopped_) {
      decoder_.Finish(&text_);
      LookForStop(before);
    }
    Emit(text_.size());
  }

 private:
  void LookForStop(size_t before) {
    size_t found = std::string::npos;
    for (const std::string& stop : stops_) {
      const size_t from = std::max(watched_, before - std::min(before, stop.size() - 1));
      found = std::min(found, text_.find(stop, from));
    }
    if (found == std::string::npos) return;
    text_.resize(found);
    stopped_ = true;
  }
  // Bytes at the end that begin a stop text.
  size_t HeldBack() const {
    size_t held = 0;
    for (const std::string& stop : stops_) {
      size_t bytes = std::min(stop.size() - 1, text_.size() - watched_);
      while (bytes > held && text_.compare(text_.size() - bytes, bytes, stop, 0, bytes) != 0) {
        --bytes;
      }
      held = std::max(held, bytes);
    }
    return held;
  }
  void Emit(size_t end) {
    if (end <= emitted_) return;
    if (sink_) sink_(std::string_view(text_).substr(emitted_, end - emitted_));
    emitted_ = end;
  }

  const Tokenizer& tokenizer_;
  TokenDecoder decoder_;
  const TextSink& sink_;
  std::string& text_;
  std::vector<std::string> stops_;
  size_t watched_ = 0;  // where stop texts may begin
  size_t emitted_ = 0;
  bool stopped_ = false;
};

bool IsCancelled(const GenerateOptions& options) {
  return options.cancel != nullptr && options.cancel->load(std::memory_order_relaxed);
}

SamplerOptions SamplingOf(const GenerateOptions& options) {
  return {.temperature = options.temperature,
          .top_k = options.top_k,
          .top_p = options.top_p,
          .min_p = options.min_p,
          .repetition_penalty = options.repetition_penalty,
          .seed = options.seed};
}

// Tokens that end a text: the model's and the tokenizer's end tokens, and BOS (a new text begins).
bool EndsText(const Graph& graph, const TokenizerSpec& tokenizer, uint32_t token) {
  return token == graph.bos || token == tokenizer.bos || token == tokenizer.eos ||
         std::find(tokenizer.ends.begin(), tokenizer.ends.end(), token) != tokenizer.ends.end() ||
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
  const SamplerOptions sampling = SamplingOf(options);
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
    return OutOfRange("the prompt of {} tokens does not fit the context of {}: shorten it",
                      prompt.size(), context());
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
  for (size_t i = 0; i < prompt.size(); i += kPromptPiece) {
    if (IsCancelled(options)) return absl::CancelledError("generation was interrupted");
    const auto piece = prompt.subspan(i, kPromptPiece);
    const bool last = i + piece.size() == prompt.size() && options.max_tokens > 0;
    LUTDB_RETURN_IF_ERROR(FeedAll(piece, last ? absl::MakeSpan(logits) : absl::Span<float>()));
    for (const int32_t token : piece) {
      LUTDB_RETURN_IF_ERROR(text.Add(token));
      sampler.See(static_cast<uint32_t>(token));
    }
  }
  text.WatchFor(options.stop);
  result.prompt_seconds = SecondsSince(clock);

  clock = std::chrono::steady_clock::now();
  while (result.tokens.size() < options.max_tokens) {
    if (IsCancelled(options)) return absl::CancelledError("generation was interrupted");
    const uint32_t token = sampler.Next(logits);
    if (EndsText(graph, spec, token)) {
      result.end = GenerateEnd::kEndToken;
      break;
    }
    sampler.See(token);
    result.tokens.push_back(static_cast<int32_t>(token));
    LUTDB_RETURN_IF_ERROR(text.Add(static_cast<int32_t>(token)));
    if (text.stopped()) {
      result.end = GenerateEnd::kStopText;
      break;
    }
    if (result.tokens.size() == options.max_tokens) break;
    if (state_->forward->position() >= context()) {
      result.end = GenerateEnd::kContextFull;
      break;
    }
    LUTDB_RETURN_IF_ERROR(Feed(static_cast<int32_t>(token), absl::MakeSpan(logits)));
  }
  text.Finish();
  result.ended = result.end == GenerateEnd::kEndToken;
  result.seconds = SecondsSince(clock);
  return result;
}

}  // namespace lutdb
