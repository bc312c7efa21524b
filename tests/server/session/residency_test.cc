#include "server/session/residency.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tome::server {
namespace {

class FakeState final : public Resident {
 public:
  explicit FakeState(bool idle) : idle(idle) {}
  bool CanEvict() const override { return idle && saved; }
  bool CanSave() const override { return idle && !saved; }
  void Save() override { ++saves; }
  bool TryEvict() override {
    if (busy_after_all) return false;
    ++evictions;
    return true;
  }
  void OnRoom() override { ++rooms; }

  bool idle;
  bool saved = true;
  bool busy_after_all = false;
  int saves = 0;
  int evictions = 0;
  int rooms = 0;
};

class ResidencyTest : public ::testing::Test {
 protected:
  static std::shared_ptr<FakeState> Make(bool idle) { return std::make_shared<FakeState>(idle); }

  Observer observer_;
  Residency residency_{100, observer_};
};

TEST_F(ResidencyTest, EvictsTheLeastRecentlyUsedIdleStates) {
  const auto a = Make(true), b = Make(true), busy = Make(false), c = Make(true);
  EXPECT_EQ(residency_.Reserve(busy, 40), Room::kReserved);
  EXPECT_EQ(residency_.Reserve(a, 30), Room::kReserved);
  EXPECT_EQ(residency_.Reserve(b, 30), Room::kReserved);
  residency_.Touch(*a);
  EXPECT_EQ(residency_.Reserve(c, 25), Room::kReserved);
  EXPECT_EQ(b->evictions, 1);
  EXPECT_EQ(a->evictions + busy->evictions, 0);
  EXPECT_EQ(residency_.Reserve(c, 25), Room::kReserved) << "it has its room";
}

TEST_F(ResidencyTest, SavesTheLeastRecentlyUsedFirstAndEvictsThemThen) {
  const auto a = Make(true), b = Make(true), c = Make(true), big = Make(true);
  a->saved = b->saved = c->saved = false;
  EXPECT_EQ(residency_.Reserve(a, 30), Room::kReserved);
  EXPECT_EQ(residency_.Reserve(b, 30), Room::kReserved);
  EXPECT_EQ(residency_.Reserve(c, 30), Room::kReserved);
  residency_.Touch(*a);
  EXPECT_EQ(residency_.Reserve(big, 60), Room::kComing);
  EXPECT_EQ(b->saves, 1);
  EXPECT_EQ(c->saves, 1);
  EXPECT_EQ(a->saves, 0) << "the others are enough";
  EXPECT_EQ(b->evictions + c->evictions, 0);
  b->saved = c->saved = true;
  residency_.NotifyRoom();
  EXPECT_EQ(big->rooms, 1);
  EXPECT_EQ(residency_.Reserve(big, 60), Room::kReserved);
  EXPECT_EQ(b->evictions, 1);
  EXPECT_EQ(c->evictions, 1);
}

TEST_F(ResidencyTest, SavesNothingWhenThatWouldNotMakeEnoughRoom) {
  const auto idle = Make(true), busy = Make(false), big = Make(true);
  idle->saved = false;
  EXPECT_EQ(residency_.Reserve(idle, 40), Room::kReserved);
  EXPECT_EQ(residency_.Reserve(busy, 40), Room::kReserved);
  EXPECT_EQ(residency_.Reserve(big, 70), Room::kNone);
  EXPECT_EQ(idle->saves, 0);
}

TEST_F(ResidencyTest, EvictsNothingWhenThatWouldNotMakeEnoughRoom) {
  const auto idle = Make(true), busy = Make(false), big = Make(true);
  EXPECT_EQ(residency_.Reserve(idle, 40), Room::kReserved);
  EXPECT_EQ(residency_.Reserve(busy, 40), Room::kReserved);
  EXPECT_EQ(residency_.Reserve(big, 70), Room::kNone);
  EXPECT_EQ(idle->evictions, 0);
  EXPECT_EQ(residency_.Reserve(big, 101), Room::kNone);
  EXPECT_EQ(idle->evictions, 0);
}

TEST_F(ResidencyTest, StateThatBecameBusyKeepsItsRoom) {
  const auto a = Make(true), b = Make(true);
  a->busy_after_all = true;
  EXPECT_EQ(residency_.Reserve(a, 60), Room::kReserved);
  EXPECT_EQ(residency_.Reserve(b, 60), Room::kNone);
  a->busy_after_all = false;
  EXPECT_EQ(residency_.Reserve(b, 60), Room::kReserved);
}

TEST_F(ResidencyTest, ThoseThatWaitAreToldOnceWhenThereMayBeRoom) {
  const auto a = Make(false), b = Make(false);
  auto gone = Make(false);
  EXPECT_EQ(residency_.Reserve(a, 100), Room::kReserved);
  EXPECT_EQ(residency_.Reserve(b, 50), Room::kNone);
  EXPECT_EQ(residency_.Reserve(gone, 50), Room::kNone);
  gone.reset();
  EXPECT_EQ(b->rooms, 0);
  residency_.Release(*a);
  EXPECT_EQ(b->rooms, 1);
  residency_.NotifyRoom();
  EXPECT_EQ(b->rooms, 1);
  EXPECT_EQ(residency_.Reserve(b, 50), Room::kReserved);
}

class BytesRecorder final : public Observer {
 public:
  void OnStateBytes(std::size_t reserved_in, std::size_t held_in) override {
    reserved = reserved_in;
    held = held_in;
  }
  void OnArchiveBytes(std::size_t resident_in, std::size_t spilled_in) override {
    resident = resident_in;
    spilled = spilled_in;
  }
  std::size_t reserved = 0, held = 0, resident = 0, spilled = 0;
};

TEST(ResidencyBytesTest, AreSumsOverTheStatesThatAreThere) {
  BytesRecorder bytes;
  Residency residency(100, bytes);
  const auto a = std::make_shared<FakeState>(true), b = std::make_shared<FakeState>(true);
  residency.Reserve(a, 40);
  residency.Reserve(b, 50);
  residency.SetHeldBytes(*a, {.state = 10, .archive = 20, .spilled = 1000});
  residency.SetHeldBytes(*b, {.state = 1, .archive = 2, .spilled = 3});
  residency.SetHeldBytes(*a, {.state = 11, .archive = 5, .spilled = 2000});
  EXPECT_EQ(bytes.reserved, 90u);
  EXPECT_EQ(bytes.held, 19u);
  EXPECT_EQ(bytes.resident, 7u);
  EXPECT_EQ(bytes.spilled, 2003u);
  residency.Release(*a);
  EXPECT_EQ(bytes.reserved, 50u);
  EXPECT_EQ(bytes.held, 3u);
  EXPECT_EQ(bytes.spilled, 3u);
  residency.SetHeldBytes(*a, {.state = 99});  // not there any more
  EXPECT_EQ(bytes.held, 3u);
}

TEST(ResidencyBytesTest, MoreThanWasReservedCountsAndPushesIdleStatesOut) {
  BytesRecorder bytes;
  Residency residency(100, bytes);
  const auto idle = std::make_shared<FakeState>(true), growing = std::make_shared<FakeState>(true),
             waiting = std::make_shared<FakeState>(true);
  residency.Reserve(idle, 40);
  residency.Reserve(growing, 40);
  residency.SetHeldBytes(*growing, {.state = 30, .archive = 25});
  EXPECT_EQ(bytes.reserved, 95u);
  EXPECT_EQ(idle->evictions, 0);
  residency.SetHeldBytes(*growing, {.state = 30, .archive = 80});
  EXPECT_EQ(idle->evictions, 1);
  EXPECT_EQ(growing->evictions, 0) << "it does not make room for itself";
  EXPECT_EQ(bytes.reserved, 110u);
  growing->idle = false;
  EXPECT_EQ(residency.Reserve(waiting, 10), Room::kNone);
  residency.SetHeldBytes(*growing, {.state = 30, .archive = 10});
  EXPECT_EQ(bytes.reserved, 110u) << "until it is released";
  residency.Release(*growing);
  EXPECT_EQ(residency.Reserve(waiting, 10), Room::kReserved);
}

TEST_F(ResidencyTest, RoomOfStatesThatAreGoneIsFree) {
  auto a = Make(false);
  EXPECT_EQ(residency_.Reserve(a, 100), Room::kReserved);
  a.reset();
  EXPECT_EQ(residency_.Reserve(Make(false), 100), Room::kReserved);
}

}  // namespace
}  // namespace tome::server
