#include "base/file.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "base/status.h"
#include "tests/scratch_directory.h"

namespace lutdb {
namespace {

using ::testing::HasSubstr;

TEST(MappedFile, ShowsTheBytesOfAFile) {
  const ScratchDirectory scratch;
  const std::string path = scratch / "a";
  ASSERT_TRUE(WriteFileAtomically(path, "hello").ok());
  auto mapped = MappedFile::Open(path);
  ASSERT_TRUE(mapped.ok()) << mapped.status();
  EXPECT_EQ(mapped->view(), "hello");
  EXPECT_EQ(mapped->path(), path);
  const MappedFile moved = *std::move(mapped);
  EXPECT_EQ(moved.view(), "hello");
}

TEST(MappedFile, MapsAnEmptyFileToNothing) {
  const ScratchDirectory scratch;
  ASSERT_TRUE(WriteFileAtomically(scratch / "a", "").ok());
  const auto mapped = MappedFile::Open(scratch / "a");
  ASSERT_TRUE(mapped.ok()) << mapped.status();
  EXPECT_EQ(mapped->size(), 0u);
}

TEST(MappedFile, SaysWhatIsWrong) {
  const ScratchDirectory scratch;
  const auto absent = MappedFile::Open(scratch / "absent");
  EXPECT_EQ(absent.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(Message(absent.status()), HasSubstr(scratch / "absent"));
  EXPECT_EQ(MappedFile::Open(scratch.path()).status().code(),
            absl::StatusCode::kFailedPrecondition);
  ASSERT_EQ(::mkfifo((scratch / "fifo").c_str(), 0600), 0);
  EXPECT_EQ(MappedFile::Open(scratch / "fifo").status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST(ReadFile, RefusesMoreThanIsExpected) {
  const ScratchDirectory scratch;
  ASSERT_TRUE(WriteFileAtomically(scratch / "a", "12345").ok());
  EXPECT_EQ(*ReadFile(scratch / "a", 5), "12345");
  EXPECT_EQ(ReadFile(scratch / "a", 4).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReadFile(scratch / "b", 4).status().code(), absl::StatusCode::kNotFound);
}

TEST(WriteFileAtomically, ReplacesAndLeavesNoTemporaryFile) {
  const ScratchDirectory scratch;
  ASSERT_TRUE(WriteFileAtomically(scratch / "a", "old").ok());
  ASSERT_TRUE(WriteFileAtomically(scratch / "a", std::string(100000, 'n')).ok());
  EXPECT_EQ(*ReadFile(scratch / "a", 1 << 20), std::string(100000, 'n'));
  EXPECT_FALSE(PathExists(scratch / "a.tmp"));
}

TEST(WriteFileAtomically, TakesPieces) {
  const ScratchDirectory scratch;
  const auto write = [](const AppendBytes& append) {
    const absl::Status status = append("one, ");
    return status.ok() ? append("two") : status;
  };
  ASSERT_TRUE(WriteFileAtomically(scratch / "a", write).ok());
  const auto fail = [](const AppendBytes& append) {
    (void)append("three");
    return absl::CancelledError("enough");
  };
  EXPECT_TRUE(absl::IsCancelled(WriteFileAtomically(scratch / "a", fail)));
  EXPECT_EQ(*ReadFile(scratch / "a", 100), "one, two");
  EXPECT_FALSE(PathExists(scratch / "a.tmp"));
}

TEST(WriteFileAtomically, KeepsTheOldBytesWhenItFails) {
  const ScratchDirectory scratch;
  EXPECT_EQ(WriteFileAtomically(scratch / "no/such", "x").code(), absl::StatusCode::kNotFound);
  // A directory stands where the file should go.
  ASSERT_TRUE(MakeDirectory(scratch / "d").ok());
  ASSERT_TRUE(WriteFileAtomically(scratch / "d/inside", "x").ok());
  EXPECT_FALSE(WriteFileAtomically(scratch / "d", "y").ok());
  EXPECT_TRUE(IsDirectory(scratch / "d"));
  EXPECT_FALSE(PathExists(scratch / "d.tmp"));
}

TEST(WriteFileAtomically, NeverShowsAMixture) {
  const ScratchDirectory scratch;
  const std::string path = scratch / "a";
  ASSERT_TRUE(WriteFileAtomically(path, std::string(5000, 'a')).ok());
  const pid_t child = ::fork();
  if (child == 0) {
    for (int i = 0;; ++i) {
      (void)WriteFileAtomically(path, std::string(5000 + i % 3, static_cast<char>('a' + i % 3)));
    }
  }
  for (int i = 0; i < 200; ++i) {
    const auto bytes = ReadFile(path, 1 << 20);
    ASSERT_TRUE(bytes.ok()) << bytes.status();
    ASSERT_EQ(bytes->find_first_not_of(bytes->front()), std::string::npos);
    ASSERT_EQ(bytes->size(), bytes->front() == 'a' ? 5000u : 4903u + bytes->front());
  }
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_TRUE(ReadFile(path, 1 << 20).ok());
}

TEST(FileLock, HasOneHolderAtATime) {
  const ScratchDirectory scratch;
  auto first = FileLock::Acquire(scratch / "lock", 0);
  ASSERT_TRUE(first.ok()) << first.status();
  const auto begin = std::chrono::steady_clock::now();
  const auto second = FileLock::Acquire(scratch / "lock", 0.1);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(100));
  EXPECT_THAT(Message(second.status()), HasSubstr("another writer"));
  first->reset();
  EXPECT_TRUE(FileLock::Acquire(scratch / "lock", 0).ok());
}

TEST(FileLock, IsGivenToWhoWaits) {
  const ScratchDirectory scratch;
  auto first = FileLock::Acquire(scratch / "lock", 0);
  ASSERT_TRUE(first.ok());
  std::thread releases([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(60));
    first->reset();
  });
  EXPECT_TRUE(FileLock::Acquire(scratch / "lock", 30).ok());
  releases.join();
}

TEST(FileLock, DiesWithItsProcess) {
  const ScratchDirectory scratch;
  const pid_t child = ::fork();
  if (child == 0) {
    const auto lock = FileLock::Acquire(scratch / "lock", 0);
    ::_exit(lock.ok() ? 7 : 8);  // without releasing it
  }
  int result = 0;
  ::waitpid(child, &result, 0);
  ASSERT_EQ(WEXITSTATUS(result), 7);
  EXPECT_TRUE(FileLock::Acquire(scratch / "lock", 0).ok());
}

TEST(Paths, AreMadeRenamedAndRemoved) {
  const ScratchDirectory scratch;
  ASSERT_TRUE(MakeDirectory(scratch / "a").ok());
  EXPECT_TRUE(MakeDirectory(scratch / "a").ok());  // again
  EXPECT_EQ(MakeDirectory(scratch / "x/y").code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(WriteFileAtomically(scratch / "a/f", "x").ok());
  EXPECT_FALSE(MakeDirectory(scratch / "a/f").ok());
  ASSERT_TRUE(RenamePath(scratch / "a", scratch / "b").ok());
  EXPECT_FALSE(PathExists(scratch / "a"));
  EXPECT_TRUE(IsDirectory(scratch / "b"));
  EXPECT_FALSE(IsDirectory(scratch / "b/f"));
  EXPECT_EQ(RenamePath(scratch / "a", scratch / "c").code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(RemovePath(scratch / "b").ok());
  EXPECT_TRUE(RemovePath(scratch / "b").ok());  // absent
  EXPECT_FALSE(PathExists(scratch / "b"));
}

TEST(Paths, AreTakenApartAndJoined) {
  EXPECT_EQ(JoinPath("a", "b"), "a/b");
  EXPECT_EQ(JoinPath("a/", "b"), "a/b");
  EXPECT_EQ(JoinPath("", "b"), "b");
  EXPECT_EQ(DirectoryOf("a"), ".");
  EXPECT_EQ(DirectoryOf("a/b"), "a");
  EXPECT_EQ(DirectoryOf("a/b/"), "a");
  EXPECT_EQ(DirectoryOf("/a"), "/");
  EXPECT_EQ(DirectoryOf("/"), "/");
  EXPECT_EQ(DirectoryOf("."), ".");
  EXPECT_EQ(BaseName("a/b"), "b");
  EXPECT_EQ(BaseName("a/b//"), "b");
  EXPECT_EQ(BaseName("b"), "b");
  EXPECT_EQ(BaseName("/"), "/");
}

TEST(FreeDiskBytes, AsksTheNearestParent) {
  const ScratchDirectory scratch;
  const auto here = FreeDiskBytes(scratch.path());
  ASSERT_TRUE(here.ok());
  EXPECT_GT(*here, 0u);
  EXPECT_TRUE(FreeDiskBytes(scratch / "not/yet/there").ok());
  EXPECT_TRUE(FreeDiskBytes("not-yet-there").ok());
}

}  // namespace
}  // namespace lutdb
