// lutdb run STORE: continues a prompt, or turns one array into another.

#include <sys/random.h>

#include <chrono>
#include <cmath>
#include <memory>
#include <random>

#include "base/npy.h"
#include "base/status.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/notice.h"
#include "cli/sizes.h"
#include "lutdb/eval.h"
#include "lutdb/model.h"

namespace lutdb::cli {
namespace {

struct Flags {
  std::string store;
  std::string prompt;
  std::string tokens;
  std::string input;
  std::string output;
  GenerateOptions generate;
  bool seed_given = false;
  ModelOptions model;
  double wait_seconds = 30;  // accepted everywhere; reading never waits
  bool json = false;
};

Json ToJson(const ArenaReport& arena) {
  return {{"owned", arena.owned},           {"limit_bytes", arena.limit_bytes},
          {"used_bytes", arena.used_bytes}, {"hits", arena.hits},
          {"misses", arena.misses},         {"fills", arena.fills},
          {"evictions", arena.evictions}};
}

// The number as it was typed: 0.95, not the digits of the nearest float.
double Typed(float value) { return std::stod(fmt::format("{}", value)); }

double Rate(size_t count, double seconds) {
  return seconds > 0 ? static_cast<double>(count) / seconds : 0;
}

const char* Name(GenerateEnd end) {
  switch (end) {
    case GenerateEnd::kMaxTokens:
      return "max_tokens";
    case GenerateEnd::kEndToken:
      return "end_token";
    case GenerateEnd::kStopText:
      return "stop";
    case GenerateEnd::kContextFull:
      return "context";
  }
  return "";
}

void PrintTimings(const Flags& flags, const Model& model, const GenerateResult& result) {
  if (result.end == GenerateEnd::kContextFull) {
    Notice("stopped: the context of {} tokens is full\n", model.context());
  }
  if (flags.generate.temperature > 0) Notice("seed {}\n", flags.generate.seed);
  Notice(
      "prompt: {} tokens in {} ({:.1f} per second); generated: {} tokens in {} ({:.1f} per "
      "second)\n",
      result.prompt_tokens, HumanSeconds(result.prompt_seconds),
      Rate(result.prompt_tokens, result.prompt_seconds), result.tokens.size(),
      HumanSeconds(result.seconds), Rate(result.tokens.size(), result.seconds));
}

absl::Status Generate(Flags flags, Model& model, Output& output) {
  std::atomic<bool>* stop = StopOnSignals();
  flags.generate.cancel = stop;
  bool begun = false;
  const TextSink stream = [&](std::string_view text) {
    begun = true;
    output.Write(text);
    output.Flush().IgnoreError();           // an error is met again at the end
    if (!output.open()) stop->store(true);  // nobody reads on
  };
  const TextSink sink = flags.json ? TextSink() : stream;
  absl::StatusOr<GenerateResult> result;
  if (flags.tokens.empty()) {
    result = model.Generate(flags.prompt, flags.generate, sink);
  } else {
    LUTDB_ASSIGN_OR_RETURN(const std::vector<int32_t> ids, ReadTokenFile(flags.tokens));
    result = model.GenerateFromTokens(ids, flags.generate, sink);
  }
  if (begun || (result.ok() && !flags.json)) output.Write("\n");
  if (absl::IsCancelled(result.status())) {
    if (!output.open()) return output.Flush();
    return Error(absl::StatusCode::kCancelled, "interrupted; run the command again to start over");
  }
  LUTDB_RETURN_IF_ERROR(result.status());
  if (flags.json) {
    output.WriteJson(
        {{"text", result->text},
         {"tokens", result->tokens},
         {"prompt_tokens", result->prompt_tokens},
         {"ended", result->ended},
         {"finish", Name(result->end)},
         {"temperature", Typed(flags.generate.temperature)},
         {"top_k", flags.generate.top_k},
         {"top_p", Typed(flags.generate.top_p)},
         {"min_p", Typed(flags.generate.min_p)},
         {"repetition_penalty", Typed(flags.generate.repetition_penalty)},
         {"seed", flags.generate.seed},
         {"prompt_seconds", result->prompt_seconds},
         {"seconds", result->seconds},
         {"prompt_tokens_per_second", Rate(result->prompt_tokens, result->prompt_seconds)},
         {"tokens_per_second", Rate(result->tokens.size(), result->seconds)},
         {"arena", ToJson(model.arena())}});
  }
  output.Flush().IgnoreError();  // the text comes before what is said about it
  PrintTimings(flags, model, *result);
  return absl::OkStatus();
}

// Token ids in, one row of logits for each out. Two dimensions are independent sequences.
absl::StatusOr<std::vector<float>> FeedTokens(const Flags& flags, const NpyArray& input,
                                              Model& model) {
  if (!input.integers || input.shape.empty() || input.shape.size() > 2) {
    return DataLoss("{}: a language model takes token ids, integers in one or two dimensions",
                    flags.input);
  }
  if (input.row_width() > model.context()) {
    return OutOfRange("{}: {} tokens are more than the model's context of {}", flags.input,
                      input.row_width(), model.context());
  }
  const size_t width = model.output_width();
  std::vector<float> logits(input.values.size() * width);
  const std::atomic<bool>* stop = StopOnSignals();
  for (size_t i = 0; i < input.values.size(); ++i) {
    if (i % input.row_width() == 0) model.Reset();
    if (stop->load()) return Error(absl::StatusCode::kCancelled, "interrupted; nothing is written");
    // f32 holds every id exactly up to 2^24; a larger one is out of any vocabulary.
    const float id = input.values[i];
    if (!(id >= 0 && id < static_cast<float>(width))) {
      return OutOfRange("{}: id {} at position {} is not in the vocabulary of {}", flags.input, id,
                        i, width);
    }
    LUTDB_RETURN_IF_ERROR(
        model.Feed(static_cast<int32_t>(id), absl::MakeSpan(logits.data() + i * width, width)));
  }
  return logits;
}

absl::StatusOr<std::vector<float>> RunRows(const Flags& flags, const NpyArray& input,
                                           Model& model) {
  if (input.row_width() != model.input_width()) {
    return DataLoss("{}: rows have {} numbers, the network takes {}", flags.input,
                    input.row_width(), model.input_width());
  }
  for (size_t i = 0; i < input.values.size(); ++i) {
    if (!std::isfinite(input.values[i])) {
      return DataLoss("{}: the number at row {}, column {} is not finite", flags.input,
                      i / input.row_width(), i % input.row_width());
    }
  }
  std::vector<float> result(input.rows() * model.output_width());
  LUTDB_RETURN_IF_ERROR(model.RunRows(input.values, input.rows(), absl::MakeSpan(result)));
  return result;
}

absl::Status RunArray(const Flags& flags, Model& model, Output& output) {
  LUTDB_ASSIGN_OR_RETURN(const NpyArray input, ReadNpy(flags.input));
  std::vector<uint64_t> shape = {input.rows()};
  if (model.is_language_model()) shape = input.shape;
  shape.push_back(model.output_width());
  const auto begin = std::chrono::steady_clock::now();
  LUTDB_ASSIGN_OR_RETURN(const std::vector<float> result, model.is_language_model()
                                                              ? FeedTokens(flags, input, model)
                                                              : RunRows(flags, input, model));
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  LUTDB_RETURN_IF_ERROR(WriteNpy(flags.output, shape, result));
  if (flags.json) {
    output.WriteJson({{"output", flags.output},
                      {"shape", shape},
                      {"seconds", seconds},
                      {"arena", ToJson(model.arena())}});
  }
  const size_t rows = result.size() / model.output_width();
  Notice("{} rows in {} ({:.1f} per second)\n", HumanCount(rows), HumanSeconds(seconds),
         Rate(rows, seconds));
  return absl::OkStatus();
}

uint64_t RandomSeed() {
  uint64_t seed = 0;
  if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed)) seed = std::random_device{}();
  // JSON readers that keep numbers as doubles get every digit of it.
  return seed >> 11;
}

