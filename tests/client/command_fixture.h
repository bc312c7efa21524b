// Runs the real `tome` against a fake server.
#ifndef TOME_TESTS_CLIENT_COMMAND_FIXTURE_H_
#define TOME_TESTS_CLIENT_COMMAND_FIXTURE_H_

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "client/command/json.h"
#include "tests/client/fake_server.h"

namespace tome::command {

using client::FakeServer;

struct Outcome {
  int exit_code = -1;
  std::string out;
  std::string err;
};

// A running `tome`. Its output is collected by threads; its input stays open until CloseInput.
class Process {
 public:
  // With `terminal`, standard error is one, of 80 columns.
  explicit Process(std::vector<std::string> arguments, bool terminal = false) {
    arguments.insert(arguments.begin(), TOME_BINARY);
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    int in[2], out[2], err[2];
    EXPECT_EQ(pipe2(in, O_CLOEXEC), 0);
    EXPECT_EQ(pipe2(out, O_CLOEXEC), 0);
    winsize size{.ws_row = 24, .ws_col = 80, .ws_xpixel = 0, .ws_ypixel = 0};
    if (terminal) {
      EXPECT_EQ(openpty(&err[0], &err[1], nullptr, nullptr, &size), 0);
      fcntl(err[0], F_SETFD, FD_CLOEXEC);
    } else {
      EXPECT_EQ(pipe2(err, O_CLOEXEC), 0);
    }
    pid_ = fork();
    if (pid_ == 0) {
      dup2(in[0], STDIN_FILENO);
      dup2(out[1], STDOUT_FILENO);
      dup2(err[1], STDERR_FILENO);
      execv(argv[0], argv.data());
      _exit(127);
    }
    close(in[0]);
    close(out[1]);
    close(err[1]);
    input_ = in[1];
    readers_[0] = std::thread([this, from = out[0]] { Collect(from, &outcome_.out); });
    readers_[1] = std::thread([this, from = err[0]] { Collect(from, &outcome_.err); });
  }
  ~Process() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      Wait();
    }
  }

  void Write(const std::string& text) {
    ASSERT_EQ(write(input_, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  void CloseInput() {
    if (input_ >= 0) close(input_);
    input_ = -1;
  }
  void Signal(int signal) { kill(pid_, signal); }

  const Outcome& Wait() {
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    CloseInput();
    for (std::thread& reader : readers_) reader.join();
    outcome_.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
    return outcome_;
  }

 private:
  static void Collect(int from, std::string* to) {
    char part[4096];
    ssize_t size;
    while ((size = read(from, part, sizeof part)) > 0) to->append(part, size);
    close(from);
  }

  pid_t pid_ = -1;
  int input_ = -1;
  std::thread readers_[2];
  Outcome outcome_;
};

inline std::vector<Json> Lines(const std::string& text) {
  std::vector<Json> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(Json::parse(line));
  return lines;
}

class CommandTest : public ::testing::Test {
 protected:
  CommandTest() : folder_(std::filesystem::path(testing::TempDir()) / ("tome-command-" + std::to_string(getpid()))) {
    std::filesystem::create_directories(folder_);
    signal(SIGPIPE, SIG_IGN);
  }
  ~CommandTest() override { std::filesystem::remove_all(folder_); }

  std::vector<std::string> WithServer(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--server", server_.address()});
    return arguments;
  }
  Outcome Run(const std::vector<std::string>& arguments, const std::string& input = "") {
    Process process(WithServer(arguments));
    process.Write(input);
    process.CloseInput();
    return process.Wait();
  }
  std::string File(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name) << text;
    return folder_ / name;
  }

  FakeServer server_;
  std::filesystem::path folder_;
};

}  // namespace tome::command

#endif  // TOME_TESTS_CLIENT_COMMAND_FIXTURE_H_
