// Recordings as rows: WAV, tar, and the log spectra against numpy's (the golden numbers).

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "base/status.h"
#include "engine/log_spectra.h"
#include "engine/tar_file.h"
#include "engine/wav_file.h"
#include "lutdb/dataset.h"
#include "tests/scratch_directory.h"

namespace lutdb {
namespace {

std::string Little(uint32_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i));
  return text;
}

std::string Wav(const std::vector<int16_t>& samples, uint32_t rate = 8000, int channels = 1) {
  std::string data;
  for (const int16_t sample : samples) data += Little(static_cast<uint16_t>(sample), 2);
  const std::string format = Little(1, 2) + Little(static_cast<uint32_t>(channels), 2) +
                             Little(rate, 4) + Little(rate * 2, 4) + Little(2, 2) + Little(16, 2);
  const std::string body = "WAVEfmt " + Little(16, 4) + format + "LIST" + Little(3, 4) +
                           std::string("abc\0", 4) + "data" +
                           Little(static_cast<uint32_t>(data.size()), 4) + data;
  return "RIFF" + Little(static_cast<uint32_t>(body.size()), 4) + body;
}

// Two tones and a ramp, in integers.
std::vector<int16_t> Sound(size_t count) {
  std::vector<int16_t> samples(count);
  uint32_t state = 12345;
  for (size_t i = 0; i < count; ++i) {
    state = state * 1664525 + 1013904223;
    const int square = i / 10 % 2 == 0 ? 4000 : -4000;
    samples[i] = static_cast<int16_t>(square + static_cast<int>(i) + static_cast<int>(state >> 22));
  }
  return samples;
}

std::string TarMemberText(const std::string& name, const std::string& bytes) {
  std::string header(512, '\0');
  header.replace(0, name.size(), name);
  char size[13];
  std::snprintf(size, sizeof(size), "%011o", static_cast<unsigned>(bytes.size()));
  header.replace(124, 11, size);
  header[156] = '0';
  header.replace(148, 8, std::string(8, ' '));
  unsigned sum = 0;
  for (const char c : header) sum += static_cast<uint8_t>(c);
  char checksum[8];
  std::snprintf(checksum, sizeof(checksum), "%06o", sum);
  header.replace(148, 6, checksum);
  header[154] = '\0';
  return header + bytes + std::string((512 - bytes.size() % 512) % 512, '\0');
}

TEST(NaturalLog, IsTheLogarithm) {
  for (double x = 1e-6; x < 1e12; x *= 1.37) {
    EXPECT_NEAR(NaturalLog(x), std::log(x), 2e-15 * std::max(1.0, std::fabs(std::log(x)))) << x;
  }
  EXPECT_EQ(NaturalLog(1), 0);
}

// Golden numbers: numpy, by the definition in lutdb/dataset.h (tests/engine/recordings_oracle.py).
TEST(LogSpectra, MatchNumpy) {
  auto spectra = LogSpectra::Create({.frames = 3, .bands = 4, .window = 64}, 8000);
  ASSERT_TRUE(spectra.ok()) << spectra.status();
  const std::vector<float> golden = {1.446513f, 0.271553f, -0.582970f, -0.949147f,
                                     1.458997f, 0.276213f, -0.691787f, -1.126708f,
                                     1.462000f, 0.251148f, -0.688168f, -1.127644f};
  std::vector<float> row(12);
  spectra->Row(Sound(1000), absl::MakeSpan(row));
  for (size_t i = 0; i < row.size(); ++i) EXPECT_NEAR(row[i], golden[i], 1e-5) << i;
  // Shorter than a window: silence follows, and all frames are alike.
  const std::vector<float> golden_short = {1.478098f, 0.173030f, -0.660132f, -0.990996f};
  spectra->Row(Sound(40), absl::MakeSpan(row));
  for (size_t i = 0; i < row.size(); ++i) EXPECT_NEAR(row[i], golden_short[i % 4], 1e-5) << i;
}

TEST(LogSpectra, RefusesWhatCannotBeMeant) {
  EXPECT_FALSE(LogSpectra::Create({.frames = 0}, 8000).ok());
  EXPECT_FALSE(LogSpectra::Create({.bands = 257}, 8000).ok());
  EXPECT_FALSE(LogSpectra::Create({.window = 100}, 8000).ok());
  const absl::Status narrow = LogSpectra::Create({.bands = 100, .window = 128}, 8000).status();
  EXPECT_NE(Message(narrow).find("fewer bands or a longer window"), std::string::npos) << narrow;
}

