#include "tests/cli/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <iterator>

#include "tests/scratch_directory.h"

namespace lutdb {
namespace {

int Start(const std::vector<std::string>& words, const ProcessOptions& options,
          const std::string& out_path, const std::string& err_path) {
  const int process = fork();
  if (process != 0) return process;
  const int in = open("/dev/null", O_RDONLY);
  const int out = open(out_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  const int err = open(err_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (in < 0 || out < 0 || err < 0 || chdir(options.directory.c_str()) != 0) _exit(126);
  dup2(in, 0);
  dup2(out, 1);
  dup2(err, 2);
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  for (const std::string& variable : options.environment) putenv(strdup(variable.c_str()));
  execvp(arguments[0], arguments.data());
  _exit(127);
}

int WaitFor(int process) {
  int status = 0;
  while (waitpid(process, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

ProcessResult RunProcess(const std::vector<std::string>& words, const ProcessOptions& options) {
  ScratchDirectory scratch;
  const std::string out_path = options.out_path.empty() ? scratch / "out" : options.out_path;
  const int process = Start(words, options, out_path, scratch / "err");
  EXPECT_GT(process, 0);
  ProcessResult result;
  result.exit_code = WaitFor(process);
  if (options.out_path.empty()) result.out = ReadWholeFile(out_path);
  result.err = ReadWholeFile(scratch / "err");
  return result;
}

ProcessResult Lutdb(std::vector<std::string> words, const ProcessOptions& options) {
  words.insert(words.begin(), LUTDB_BINARY);
  return RunProcess(words, options);
}

ProcessResult LutdbInShell(const std::string& words) {
  return RunProcess({"sh", "-c", "\"$0\" " + words, LUTDB_BINARY});
}

RunningProcess::RunningProcess(const std::vector<std::string>& words, const std::string& err_path)
    : process_(Start(words, {}, "/dev/null", err_path)), err_path_(err_path) {}

void RunningProcess::Signal(int signal) { kill(process_, signal); }

ProcessResult RunningProcess::Wait() {
  ProcessResult result;
  result.exit_code = WaitFor(process_);
  result.err = ReadWholeFile(err_path_);
  return result;
}

std::string ReadWholeFile(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

void WriteWholeFile(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

std::string SourcePath(const std::string& path) {
  return std::string(LUTDB_SOURCE_DIR) + "/" + path;
}

}  // namespace lutdb