absl::Status Run(Flags flags, Output& output) {
  if (!(flags.generate.temperature >= 0 && std::isfinite(flags.generate.temperature))) {
    return InvalidArgument("--temperature must be a number from 0");
  }
  if (!(flags.generate.top_p > 0 && flags.generate.top_p <= 1)) {
    return InvalidArgument("--top-p must be above 0 and at most 1");
  }
  if (!(flags.generate.min_p >= 0 && flags.generate.min_p <= 1)) {
    return InvalidArgument("--min-p must be from 0 to 1");
  }
  if (!(flags.generate.repetition_penalty > 0 &&
        std::isfinite(flags.generate.repetition_penalty))) {
    return InvalidArgument("--repetition-penalty must be a number above 0");
  }
  LUTDB_ASSIGN_OR_RETURN(const auto model, Model::Open(flags.store, flags.model));
  if (!flags.input.empty()) return RunArray(flags, *model, output);
  if (!model->is_language_model()) {
    return InvalidArgument("{} is no language model: give --input X.npy --output Y.npy",
                           flags.store);
  }
  if (!flags.seed_given) flags.generate.seed = RandomSeed();
  return Generate(flags, *model, output);
}

void AddSampling(CLI::App& app, GenerateOptions* options) {
  app.add_option("--max-tokens", options->max_tokens, "Tokens to generate (default: 256)")
      ->type_name("N");
  app.add_option("--temperature", options->temperature, "0 is greedy (default: 0.8)")
      ->type_name("T");
  app.add_option("--top-k", options->top_k, "Sample among the K likeliest tokens (default: all)")
      ->type_name("K");
  app.add_option("--top-p", options->top_p, "Share of likelihood sampled (default: 0.95)")
      ->type_name("P");
  app.add_option("--min-p", options->min_p,
                 "Least likelihood sampled, as a part of the likeliest token's (default: 0)")
      ->type_name("P");
  app.add_option("--repetition-penalty", options->repetition_penalty,
                 "Divides the logits of tokens that came before (default: 1, none)")
      ->type_name("R");
  app.add_option("--stop", options->stop, "Text to stop before; may be given several times")
      ->allow_extra_args(false)
      ->type_name("TEXT");
}

}  // namespace

