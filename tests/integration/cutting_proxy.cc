#include "tests/integration/cutting_proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>

#include "gtest/gtest.h"

namespace tome::testing {
namespace {

sockaddr_in Loopback(int port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// Moves what is there; false when the connection is over or `left` is used up.
bool Move(int from, int to, std::size_t* left) {
  std::array<char, 16384> buffer;
  const ssize_t size = read(from, buffer.data(), std::min(buffer.size(), *left));
  if (size <= 0) return false;
  *left -= static_cast<std::size_t>(size);
  for (ssize_t at = 0; at < size;) {
    const ssize_t written = send(to, buffer.data() + at, static_cast<std::size_t>(size - at), MSG_NOSIGNAL);
    if (written < 0) return false;
    at += written;
  }
  return *left > 0;
}

}  // namespace

CuttingProxy::CuttingProxy(int server_port, std::size_t max_from_server, std::size_t max_from_client)
    : server_port_(server_port),
      max_from_server_(max_from_server),
      max_from_client_(max_from_client),
      listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)),
      stop_(eventfd(0, EFD_CLOEXEC)) {
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof address;
  EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_EQ(listen(listener_, 16), 0);
  EXPECT_EQ(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size), 0);
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { Run(); });
}

CuttingProxy::~CuttingProxy() {
  const std::uint64_t one = 1;
  EXPECT_EQ(write(stop_, &one, sizeof one), static_cast<ssize_t>(sizeof one));
  thread_.join();
  close(listener_);
  close(stop_);
}

void CuttingProxy::Run() {
  while (true) {
    pollfd waited[2] = {{.fd = stop_, .events = POLLIN}, {.fd = listener_, .events = POLLIN}};
    if (poll(waited, 2, -1) < 0 || waited[0].revents != 0) return;
    const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    const int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = Loopback(server_port_);
    ++connections_;
    if (connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) Forward(client, server);
    close(client);
    close(server);
  }
}

void CuttingProxy::Forward(int client, int server) {
  std::size_t from_client = max_from_client_, from_server = max_from_server_;
  while (true) {
    pollfd waited[3] = {
        {.fd = stop_, .events = POLLIN}, {.fd = client, .events = POLLIN}, {.fd = server, .events = POLLIN}};
    if (poll(waited, 3, -1) < 0 || waited[0].revents != 0) return;
    if (waited[1].revents != 0 && !Move(client, server, &from_client)) return;
    if (waited[2].revents != 0 && !Move(server, client, &from_server)) return;
  }
}

}  // namespace tome::testing
