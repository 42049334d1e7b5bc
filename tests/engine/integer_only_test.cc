// Integer-only networks: the digits classifier shipped in models/, from codes to answer without a
// float.
#include <gtest/gtest.h>

#include "engine/forward.h"
#include "engine/idx_file.h"
#include "lutdb/eval.h"
#include "tests/engine/built_models.h"

namespace lutdb {
namespace {

const std::string kImages = RepositoryPath("models/digits/test-images.idx3.gz");
const std::string kLabels = RepositoryPath("models/digits/test-labels.idx1.gz");

class IntegerOnly : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    scratch_ = new ScratchDirectory;
    BuildOptions options;
    options.graph_file = RepositoryPath("models/digits/digits.graph.json");
    const std::string model = RepositoryPath("models/digits/digits.safetensors");
    BuildOrFail(model, *scratch_ / "float", options);
    options.integer_only = true;
    BuildOrFail(model, *scratch_ / "integer", options);
  }
  static void TearDownTestSuite() {
    delete scratch_;
    scratch_ = nullptr;
  }
  static std::vector<uint8_t> Pixels(uint32_t rows) {
    std::vector<uint8_t> pixels(rows * 784);
    const auto images = IdxFile::Open(kImages);
    EXPECT_TRUE(images.ok() && (*images)->Read(absl::MakeSpan(pixels)).ok());
    return pixels;
  }
  static ScratchDirectory* scratch_;
};
ScratchDirectory* IntegerOnly::scratch_ = nullptr;

// Walks the plan: between the input's codes and the answer no step uses a float or multiplies, no
// value between them is one, and none of the tables' float parameters is even loaded.
TEST_F(IntegerOnly, PlanHasNoFloatAndNoMultiplication) {
  const auto store = StoreReader::Open(*scratch_ / "integer", 1 << 20);
  ASSERT_TRUE(store.ok()) << store.status();
  const auto rows = RowSource::Create(**store, {});
  ASSERT_TRUE(rows.ok()) << rows.status();
  const auto forward = Forward::Create(**store, rows->get(), {.threads = 1});
  ASSERT_TRUE(forward.ok()) << forward.status();
  const Plan& plan = (*forward)->plan();
  ASSERT_GE(plan.steps.size(), 5u);  // codes, sums, thresholds, sums, argmax
  EXPECT_EQ(plan.steps.front().op->kind, OpKind::kInputCodes);
  EXPECT_EQ(plan.steps.back().op->kind, OpKind::kArgmax);
  for (size_t i = 1; i < plan.steps.size(); ++i) {
    const Step& step = plan.steps[i];
    EXPECT_FALSE(step.arithmetic.uses_float) << step.op->name;
    EXPECT_FALSE(step.arithmetic.multiplies) << step.op->name;
    for (const ValueBuffer* input : step.inputs) {
      EXPECT_NE(input->type, ValueType::kF32) << step.op->name;
      EXPECT_EQ(input->numbers, nullptr) << step.op->name;
    }
    EXPECT_EQ(step.output->numbers, nullptr) << step.op->name;
    EXPECT_TRUE(step.weight.empty() && step.shift.empty()) << step.op->name;
  }
  for (const auto& table : plan.tables) {
    EXPECT_TRUE(table->step.empty() && table->bias.empty()) << table->spec->name;
  }
  EXPECT_EQ((*forward)->output().type, ValueType::kIndex);
}