Action DeclareRun(CLI::App& app) {
  const auto flags = std::make_shared<Flags>();
  AddStore(app, &flags->store);
  CLI::Option* prompt = app.add_option("--prompt", flags->prompt, "Text to continue (may be empty)")
                            ->type_name("TEXT");
  CLI::Option* tokens =
      app.add_option("--tokens", flags->tokens, "Ids to continue, raw little-endian int32")
          ->type_name("FILE");
  CLI::Option* input =
      app.add_option("--input", flags->input, "Rows of numbers, or token ids of a language model")
          ->type_name("X.npy");
  CLI::Option* result =
      app.add_option("--output", flags->output, "The result: rows of numbers, or logits")
          ->type_name("Y.npy");
  prompt->excludes(tokens)->excludes(input);
  tokens->excludes(input);
  input->needs(result);
  result->needs(input);
  AddSampling(app, &flags->generate);
  CLI::Option* seed =
      app.add_option("--seed", flags->generate.seed, "Of sampling (default: random, reported)")
          ->check(WholeNumber())
          ->type_name("S");
  app.add_flag("--reference", flags->model.reference, "Use the kept f32 weights, not the tables")
      ->multi_option_policy(CLI::MultiOptionPolicy::Throw);
  AddOpenOptions(app, &flags->model.store);
  AddWait(app, &flags->wait_seconds);
  AddJson(app, &flags->json);
  return [flags, seed](Output& output) {
    flags->seed_given = seed->count() > 0;
    return Run(*flags, output);
  };
}

}  // namespace lutdb::cli
