#include "server/session/residency.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tome::server {
namespace {

class FakeState final : public Resident {
 public:
  explicit FakeState(bool idle) : idle(idle) {}
  bool CanEvict() const override { return idle; }
  bool TryEvict() override {
    if (busy_after_all) return false;
    ++evictions;
    return true;
  }
  void OnRoom() override { ++rooms; }

  bool idle;
  bool busy_after_all = false;
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
  EXPECT_TRUE(residency_.Reserve(busy, 40));
  EXPECT_TRUE(residency_.Reserve(a, 30));
  EXPECT_TRUE(residency_.Reserve(b, 30));
  residency_.Touch(*a);
  EXPECT_TRUE(residency_.Reserve(c, 25));
  EXPECT_EQ(b->evictions, 1);
  EXPECT_EQ(a->evictions + busy->evictions, 0);
  EXPECT_TRUE(residency_.Reserve(c, 25)) << "it has its room";
}

TEST_F(ResidencyTest, EvictsNothingWhenThatWouldNotMakeEnoughRoom) {
  const auto idle = Make(true), busy = Make(false), big = Make(true);
  EXPECT_TRUE(residency_.Reserve(idle, 40));
  EXPECT_TRUE(residency_.Reserve(busy, 40));
  EXPECT_FALSE(residency_.Reserve(big, 70));
  EXPECT_EQ(idle->evictions, 0);
  EXPECT_FALSE(residency_.Reserve(big, 101));
  EXPECT_EQ(idle->evictions, 0);
}

TEST_F(ResidencyTest, StateThatBecameBusyKeepsItsRoom) {
  const auto a = Make(true), b = Make(true);
  a->busy_after_all = true;
  EXPECT_TRUE(residency_.Reserve(a, 60));
  EXPECT_FALSE(residency_.Reserve(b, 60));
  a->busy_after_all = false;
  EXPECT_TRUE(residency_.Reserve(b, 60));
}

TEST_F(ResidencyTest, ThoseThatWaitAreToldOnceWhenThereMayBeRoom) {
  const auto a = Make(false), b = Make(false);
  auto gone = Make(false);
  EXPECT_TRUE(residency_.Reserve(a, 100));
  EXPECT_FALSE(residency_.Reserve(b, 50));
  EXPECT_FALSE(residency_.Reserve(gone, 50));
  gone.reset();
  EXPECT_EQ(b->rooms, 0);
  residency_.Release(*a);
  EXPECT_EQ(b->rooms, 1);
  residency_.NotifyRoom();
  EXPECT_EQ(b->rooms, 1);
  EXPECT_TRUE(residency_.Reserve(b, 50));
}

TEST_F(ResidencyTest, RoomOfStatesThatAreGoneIsFree) {
  auto a = Make(false);
  EXPECT_TRUE(residency_.Reserve(a, 100));
  a.reset();
  EXPECT_TRUE(residency_.Reserve(Make(false), 100));
}

}  // namespace
}  // namespace tome::server
