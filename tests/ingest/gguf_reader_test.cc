// GGUF files: what becomes of good ones, and every way they can be wrong.
#include "ingest/gguf.h"
#include "tests/ingest/gguf_files.h"

namespace lutdb {
namespace {

using absl::StatusCode;

// TinyLlama as a GGUF file.
GgufWriter TinyGguf(const TinyLlama& llama) {
  GgufWriter writer;
  writer.String("general.architecture", "llama");
  writer.Unsigned("llama.embedding_length", static_cast<uint32_t>(llama.hidden));
  writer.Unsigned("llama.feed_forward_length", static_cast<uint32_t>(llama.intermediate));
  writer.Unsigned("llama.block_count", static_cast<uint32_t>(llama.layers));
  writer.Unsigned("llama.attention.head_count", static_cast<uint32_t>(llama.heads));
  writer.Unsigned("llama.attention.head_count_kv", static_cast<uint32_t>(llama.kv_heads));
  writer.Unsigned("llama.context_length", static_cast<uint32_t>(llama.context));
  writer.Unsigned("llama.rope.dimension_count", static_cast<uint32_t>(llama.head_dim()));
  writer.Float("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  writer.Unsigned("tokenizer.ggml.bos_token_id", 1);
  writer.Unsigned("tokenizer.ggml.eos_token_id", 2);
  writer.Unsigned("tokenizer.ggml.padding_token_id", 0xffffffff);
  for (const TestTensor& tensor : llama.Tensors()) {
    const bool turned = tensor.name.find("q_proj") != std::string::npos ||
                        tensor.name.find("k_proj") != std::string::npos;
    writer.tensors.push_back({GgufName(tensor.name),
                              {tensor.shape.rbegin(), tensor.shape.rend()},
                              0,
                              turned ? Interleaved(tensor, llama.head_dim()) : tensor.bytes});
  }
  return writer;
}

class GgufReader : public testing::Test {
 protected:
  std::string Write(const GgufWriter& writer) const {
    return directory_.Write("model.gguf", writer.Bytes());
  }
  absl::Status ReadError(const std::string& bytes) const {
    auto file = MappedFile::Open(directory_.Write("model.gguf", bytes));
    EXPECT_TRUE(file.ok());
    return OpenGguf(*std::move(file)).status();
  }
  const TestDirectory directory_;
};

TEST_F(GgufReader, IsTheModelOfTheDirectory) {
  for (const bool tied : {true, false}) {
    const TinyLlama llama{.tied = tied};
    directory_.Write("model.safetensors", SafetensorsBytes(llama.Tensors()));
    directory_.Write("config.json", llama.Config());
    const auto directory = OpenModelSource(directory_.path(), {});
    const auto gguf = OpenModelSource(Write(TinyGguf(llama)), {});
    ASSERT_TRUE(directory.ok()) << directory.status();
    ASSERT_TRUE(gguf.ok()) << gguf.status();
    ExpectSameModel(*gguf, *directory);
    EXPECT_EQ(gguf->format, "gguf");
    EXPECT_EQ(gguf->name, "model");
    EXPECT_EQ(gguf->tokenizer.kind, TokenizerKind::kAbsent);
  }
}

TEST_F(GgufReader, UnpacksRowsOnDemand) {
  const TinyLlama llama{.hidden = 32, .intermediate = 64};
  GgufWriter writer = TinyGguf(llama);
  for (GgufTestTensor& tensor : writer.tensors) {
    if (tensor.dimensions.size() < 2) continue;
    tensor.type = 8;  // Q8_0: a scale of 1 and the bytes 0, 1, 2, ... of the file
    const uint64_t blocks = tensor.dimensions[0] / 32 * tensor.dimensions[1];
    tensor.bytes.clear();
    for (uint64_t block = 0; block < blocks; ++block) {
      AppendLittle<uint16_t>(0x3c00, &tensor.bytes);
      for (uint64_t i = 0; i < 32; ++i) {
        tensor.bytes.push_back(static_cast<char>((block * 32 + i) % 200 - 100));
      }
    }
  }
  const auto source = OpenModelSource(Write(writer), {});
  ASSERT_TRUE(source.ok()) << source.status();
  const auto at = [](uint64_t row, uint64_t cols, uint64_t col) {
    return static_cast<float>((row * cols + col) % 200) - 100.0f;
  };
  for (const SourceTensor& tensor : source->tensors) {
    if (tensor.rows == 1) continue;
    EXPECT_EQ(tensor.dtype, DType::kF32);
    std::vector<float> kept(tensor.cols), part(20);
    for (uint64_t row = 0; row < tensor.rows; ++row) {
      const uint64_t from = tensor.SourceRow(row);
      tensor.CopyRow(row, kept.data());
      tensor.ReadRow(row, 10, 20, part.data());
      for (uint64_t col = 0; col < tensor.cols; ++col) {
        ASSERT_EQ(kept[col], at(from, tensor.cols, col)) << tensor.name;
      }
      for (uint64_t col = 0; col < 20; ++col) ASSERT_EQ(part[col], kept[10 + col]);
    }
  }
  // The largest head of queries reads every second row first.
  EXPECT_EQ(source->tensors[2].name, "model.layers.0.self_attn.q_proj");
  EXPECT_EQ(source->tensors[2].SourceRow(1), 2u);
}

TEST_F(GgufReader, ReadsMetadataOfEveryKind) {
  GgufWriter writer;
  writer.version = 2;
  writer.Pair("u8", 0, "\xff");
  writer.Pair("i16", 3, std::string("\xfe\xff", 2));
  writer.Pair("flag", 7, "\x01");
  writer.Pair("u64", 10, std::string(8, '\xff'));
  writer.Float("float", 0.5f);
  writer.String("text", "hello");
  writer.Array("texts", 8, 2, GgufWriter::Text("a") + GgufWriter::Text(""));
  writer.Array("numbers", 5, 2, std::string("\x01\0\0\0\xff\xff\xff\xff", 8));
  const auto file = OpenGguf(*MappedFile::Open(Write(writer)));
  ASSERT_TRUE(file.ok()) << file.status();
  const GgufMetadata& metadata = file->metadata;
  uint32_t number = 7;
  EXPECT_TRUE(metadata.Unsigned("u8", 0, 255, &number).ok());
  EXPECT_EQ(number, 255u);
  EXPECT_TRUE(metadata.Unsigned("absent", 0, 255, &number).ok());
  EXPECT_EQ(number, 255u);
  EXPECT_EQ(metadata.Unsigned("u8", 0, 254, &number).code(), StatusCode::kDataLoss);
  EXPECT_EQ(metadata.Unsigned("i16", 0, 9, &number).code(), StatusCode::kDataLoss);
  EXPECT_EQ(metadata.Unsigned("u64", 0, ~uint64_t{0}, &number).code(), StatusCode::kDataLoss);
  EXPECT_EQ(metadata.Unsigned("text", 0, 9, &number).code(), StatusCode::kDataLoss);
  double real = 0;
  EXPECT_TRUE(metadata.Number("float", 0, 1, &real).ok());
  EXPECT_EQ(real, 0.5);
  EXPECT_TRUE(metadata.Number("i16", -2, 1, &real).ok());
  EXPECT_EQ(real, -2.0);
  bool flag = false;
  EXPECT_TRUE(metadata.Boolean("flag", &flag).ok());
  EXPECT_TRUE(flag);
  std::string text;
  EXPECT_TRUE(metadata.String("text", &text).ok());
  EXPECT_EQ(text, "hello");
  std::vector<std::string> texts;
  EXPECT_TRUE(metadata.Strings("texts", 2, &texts).ok());
  EXPECT_EQ(texts, (std::vector<std::string>{"a", ""}));
  EXPECT_EQ(metadata.Strings("texts", 1, &texts).code(), StatusCode::kDataLoss);
  EXPECT_EQ(metadata.Strings("numbers", 9, &texts).code(), StatusCode::kDataLoss);
  std::vector<int64_t> numbers;
  EXPECT_TRUE(metadata.Integers("numbers", 2, &numbers).ok());
  EXPECT_EQ(numbers, (std::vector<int64_t>{1, -1}));
}

TEST_F(GgufReader, RefusesDamagedFiles) {
  using Change = void (*)(GgufWriter*);
  const struct {
    Change change;
    StatusCode code;
    const char* message;
  } cases[] = {
      {[](GgufWriter* w) { w->version = 4; }, StatusCode::kUnimplemented, "reads 2 and 3"},
      {[](GgufWriter* w) { w->version = 1; }, StatusCode::kUnimplemented, "version 1"},
      {[](GgufWriter* w) { w->version = 0x03000000; }, StatusCode::kUnimplemented, "big-endian"},
      {[](GgufWriter* w) { w->Unsigned("general.alignment", 48); }, StatusCode::kDataLoss,
       "no power of two"},
      {[](GgufWriter* w) { w->Unsigned("general.alignment", 0); }, StatusCode::kDataLoss,
       "general.alignment"},
      {[](GgufWriter* w) { w->String("general.alignment", "32"); }, StatusCode::kDataLoss,
       "must be an integer"},
      {[](GgufWriter* w) { w->String("general.architecture", "x"); }, StatusCode::kDataLoss,
       "twice"},
      {[](GgufWriter* w) { w->String("", "x"); }, StatusCode::kDataLoss, "no name"},
      {[](GgufWriter* w) { w->Pair("k", 13, "x"); }, StatusCode::kUnimplemented, "type 13"},
      {[](GgufWriter* w) { w->Array("k", 9, 1, std::string(12, '\0')); },
       StatusCode::kUnimplemented, "arrays in an array"},
      {[](GgufWriter* w) { w->Array("k", 4, ~uint64_t{0} / 4, "1234"); }, StatusCode::kDataLoss,
       "ends before"},
      {[](GgufWriter* w) { w->Array("k", 8, ~uint64_t{0}, "1234"); }, StatusCode::kDataLoss,
       "cut off"},
      {[](GgufWriter* w) { w->Pair("k", 8, std::string(8, '\xff')); }, StatusCode::kDataLoss,
       "cut off"},
      {[](GgufWriter* w) { w->Unsigned("split.count", 3); }, StatusCode::kUnimplemented,
       "one of 3 parts"},
      {[](GgufWriter* w) { w->tensors[1].name = w->tensors[0].name; }, StatusCode::kDataLoss,
       "there twice"},
      {[](GgufWriter* w) { w->tensors[0].type = 43; }, StatusCode::kUnimplemented, "TQ2_0"},
      {[](GgufWriter* w) { w->tensors[0].type = 16; }, StatusCode::kUnimplemented, "IQ2_XXS"},
      {[](GgufWriter* w) { w->tensors[0].type = 2; }, StatusCode::kDataLoss, "blocks of 32"},
      {[](GgufWriter* w) {
         w->tensors[0].dimensions = {8, 0};
       },
       StatusCode::kDataLoss, "is 0"},
      {[](GgufWriter* w) { w->tensors[0].dimensions.assign(5, 1); }, StatusCode::kDataLoss,
       "5 dimensions"},
      {[](GgufWriter* w) { w->tensors[0].dimensions.assign(1000, 1); }, StatusCode::kDataLoss,
       "GGUF allows 4"},
      {[](GgufWriter* w) { w->tensors[0].dimensions.assign(4, uint64_t{1} << 40); },
       StatusCode::kDataLoss, "too large"},
      {[](GgufWriter* w) { w->tensors[0].dimensions = {uint64_t{1} << 62}; }, StatusCode::kDataLoss,
       "too large"},
      {[](GgufWriter* w) { w->tensors[0].dimensions = {uint64_t{1} << 60}; }, StatusCode::kDataLoss,
       "truncated"},
      {[](GgufWriter* w) {
         w->tensors[0].dimensions = {10, 17};
       },
       StatusCode::kDataLoss, "overlaps"},
      {[](GgufWriter* w) { w->alignment = 8; }, StatusCode::kDataLoss, "multiple of the alignment"},
  };
  for (const auto& bad : cases) {
    SCOPED_TRACE(bad.message);
    GgufWriter writer = TinyGguf(TinyLlama{.hidden = 10, .heads = 1, .vocabulary = 16});
    bad.change(&writer);
    ExpectError(ReadError(writer.Bytes()), bad.code, bad.message, "model.gguf");
  }
}

// Cut anywhere, a file is refused and nothing else.
TEST_F(GgufReader, RefusesTruncatedFiles) {
  const std::string bytes = TinyGguf(TinyLlama{.layers = 1}).Bytes();
  const size_t last = bytes.size() - 32;  // the last tensor may end before its padding does
  for (size_t size = 0; size < last; size += size < 400 ? 1 : 37) {
    const absl::Status status = ReadError(bytes.substr(0, size));
    ASSERT_EQ(status.code(), StatusCode::kDataLoss) << size << " " << status;
  }
  // Counts larger than any file.
  for (const size_t place : {8, 16}) {
    std::string huge = bytes;
    huge.replace(place, 8, std::string(8, '\xff'));
    EXPECT_FALSE(ReadError(huge).ok());
  }
}

TEST_F(GgufReader, ModelsMaySayThatTheyHaveNoVocabulary) {
  for (const char* model : {"none", "no_vocab"}) {
    GgufWriter writer = TinyGguf(TinyLlama{});
    writer.String("tokenizer.ggml.model", model);
    const auto gguf = OpenModelSource(Write(writer), {});
    ASSERT_TRUE(gguf.ok()) << gguf.status();
    EXPECT_EQ(gguf->tokenizer.kind, TokenizerKind::kAbsent) << model;
  }
}

TEST_F(GgufReader, RefusesModelsItCannotRun) {
  using Change = void (*)(GgufWriter*);
  const auto expect = [&](Change change, StatusCode code, const std::string& message) {
    SCOPED_TRACE(message);
    GgufWriter writer = TinyGguf(TinyLlama{});
    change(&writer);
    ExpectError(OpenError(Write(writer)), code, message, "model.gguf");
  };
  expect([](GgufWriter* w) { w->Unsigned("llama.expert_count", 8); }, StatusCode::kUnimplemented,
         "mixtures of experts");
  expect([](GgufWriter* w) { w->String("llama.rope.scaling.type", "yarn"); },
         StatusCode::kUnimplemented, "\"yarn\" is not implemented; lutdb knows none, linear");
  expect([](GgufWriter* w) { w->Unsigned("llama.attention.key_length", 6); },
         StatusCode::kUnimplemented, "RoPE on 4 of 6 elements");
  expect([](GgufWriter* w) { w->Unsigned("llama.attention.value_length", 6); },
         StatusCode::kUnimplemented, "values of width 6");
  expect([](GgufWriter* w) { w->tensors.erase(w->tensors.begin()); }, StatusCode::kNotFound,
         "token_embd.weight");
  expect([](GgufWriter* w) { w->tensors[1].name = "x"; }, StatusCode::kNotFound,
         "model.layers.0.input_layernorm.weight");
  expect(
      [](GgufWriter* w) {
        w->tensors[0].dimensions = {4, 16};
      },
      StatusCode::kDataLoss, "shape [16, 4], the model needs [16, 8]");
  expect([](GgufWriter* w) { w->tensors[0].type = 26; }, StatusCode::kUnimplemented, "\"I32\"");
  expect(
      [](GgufWriter* w) {
        w->tensors.push_back({"rope_freqs.weight", {3}, 0, "123456789012"});
      },
      StatusCode::kDataLoss, "rope_freqs.weight must be 2 numbers");
  expect(
      [](GgufWriter* w) {
        w->tensors.push_back({"rope_freqs.weight", {2}, 0, std::string(8, '\0')});
      },
      StatusCode::kDataLoss, "must be positive");
  expect([](GgufWriter* w) { w->String("tokenizer.ggml.model", "rwkv"); },
         StatusCode::kUnimplemented, "rwkv");

  GgufWriter other;
  other.String("general.architecture", "mamba");
  ExpectError(OpenError(Write(other)), StatusCode::kUnimplemented,
              "lutdb knows llama, qwen2, qwen3, phi3", "mamba");
  ExpectError(OpenError(Write(GgufWriter())), StatusCode::kDataLoss, "no general.architecture",
              "model.gguf");
  GgufWriter bare;
  bare.String("general.architecture", "qwen2");
  ExpectError(OpenError(Write(bare)), StatusCode::kDataLoss, "qwen2.embedding_length",
              "model.gguf");
  ExpectError(OpenError(Write(TinyGguf(TinyLlama{})), WithGraph("g.json")),
              StatusCode::kInvalidArgument, "--graph", "model.gguf");
}

}  // namespace
}  // namespace lutdb
