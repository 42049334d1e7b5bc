// Run a model from a store: arrays in and out, or text.
//
//   auto model = lutdb::Model::Open("model.lut", {});
//   auto text = (*model)->Generate("347+285=", {.temperature = 0}, nullptr);
//
// A Model is used by one thread at a time; it uses `threads` of its own inside.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "lutdb/history.h"
#include "lutdb/options.h"

namespace lutdb {

struct ModelOptions {
  OpenStoreOptions store;
  bool reference = false;  // use the kept source weights in f32 instead of the tables
  // Given (and alive while the model is opened): changes of History::Preview, not committed.
  // The model stays at the commit that store.at has when it is opened, with these on top.
  const std::vector<EntryChange>* pending = nullptr;
};

struct EncodeOptions {
  bool add_special = true;    // what the tokenizer puts around a text (BOS, EOS, [CLS], ...)
  bool parse_special = true;  // special tokens written in the text are tokens; otherwise plain text
};

struct GenerateOptions {
  uint32_t max_tokens = 256;
  float temperature = 0.8f;      // 0: greedy
  uint32_t top_k = 0;            // only the k most probable tokens; 0: all
  float top_p = 0.95f;           // of these the fewest whose shares reach top_p
  float min_p = 0;               // of these the ones with at least this part of the largest share
  float repetition_penalty = 1;  // of tokens that are in the context (Keskar 2019, CTRL); 1: none
  std::vector<std::string> stop = {};  // generation ends before the first of these texts
  uint64_t seed = 0;                   // as given; callers choose and report a random one
  const std::atomic<bool>* cancel = nullptr;
};

// Why generation ended.
enum class GenerateEnd : uint8_t {
  kMaxTokens = 0,
  kEndToken = 1,
  kStopText = 2,
  kContextFull = 3,
};

struct GenerateResult {
  std::vector<int32_t> tokens;  // generated ones, end token excluded; a stop text's tokens included
  std::string text;             // prompt and continuation
  uint32_t prompt_tokens = 0;
  bool ended = false;  // by the end token
  GenerateEnd end = GenerateEnd::kMaxTokens;
  double prompt_seconds = 0;
  double seconds = 0;  // generation alone
};
// Called with each piece of text as it is complete (never half a UTF-8 character), prompt first.
using TextSink = std::function<void(std::string_view)>;

struct FaultOptions;  // lutdb/faults.h

struct ArenaReport {
  bool owned = false;
  uint64_t limit_bytes = 0, used_bytes = 0;
  uint64_t hits = 0, misses = 0, fills = 0, evictions = 0;
};

class Model {
 public:
  // Errors as Store::Open.
  static absl::StatusOr<std::unique_ptr<Model>> Open(const std::string& store,
                                                     const ModelOptions& options);
  ~Model();
  Model(const Model&) = delete;

  bool is_language_model() const;
  bool is_integer_only() const;
  uint32_t input_width() const;   // feed-forward networks
  uint32_t output_width() const;  // of one output row; vocabulary size for language models
  uint32_t classes() const;       // output_width(), or how many an integer-only answer is one of
  bool gives_shares() const;      // the graph ends in a softmax: outputs are shares of one
  uint32_t context() const;       // language models: most positions

  // Feed-forward: `count` rows of input_width() -> count rows of output_width(). An integer-only
  // network gives one number per row, the index of the largest sum. InvalidArgument on wrong sizes
  // or inputs that are not finite.
  absl::Status RunRows(absl::Span<const float> input, size_t count, absl::Span<float> output);
  // The same for 8-bit pixels, each standing for pixel / 255. An integer-only network then computes
  // no float at all before its answer.
  absl::Status RunPixels(absl::Span<const uint8_t> pixels, size_t count, absl::Span<float> output);

  // Language models. Appends one token to the context and gives the logits (vocabulary size) that
  // follow it; empty logits: not wanted. OutOfRange when the context is full or the token is not in
  // the vocabulary, InvalidArgument for logits of another size.
  absl::Status Feed(int32_t token, absl::Span<float> logits);
  // The same for many tokens, which go through each table together: faster, and the same bits.
  // After an error the context is undefined; Reset it. The first: the logits of the last token.
  absl::Status FeedAll(absl::Span<const int32_t> tokens, absl::Span<float> logits);
  // Those of each: sink(i, logits that follow tokens[i]), valid during the call. An error of the
  // sink ends it and is returned.
  using LogitsSink = std::function<absl::Status(size_t index, absl::Span<const float> logits)>;
  absl::Status FeedEach(absl::Span<const int32_t> tokens, const LogitsSink& sink);
  void Reset();  // empties the context

  // Text to tokens and back; bytes that make no whole UTF-8 character decode to U+FFFD.
  // FailedPrecondition without a tokenizer, InvalidArgument for text that is not UTF-8 or that it
  // cannot express, OutOfRange for a token that is not in the vocabulary.
  absl::StatusOr<std::vector<int32_t>> Encode(std::string_view text,
                                              const EncodeOptions& options = {}) const;
  absl::StatusOr<std::string> Decode(absl::Span<const int32_t> tokens) const;
  // FailedPrecondition without a tokenizer (unless prompt is given as tokens), InvalidArgument when
  // the model is no language model or an option is out of range, OutOfRange when the prompt does
  // not fit the context, Cancelled when cancelled.
  absl::StatusOr<GenerateResult> Generate(std::string_view prompt, const GenerateOptions& options,
                                          const TextSink& sink);
  absl::StatusOr<GenerateResult> GenerateFromTokens(absl::Span<const int32_t> prompt,
                                                    const GenerateOptions& options,
                                                    const TextSink& sink);

  ArenaReport arena() const;

  // Runs as a memory with damaged cells would from now on, until called again; a share of 0 mends
  // everything. InvalidArgument for a share outside 0..1, NotFound for an unknown table,
  // FailedPrecondition in reference mode.
  absl::Status SetFaults(const FaultOptions& faults);

  // The commit that the last batch was read from; "": the build.
  std::string commit() const;

  // While it lives, all calls of the model are one batch: they see one commit, the newest at the
  // first call. Without it each call of Run, Feed or Generate is a batch of its own, and a commit
  // made meanwhile is in the next.
  class CommitHold {
   public:
    explicit CommitHold(Model& model);
    ~CommitHold();
    CommitHold(const CommitHold&) = delete;

   private:
    Model& model_;
  };

 private:
  friend class Explainer;
  struct State;
  explicit Model(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace lutdb
