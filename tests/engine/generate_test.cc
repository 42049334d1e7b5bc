// A language model as callers use it: the little Llama of models/sums.
#include <gtest/gtest.h>

#include <cmath>

#include "lutdb/eval.h"
#include "tests/engine/built_models.h"

namespace lutdb {
namespace {

class Sums : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    scratch_ = new ScratchDirectory;
    BuildOptions options;
    options.tokenizer_file = RepositoryPath("models/sums/tokenizer.bin");
    BuildOrFail(RepositoryPath("models/sums"), *scratch_ / "sums", options);
    model_ = OpenOrNull(*scratch_ / "sums").release();
  }
  static void TearDownTestSuite() {
    delete model_;
    delete scratch_;
    model_ = nullptr;
    scratch_ = nullptr;
  }
  void SetUp() override { ASSERT_NE(model_, nullptr); }

  static ScratchDirectory* scratch_;
  static Model* model_;
};
EvalOptions Windowed(uint32_t window) {
  EvalOptions options;
  options.window = window;
  return options;
}

ScratchDirectory* Sums::scratch_ = nullptr;
Model* Sums::model_ = nullptr;

TEST_F(Sums, AnswersAndEnds) {
  std::string streamed;
  int pieces = 0;
  const auto result = model_->Generate("462+723=", {.temperature = 0}, [&](std::string_view text) {
    streamed += text;
    ++pieces;
  });
  ASSERT_TRUE(result.ok()) << Message(result.status());
  EXPECT_EQ(result->text, "462+723=1185");
  EXPECT_EQ(streamed, result->text);
  EXPECT_GE(pieces, 5);
  EXPECT_TRUE(result->ended);
  EXPECT_EQ(result->tokens.size(), 4u);   // without the end token
  EXPECT_EQ(result->prompt_tokens, 10u);  // BOS, space, eight characters
  EXPECT_EQ(*model_->Decode(*model_->Encode("12-3=")), "12-3=");
}

TEST_F(Sums, StopsAtTheNumberOfTokens) {
  const auto two = model_->Generate("462+723=", {.max_tokens = 2, .temperature = 0}, nullptr);
  EXPECT_EQ(two->text, "462+723=11");
  EXPECT_FALSE(two->ended);
  const auto none = model_->Generate("462+723=", {.max_tokens = 0}, nullptr);
  EXPECT_EQ(none->text, "462+723=");
  EXPECT_TRUE(none->tokens.empty());
}

TEST_F(Sums, EndsBeforeAStopText) {
  std::string streamed;
  const auto sink = [&](std::string_view text) { streamed += text; };
  // "462+723=1185": the stop text spans two tokens, and half of it must not be streamed.
  const auto result =
      model_->Generate("462+723=", {.temperature = 0, .stop = {"18", "zzz"}}, sink);
  ASSERT_TRUE(result.ok()) << Message(result.status());
  EXPECT_EQ(result->text, "462+723=1");
  EXPECT_EQ(streamed, result->text);
  EXPECT_EQ(result->end, GenerateEnd::kStopText);
  EXPECT_FALSE(result->ended);
  // What looks like the beginning of a stop text and is none comes out after all.
  streamed.clear();
  const auto whole = model_->Generate("462+723=", {.temperature = 0, .stop = {"1186"}}, sink);
  ASSERT_TRUE(whole.ok());
  EXPECT_EQ(streamed, "462+723=1185");
  EXPECT_EQ(whole->end, GenerateEnd::kEndToken);
  // The prompt is not searched.
  const auto prompt = model_->Generate("462+723=", {.temperature = 0, .stop = {"462"}}, nullptr);
  ASSERT_TRUE(prompt.ok());
  EXPECT_EQ(prompt->text, "462+723=1185");
}

TEST_F(Sums, SameSeedSameText) {
  const GenerateOptions options{.max_tokens = 20, .temperature = 5, .top_p = 1, .seed = 11};
  const auto a = model_->Generate("1+", options, nullptr);
  const auto b = model_->Generate("1+", options, nullptr);
  EXPECT_EQ(a->text, b->text);
  GenerateOptions other = options;
  bool differs = false;
  for (other.seed = 12; other.seed < 20; ++other.seed) {
    differs |= model_->Generate("1+", other, nullptr)->text != a->text;
  }
  EXPECT_TRUE(differs);
}

TEST_F(Sums, FullContextStopsCleanly) {
  // A context of 32: BOS, a space and 29 digits leave room for one more.
  const std::string prompt(29, '7');
  const auto result = model_->Generate(
      prompt, {.max_tokens = 50, .temperature = 9, .top_p = 1, .seed = 3}, nullptr);
  ASSERT_TRUE(result.ok()) << Message(result.status());
  EXPECT_LE(result->tokens.size(), 2u);
  const auto too_long = model_->Generate(std::string(31, '7'), {}, nullptr);
  EXPECT_TRUE(absl::IsOutOfRange(too_long.status())) << too_long.status();
  model_->Reset();
  for (int i = 0; i < 32; ++i) EXPECT_TRUE(model_->Feed(5, {}).ok());
  EXPECT_TRUE(absl::IsOutOfRange(model_->Feed(5, {})));
  model_->Reset();
  EXPECT_TRUE(model_->Feed(5, {}).ok());
}

