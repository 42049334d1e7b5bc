// The real program, run as a user runs it.
#pragma once

#include <string>
#include <vector>

namespace lutdb {

struct ProcessResult {
  int exit_code = -1;  // 128 + signal when killed by one
  std::string out;
  std::string err;
};

struct ProcessOptions {
  std::string directory = ".";
  std::vector<std::string> environment{};  // NAME=VALUE, added to ours
  std::string out_path{};                  // standard output goes here instead of into `out`
};

// Runs a program found by PATH or path and waits for it.
ProcessResult RunProcess(const std::vector<std::string>& words, const ProcessOptions& options = {});

// The lutdb of this build.
ProcessResult Lutdb(std::vector<std::string> words, const ProcessOptions& options = {});

// The same through a shell, with what a shell alone can do ("2>&-").
ProcessResult LutdbInShell(const std::string& words);

// Started and not waited for, so that it can be signalled. Its standard error is kept.
class RunningProcess {
 public:
  RunningProcess(const std::vector<std::string>& words, const std::string& err_path);
  void Signal(int signal);
  ProcessResult Wait();  // once

 private:
  int process_ = -1;
  std::string err_path_;
};

std::string ReadWholeFile(const std::string& path);
void WriteWholeFile(const std::string& path, const std::string& bytes);
// A path inside the source tree.
std::string SourcePath(const std::string& path);

}  // namespace lutdb
