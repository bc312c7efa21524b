// A bad connection: a proxy before a server that cuts every connection after some bytes.
#ifndef TOME_TESTS_INTEGRATION_CUTTING_PROXY_H_
#define TOME_TESTS_INTEGRATION_CUTTING_PROXY_H_

#include <atomic>
#include <cstddef>
#include <string>
#include <thread>

namespace tome::testing {

// Serves one connection at a time until it is destroyed.
class CuttingProxy {
 public:
  // `server_port`: on the loopback. Each connection is cut once so many bytes came from the server, or from the client.
  CuttingProxy(int server_port, std::size_t max_from_server, std::size_t max_from_client);
  ~CuttingProxy();
  CuttingProxy(const CuttingProxy&) = delete;
  CuttingProxy& operator=(const CuttingProxy&) = delete;

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  int connections() const { return connections_; }

 private:
  void Run();
  // Until one side closes or the connection is cut.
  void Forward(int client, int server);

  const int server_port_;
  const std::size_t max_from_server_;
  const std::size_t max_from_client_;
  int listener_ = -1;
  int stop_ = -1;  // an eventfd
  int port_ = 0;
  std::atomic<int> connections_ = 0;
  std::thread thread_;
};

}  // namespace tome::testing

#endif  // TOME_TESTS_INTEGRATION_CUTTING_PROXY_H_
