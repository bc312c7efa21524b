// The real tome-server, as a process of its own.
#ifndef TOME_TESTS_INTEGRATION_SERVER_PROCESS_H_
#define TOME_TESTS_INTEGRATION_SERVER_PROCESS_H_

#include <sys/types.h>

#include <map>
#include <string>
#include <thread>
#include <vector>

#include "tests/server/waiting.h"

namespace tome::testing {

// Not thread-safe, but for what it says.
class ServerProcess {
 public:
  // Starts the program with these arguments and exactly this environment.
  explicit ServerProcess(const std::vector<std::string>& arguments,
                         const std::map<std::string, std::string>& environment = {});
  // Kills it if it still runs.
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  // Waits until standard error has this text; false when the program ends without it.
  bool WaitForLog(const std::string& text);

  void Signal(int number) const;
  pid_t pid() const { return pid_; }
  // What ps and pkill call it.
  std::string Name() const;
  // Waits for the end: the exit code, or minus the number of the signal that ended it.
  int Wait();

  // What it has written so far.
  std::string Output() { return written_.Get().out; }
  std::string Errors() { return written_.Get().err; }

 private:
  struct Written {
    std::string out;
    std::string err;
    int open_streams = 2;
  };
  void Collect(int fd, std::string Written::* stream);

  pid_t pid_ = -1;
  bool running_ = false;
  int result_ = 0;
  Watched<Written> written_;
  std::vector<std::thread> collectors_;
};

// A program that ends by itself.
struct Finished {
  int exit_code = 0;
  std::string out;
  std::string err;
};
Finished RunServer(const std::vector<std::string>& arguments,
                   const std::map<std::string, std::string>& environment = {});

}  // namespace tome::testing

#endif  // TOME_TESTS_INTEGRATION_SERVER_PROCESS_H_
