#include "server/scheduling/question_gate.h"

#include <string>

#include "gtest/gtest.h"

namespace tome::server {
namespace {

class QuestionGateTest : public ::testing::Test {
 protected:
  std::shared_ptr<QuestionGate::Ticket> Request(char name) {
    auto ticket = gate_.Enter();
    if (ticket) gate_.RequestSlot(ticket, [this, name] { granted_ += name; });
    return ticket;
  }

  Observer observer_;
  QuestionGate gate_{/*max_running=*/2, /*max_waiting=*/3, observer_};
  std::string granted_;
};

TEST_F(QuestionGateTest, GrantsSlotsInOrderAsTheyBecomeFree) {
  const auto a = Request('a'), b = Request('b'), c = Request('c'), d = Request('d');
  EXPECT_EQ(granted_, "ab");
  gate_.Leave(b);
  EXPECT_EQ(granted_, "abc");
  gate_.Leave(b);  // once is enough
  EXPECT_EQ(granted_, "abc");
  gate_.Leave(a);
  EXPECT_EQ(granted_, "abcd");
}

TEST_F(QuestionGateTest, OneThatLeavesTheQueueIsNotGranted) {
  const auto a = Request('a'), b = Request('b'), c = Request('c'), d = Request('d');
  gate_.Leave(c);
  gate_.Leave(a);
  EXPECT_EQ(granted_, "abd");
  gate_.RequestSlot(c, [this] { granted_ += '!'; });
  gate_.Leave(b);
  gate_.Leave(d);
  EXPECT_EQ(granted_, "abd");
}

TEST_F(QuestionGateTest, LimitsThoseThatWait) {
  std::vector<std::shared_ptr<QuestionGate::Ticket>> tickets;
  for (int i = 0; i < 5; ++i) {
    tickets.push_back(gate_.Enter());
    EXPECT_NE(tickets.back(), nullptr);
  }
  EXPECT_EQ(gate_.Enter(), nullptr);
  gate_.Leave(tickets[1]);
  EXPECT_NE(gate_.Enter(), nullptr);
}

}  // namespace
}  // namespace tome::server
