// The calls of the API, each with a request that is answered, to be changed field by field.
#ifndef TOME_TESTS_SWEEP_ENTRIES_H_
#define TOME_TESTS_SWEEP_ENTRIES_H_

#include <memory>
#include <string>
#include <vector>

#include "google/protobuf/message.h"
#include "tests/sweep/sweep_server.h"

namespace tome::testing {

using Messages = std::vector<std::unique_ptr<google::protobuf::Message>>;

class Entry {
 public:
  Entry(std::string service, std::string name) : service_(std::move(service)), name_(std::move(name)) {}
  virtual ~Entry() = default;

  const std::string& name() const { return name_; }
  std::string method() const { return "/tome.v1." + service_ + "/" + name_; }

  // Messages of a call that succeeds; what they need is there then. At least one; all of one type.
  virtual Messages Make(SweepServer& server) = 0;
  // After a call with other messages: looks at what it did, and takes it away where it is not wanted.
  virtual void After(SweepServer& /*server*/, const CallResult& /*result*/) {}

 private:
  std::string service_, name_;
};

// The session that questions are about, and that no call changes.
inline constexpr char kBook[] = "book";

// All calls of both services. Makes the sessions that they are about.
std::vector<std::unique_ptr<Entry>> MakeEntries(SweepServer& server);
Entry& FindEntry(const std::vector<std::unique_ptr<Entry>>& entries, const std::string& name);

// That every document is read to its end.
void ExpectAllRead(SweepServer& server, const std::string& session);

}  // namespace tome::testing

#endif  // TOME_TESTS_SWEEP_ENTRIES_H_