TEST(WavFile, IsReadOrRefused) {
  const auto sound = ParseWav(Wav({1, -2, 32767}), "a.wav");
  ASSERT_TRUE(sound.ok()) << sound.status();
  EXPECT_EQ(sound->rate, 8000u);
  EXPECT_EQ(sound->samples, (std::vector<int16_t>{1, -2, 32767}));
  const std::string whole = Wav({1, 2});
  for (size_t bytes = 0; bytes < whole.size(); ++bytes) {
    EXPECT_FALSE(ParseWav(whole.substr(0, bytes), "a.wav").ok()) << bytes;
  }
  EXPECT_TRUE(absl::IsUnimplemented(ParseWav(Wav({1, 2}, 8000, 2), "a.wav").status()));
  EXPECT_TRUE(absl::IsDataLoss(ParseWav(Wav({}), "a.wav").status()));
  EXPECT_TRUE(absl::IsDataLoss(ParseWav(Wav({1}, 0), "a.wav").status()));
}

TEST(Tar, ListsFilesAndNoticesDamage) {
  const std::string archive =
      TarMemberText("d/a.txt", "hello") + TarMemberText("b", "") + std::string(1024, '\0');
  const auto members = ListTar(archive, "x.tar");
  ASSERT_TRUE(members.ok()) << members.status();
  ASSERT_EQ(members->size(), 2u);
  EXPECT_EQ((*members)[0].name, "d/a.txt");
  EXPECT_EQ((*members)[0].bytes, "hello");
  EXPECT_TRUE(absl::IsDataLoss(ListTar(archive.substr(0, 300), "x.tar").status()));
  EXPECT_TRUE(absl::IsDataLoss(ListTar(archive.substr(0, 515), "x.tar").status()));
  std::string spoilt = archive;
  spoilt[3] ^= 1;
  EXPECT_TRUE(absl::IsDataLoss(ListTar(spoilt, "x.tar").status()));
}

class Recordings : public testing::Test {
 protected:
  Recordings() {
    std::filesystem::create_directory(scratch_ / "d");
    Write("1_ann_0.wav", Wav(Sound(900)));
    Write("0_bob_0.wav", Wav(Sound(500)));
    Write("0_bob_1.wav", Wav(Sound(700)));
    Write("notes.txt", "no recording");
    options_.wav = scratch_ / "d";
    options_.front_end = {.frames = 2, .bands = 3, .window = 128};
  }
  void Write(const std::string& name, const std::string& bytes) {
    std::ofstream(scratch_ / ("d/" + name), std::ios::binary) << bytes;
    archive_ += TarMemberText("digits/" + name, bytes);
  }
  std::string Problem(const DataShape& shape) {
    const absl::Status status = LoadDataset(options_, shape).status();
    EXPECT_FALSE(status.ok());
    return Message(status);
  }

  ScratchDirectory scratch_;
  std::string archive_;
  DataOptions options_;
  const DataShape shape_ = {6, 2, {}, {}};
};

TEST_F(Recordings, AreTheSameFromAFolderAndFromATar) {
  const auto folder = LoadDataset(options_, shape_);
  ASSERT_TRUE(folder.ok()) << folder.status();
  EXPECT_EQ(folder->rows, 3u);
  EXPECT_EQ(folder->labels, (std::vector<uint32_t>{0, 0, 1}));
  EXPECT_EQ(folder->strata, (std::vector<uint32_t>{0, 0, 1}));
  options_.wav = scratch_ / "d.tar";
  std::ofstream(options_.wav, std::ios::binary) << archive_ << std::string(1024, '\0');
  const auto tar = LoadDataset(options_, shape_);
  ASSERT_TRUE(tar.ok()) << tar.status();
  EXPECT_EQ(tar->inputs, folder->inputs);
  EXPECT_EQ(tar->labels, folder->labels);
}

TEST_F(Recordings, AreChecked) {
  EXPECT_NE(Problem({7, 2, {}, {}}).find("give 6 inputs, but the network takes 7"),
            std::string::npos);
  EXPECT_NE(Problem({6, 1, {}, {}}).find("one real value"), std::string::npos);
  EXPECT_NE(Problem({6, 2, {}, {"0", "2"}}).find("'1' is none of the classes"), std::string::npos);
  Write("0_bob_2.wav", Wav(Sound(10), 16000));
  EXPECT_NE(Problem(shape_).find("0_bob_2.wav has 16000 samples per second"), std::string::npos);
  Write("0_bob_2.wav", "RIFF");
  EXPECT_NE(Problem(shape_).find("0_bob_2.wav is not a WAV file"), std::string::npos);
  std::filesystem::remove(scratch_ / "d/0_bob_2.wav");
  Write("noclass.wav", Wav(Sound(10)));
  EXPECT_NE(Problem(shape_).find("noclass.wav"), std::string::npos);
  options_.wav = scratch_ / "absent";
  EXPECT_NE(Problem(shape_).find("absent"), std::string::npos);
  std::filesystem::create_directory(options_.wav);
  EXPECT_NE(Problem(shape_).find("holds no .wav"), std::string::npos);
}

}  // namespace
}  // namespace lutdb
