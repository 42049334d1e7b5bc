// CSV, tar and WAV files come from anywhere.

#include <fmt/format.h>

#include "base/check.h"
#include "engine/csv_reader.h"
#include "engine/tar_file.h"
#include "engine/wav_file.h"
#include "tests/fuzz/fuzz_target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t count) {
  const std::string_view text(reinterpret_cast<const char*>(bytes), count);
  lutdb::CsvReader reader(text, "x.csv");
  std::vector<std::string> fields;
  size_t held = 0;
  for (;;) {
    const auto any = reader.Next(&fields);
    if (!any.ok() || !*any) break;
    LUTDB_CHECK(!fields.empty());
    for (const std::string& field : fields) held += field.size();
  }
  LUTDB_CHECK(held <= count);
  if (const auto members = lutdb::ListTar(text, "x.tar"); members.ok()) {
    for (const lutdb::TarMember& member : *members) LUTDB_CHECK(member.bytes.size() <= count);
  }
  if (const auto sound = lutdb::ParseWav(text, "x.wav"); sound.ok()) {
    LUTDB_CHECK(sound->rate > 0 && !sound->samples.empty() && sound->samples.size() <= count);
  }
  return 0;
}

std::vector<std::string> lutdb::FuzzSeeds() {
  const std::string wav(
      "RIFF\x2a\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x80\x3e\0\0\2\0\x10\0"
      "data\6\0\0\0\1\2\3\4\5\6",
      50);
  std::string header(512, '\0');
  header.replace(0, 1, "a").replace(124, 11, "00000000002").replace(156, 1, "0");
  header.replace(148, 8, std::string(8, ' '));
  unsigned sum = 0;
  for (const char c : header) sum += static_cast<uint8_t>(c);
  header.replace(148, 6, fmt::format("{:06o}", sum));
  return {"a,b,\"c\"\n1,,\"x\"\"\n,y\"\r\n\n 2 ,3,4", wav, header + "hi" + std::string(510, '\0')};
}
