#include "tests/integration/server_process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <fstream>

namespace tome::testing {
namespace {

// A null-terminated array of pointers into `strings`.
std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (std::string& text : strings) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::array<int, 2> MakePipe() {
  std::array<int, 2> ends{};
  EXPECT_EQ(pipe2(ends.data(), O_CLOEXEC), 0);
  return ends;
}

}  // namespace

ServerProcess::ServerProcess(const std::vector<std::string>& arguments,
                             const std::map<std::string, std::string>& environment) {
  std::vector<std::string> words = {TOME_SERVER_BINARY};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<std::string> variables;
  for (const auto& [name, value] : environment) variables.push_back(name + "=" + value);

  const std::array<int, 2> out = MakePipe();
  const std::array<int, 2> err = MakePipe();
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err[1], STDERR_FILENO);
  running_ = posix_spawn(&pid_, TOME_SERVER_BINARY, &actions, nullptr, Pointers(words).data(),
                         Pointers(variables).data()) == 0;
  EXPECT_TRUE(running_) << "cannot start " << TOME_SERVER_BINARY;
  posix_spawn_file_actions_destroy(&actions);
  close(out[1]);
  close(err[1]);
  collectors_.emplace_back([this, fd = out[0]] { Collect(fd, &Written::out); });
  collectors_.emplace_back([this, fd = err[0]] { Collect(fd, &Written::err); });
}

ServerProcess::~ServerProcess() {
  if (running_) {
    Signal(SIGKILL);
    Wait();
  }
  for (std::thread& collector : collectors_) collector.join();
}

void ServerProcess::Collect(int fd, std::string Written::* stream) {
  std::array<char, 4096> buffer;
  for (ssize_t size = 0; (size = read(fd, buffer.data(), buffer.size())) > 0;) {
    written_.Update([&](Written& written) { (written.*stream).append(buffer.data(), size); });
  }
  close(fd);
  written_.Update([](Written& written) { --written.open_streams; });
}

bool ServerProcess::WaitForLog(const std::string& text) {
  const auto has_text = [&](const Written& written) { return written.err.find(text) != std::string::npos; };
  return has_text(
      written_.WaitUntil([&](const Written& written) { return has_text(written) || written.open_streams == 0; }));
}

void ServerProcess::Signal(int number) const { kill(pid_, number); }

std::string ServerProcess::Name() const {
  std::string name;
  std::getline(std::ifstream("/proc/" + std::to_string(pid_) + "/comm"), name);
  return name;
}

int ServerProcess::Wait() {
  if (!running_) return result_;
  // Both streams are closed when it has ended.
  written_.WaitUntil([](const Written& written) { return written.open_streams == 0; });
  int status = 0;
  waitpid(pid_, &status, 0);
  running_ = false;
  result_ = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  return result_;
}

Finished RunServer(const std::vector<std::string>& arguments, const std::map<std::string, std::string>& environment) {
  ServerProcess process(arguments, environment);
  const int exit_code = process.Wait();
  return {.exit_code = exit_code, .out = process.Output(), .err = process.Errors()};
}

}  // namespace tome::testing