TEST_F(IntegerOnly, PixelsAndTheirFloatsAnswerAlikeEverywhere) {
  constexpr uint32_t kRows = 200;
  const std::vector<uint8_t> pixels = Pixels(kRows);
  std::vector<float> numbers(pixels.size());
  for (size_t i = 0; i < pixels.size(); ++i) numbers[i] = static_cast<float>(pixels[i]) / 255.0f;
  const std::string before = kernels::IsaName();
  for (const char* name : {"integer", "float"}) {
    std::vector<float> expected;
    for (const std::string& isa : InstructionSets()) {
      ASSERT_TRUE(kernels::ForceIsa(isa.c_str()));
      const auto model = OpenOrNull(*scratch_ / name);
      ASSERT_NE(model, nullptr);
      std::vector<float> by_pixels(kRows * model->output_width()), by_rows(by_pixels.size());
      ASSERT_TRUE(model->RunPixels(pixels, kRows, absl::MakeSpan(by_pixels)).ok());
      ASSERT_TRUE(model->RunRows(numbers, kRows, absl::MakeSpan(by_rows)).ok());
      EXPECT_TRUE(SameBits(by_pixels, by_rows)) << name << ' ' << isa;
      std::vector<float> alone(model->output_width());
      for (const uint32_t row : {0u, 77u, kRows - 1}) {
        ASSERT_TRUE(model
                        ->RunPixels(absl::MakeConstSpan(pixels).subspan(row * 784, 784), 1,
                                    absl::MakeSpan(alone))
                        .ok());
        EXPECT_EQ(std::memcmp(alone.data(), by_pixels.data() + row * alone.size(),
                              alone.size() * sizeof(float)),
                  0)
            << row;
      }
      if (expected.empty()) expected = by_rows;
      EXPECT_TRUE(SameBits(by_rows, expected)) << name << ' ' << isa;
    }
  }
  ASSERT_TRUE(kernels::ForceIsa(before.c_str()));
}

TEST_F(IntegerOnly, IsAboutAsRightAsTheFloats) {
  const auto accuracy = [&](const char* name, bool reference) {
    const auto model = OpenOrNull(*scratch_ / name, {.store = {}, .reference = reference});
    const auto report = EvalImages(*model, kImages, kLabels, {});
    EXPECT_TRUE(report.ok()) << Message(report.status());
    EXPECT_EQ(report->count, 1000u);
    return report->accuracy;
  };
  const double f32 = accuracy("float", true);
  EXPECT_NEAR(f32, 0.958, 1e-9);  // models/digits/README.md
  EXPECT_NEAR(accuracy("float", false), f32, 0.004);
  EXPECT_NEAR(accuracy("integer", false), f32, 0.008);
}

TEST_F(IntegerOnly, SaysWhatItIs) {
  const auto model = OpenOrNull(*scratch_ / "integer");
  EXPECT_TRUE(model->is_integer_only());
  EXPECT_FALSE(model->is_language_model());
  EXPECT_EQ(model->input_width(), 784u);
  EXPECT_EQ(model->output_width(), 1u);
  EXPECT_FALSE(OpenOrNull(*scratch_ / "float")->is_integer_only());
  const auto reference = Model::Open(*scratch_ / "integer", {.store = {}, .reference = true});
  EXPECT_TRUE(absl::IsFailedPrecondition(reference.status())) << reference.status();
}

TEST_F(IntegerOnly, RefusesWrongRows) {
  const auto model = OpenOrNull(*scratch_ / "float");
  std::vector<float> input(784, 0.5f), output(10);
  EXPECT_TRUE(model->RunRows(input, 1, absl::MakeSpan(output)).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(model->RunRows(input, 2, absl::MakeSpan(output))));
  EXPECT_TRUE(absl::IsInvalidArgument(
      model->RunRows(absl::MakeConstSpan(input).first(783), 1, absl::MakeSpan(output))));
  EXPECT_TRUE(absl::IsInvalidArgument(model->RunRows(input, 1, absl::MakeSpan(output).first(9))));
  input[99] = INFINITY;
  EXPECT_TRUE(absl::IsInvalidArgument(model->RunRows(input, 1, absl::MakeSpan(output))));
  EXPECT_TRUE(absl::IsInvalidArgument(model->Feed(1, {})));
  EXPECT_TRUE(absl::IsInvalidArgument(model->Generate("a", {}, nullptr).status()));
}

TEST_F(IntegerOnly, RefusesFilesThatDoNotMatch) {
  const auto model = OpenOrNull(*scratch_ / "float");
  EXPECT_TRUE(absl::IsDataLoss(EvalImages(*model, kImages, kImages, {}).status()));
  EXPECT_FALSE(EvalImages(*model, kLabels, kLabels, {}).ok());
  EXPECT_TRUE(absl::IsNotFound(EvalImages(*model, kImages, "/nowhere", {}).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(EvalTokens(*model, std::vector<int32_t>{1, 2}, {}).status()));
}

}  // namespace
}  // namespace lutdb