TEST_F(Sums, RefusesWhatMakesNoSense) {
  std::vector<float> logits(model_->output_width());
  model_->Reset();
  EXPECT_TRUE(absl::IsOutOfRange(model_->Feed(-1, {})));
  EXPECT_TRUE(absl::IsOutOfRange(model_->Feed(18, {})));
  EXPECT_TRUE(absl::IsInvalidArgument(model_->Feed(1, absl::MakeSpan(logits).first(3))));
  EXPECT_TRUE(absl::IsInvalidArgument(model_->Generate("\xFF", {}, nullptr).status()));
  EXPECT_TRUE(
      absl::IsInvalidArgument(model_->Generate("1", {.temperature = -1}, nullptr).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(model_->RunRows({}, 0, absl::MakeSpan(logits).first(0))));
  const std::atomic<bool> cancel{true};
  const auto cancelled = model_->Generate("1+1=", {.cancel = &cancel}, nullptr);
  EXPECT_TRUE(absl::IsCancelled(cancelled.status()));
  ModelOptions elsewhere;
  elsewhere.store.at = "nowhere";
  EXPECT_TRUE(absl::IsNotFound(Model::Open(*scratch_ / "sums", elsewhere).status()));
  EXPECT_TRUE(absl::IsNotFound(Model::Open(*scratch_ / "absent", {}).status()));
}

TEST_F(Sums, LogitsDoNotDependOnWhichOnesAreWanted) {
  const std::vector<int32_t> tokens = *model_->Encode("81+757=");
  std::vector<float> each(model_->output_width()), last(model_->output_width());
  model_->Reset();
  for (const int32_t token : tokens) ASSERT_TRUE(model_->Feed(token, absl::MakeSpan(each)).ok());
  model_->Reset();
  for (size_t i = 0; i < tokens.size(); ++i) {
    const bool wanted = i + 1 == tokens.size();
    ASSERT_TRUE(model_->Feed(tokens[i], wanted ? absl::MakeSpan(last) : absl::Span<float>()).ok());
  }
  EXPECT_TRUE(SameBits(each, last));
}

TEST_F(Sums, EvalFollowsItsProtocol) {
  std::vector<int32_t> ids = *model_->Encode("81+757=838");
  const std::vector<int32_t> more = *model_->Encode("2+2=4");
  ids.insert(ids.end(), more.begin(), more.end());
  constexpr size_t kWindow = 7;
  double nll = 0;
  std::vector<float> logits(model_->output_width());
  for (size_t i = 0; i + 1 < ids.size(); ++i) {
    if (i % kWindow == 0) model_->Reset();
    ASSERT_TRUE(model_->Feed(ids[i], absl::MakeSpan(logits)).ok());
    double sum = 0;
    for (const float logit : logits) sum += std::exp(double{logit});
    nll += std::log(sum) - logits[ids[i + 1]];
  }
  const auto report = EvalTokens(*model_, ids, Windowed(kWindow));
  ASSERT_TRUE(report.ok()) << Message(report.status());
  EXPECT_EQ(report->count, ids.size() - 1);
  EXPECT_TRUE(report->has_nll);
  EXPECT_NEAR(report->nll, nll / (ids.size() - 1), 1e-9);
  EXPECT_NEAR(report->perplexity, std::exp(report->nll), 1e-9);
  EXPECT_FALSE(report->has_accuracy);
}

TEST_F(Sums, SlidingWindowsCountEachPredictionOnce) {
  std::vector<int32_t> ids = *model_->Encode("81+757=838");
  const std::vector<int32_t> more = *model_->Encode("2+2=4");
  ids.insert(ids.end(), more.begin(), more.end());
  constexpr size_t kWindow = 7, kStride = 3;
  double nll = 0;
  std::vector<float> logits(model_->output_width());
  for (size_t target = 1; target < ids.size(); ++target) {
    // The first window that predicts it.
    size_t begin = 0;
    while (begin + kWindow < target) begin += kStride;
    model_->Reset();
    for (size_t i = begin; i < target; ++i) {
      ASSERT_TRUE(model_->Feed(ids[i], absl::MakeSpan(logits)).ok());
    }
    double sum = 0;
    for (const float logit : logits) sum += std::exp(double{logit});
    nll += std::log(sum) - logits[ids[target]];
  }
  EvalOptions options = Windowed(kWindow);
  options.stride = kStride;
  const auto report = EvalTokens(*model_, ids, options);
  ASSERT_TRUE(report.ok()) << Message(report.status());
  EXPECT_EQ(report->count, ids.size() - 1);
  EXPECT_NEAR(report->nll, nll / (ids.size() - 1), 1e-9);
  EXPECT_EQ(report->stride, kStride);
  options.stride = kWindow + 1;
  EXPECT_TRUE(absl::IsInvalidArgument(EvalTokens(*model_, ids, options).status()));
}

TEST_F(Sums, EvalRefusesBadTokens) {
  const std::vector<int32_t> one{1}, beyond{1, 18}, negative{1, -2}, good{1, 3};
  EXPECT_TRUE(absl::IsInvalidArgument(EvalTokens(*model_, one, {}).status()));
  EXPECT_TRUE(absl::IsOutOfRange(EvalTokens(*model_, beyond, {}).status()));
  EXPECT_TRUE(absl::IsOutOfRange(EvalTokens(*model_, negative, {}).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(EvalTokens(*model_, good, Windowed(33)).status()));
  const std::string path = *scratch_ / "tokens.i32";
  std::ofstream(path, std::ios::binary) << std::string("\1\0\0\0\3\0\0\0\xFF", 9);
  EXPECT_TRUE(absl::IsDataLoss(ReadTokenFile(path).status()));
  std::ofstream(path, std::ios::binary) << std::string("\1\0\0\0\3\0\0\0", 8);
  EXPECT_EQ(*ReadTokenFile(path), good);
  EXPECT_TRUE(absl::IsNotFound(ReadTokenFile(*scratch_ / "absent").status()));
}

}  // namespace
}  // namespace lutdb
