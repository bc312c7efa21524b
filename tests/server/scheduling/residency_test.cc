#include "server/scheduling/residency.h"

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tome::server {
namespace {

class FakeState final : public Resident, public std::enable_shared_from_this<FakeState> {
 public:
  explicit FakeState(bool idle) : idle(idle) {}
  bool CanEvict() const override { return room && idle && saved; }
  bool CanSave() const override { return room && idle && !saved; }
  void Save() override { ++saves; }
  bool CanYield() const override { return room && !idle && patient && !yielding; }
  void Yield() override { yielding = true; }
  void KeepOn() override {
    yielding = false;
    ++kept_on;
  }
  std::optional<Reservation> TryEvict() override {
    if (busy_after_all) return std::nullopt;
    ++evictions;
    return std::exchange(room, std::nullopt);
  }
  void OnRoom(Reservation reservation) override { room.emplace(std::move(reservation)); }
  void OnGrown() override { ++grown; }

  // Drops its room.
  void Leave() { room.reset(); }

  bool idle;
  bool saved = true;
  bool patient = false;  // it has had its turn
  bool yielding = false;
  bool busy_after_all = false;
  int saves = 0;
  int evictions = 0;
  int grown = 0;
  int kept_on = 0;
  std::optional<Reservation> room;
};

class ResidencyTest : public ::testing::Test {
 protected:
  static std::shared_ptr<FakeState> Make(bool idle) { return std::make_shared<FakeState>(idle); }
  // Whether it has room then.
  bool Request(const std::shared_ptr<FakeState>& state, std::size_t bytes, Urgency urgency = Urgency::kReading) {
    residency_.Request(state, bytes, urgency);
    return state->room.has_value();
  }

  Observer observer_;
  Residency residency_{100, observer_};
};

TEST_F(ResidencyTest, EvictsTheLeastRecentlyUsedIdleStates) {
  const auto a = Make(true), b = Make(true), busy = Make(false), c = Make(true);
  EXPECT_TRUE(Request(busy, 40));
  EXPECT_TRUE(Request(a, 30));
  EXPECT_TRUE(Request(b, 30));
  residency_.Touch(a->room->number());
  EXPECT_TRUE(Request(c, 25));
  EXPECT_EQ(b->evictions, 1);
  EXPECT_EQ(a->evictions + busy->evictions, 0);
}

TEST_F(ResidencyTest, SavesTheLeastRecentlyUsedFirstAndEvictsThemThen) {
  const auto a = Make(true), b = Make(true), c = Make(true), big = Make(true);
  a->saved = b->saved = c->saved = false;
  EXPECT_TRUE(Request(a, 30));
  EXPECT_TRUE(Request(b, 30));
  EXPECT_TRUE(Request(c, 30));
  residency_.Touch(a->room->number());
  EXPECT_FALSE(Request(big, 60));
  EXPECT_EQ(b->saves, 1);
  EXPECT_EQ(c->saves, 1);
  EXPECT_EQ(a->saves, 0) << "the others are enough";
  EXPECT_EQ(b->evictions + c->evictions, 0);
  b->saved = c->saved = true;
  residency_.Reconsider();
  EXPECT_TRUE(big->room);
  EXPECT_EQ(b->evictions, 1);
  EXPECT_EQ(c->evictions, 1);
}

TEST_F(ResidencyTest, SavesNothingWhenThatWouldNotMakeEnoughRoom) {
  const auto idle = Make(true), busy = Make(false), big = Make(true);
  idle->saved = false;
  EXPECT_TRUE(Request(idle, 40));
  EXPECT_TRUE(Request(busy, 40));
  EXPECT_FALSE(Request(big, 70));
  EXPECT_EQ(idle->saves, 0);
}

TEST_F(ResidencyTest, EvictsNothingWhenThatWouldNotMakeEnoughRoom) {
  const auto idle = Make(true), busy = Make(false), big = Make(true);
  EXPECT_TRUE(Request(idle, 40));
  EXPECT_TRUE(Request(busy, 40));
  EXPECT_FALSE(Request(big, 70));
  EXPECT_EQ(idle->evictions, 0);
  EXPECT_FALSE(Request(big, 101));
  EXPECT_EQ(idle->evictions, 0);
}

TEST_F(ResidencyTest, StateThatBecameBusyKeepsItsRoom) {
  const auto a = Make(true), b = Make(true);
  a->busy_after_all = true;
  EXPECT_TRUE(Request(a, 60));
  EXPECT_FALSE(Request(b, 60));
  a->busy_after_all = false;
  residency_.Reconsider();
  EXPECT_TRUE(b->room);
}

TEST_F(ResidencyTest, ThoseThatWaitAreServedInOrder) {
  const auto a = Make(false), b = Make(false), c = Make(false), d = Make(false);
  EXPECT_TRUE(Request(a, 90));
  EXPECT_FALSE(Request(b, 50));
  EXPECT_FALSE(Request(c, 5)) << "there is room for it, but it is not its turn";
  EXPECT_FALSE(Request(d, 60));
  EXPECT_EQ(residency_.Place(*b), 1u);
  EXPECT_EQ(residency_.Place(*c), 2u);
  EXPECT_EQ(residency_.Place(*d), 3u);
  EXPECT_EQ(residency_.Place(*a), 0u);
  EXPECT_FALSE(Request(b, 55)) << "again";
  EXPECT_EQ(residency_.Place(*b), 1u) << "it keeps its place";
  a->Leave();
  EXPECT_TRUE(b->room);
  EXPECT_TRUE(c->room);
  EXPECT_FALSE(d->room);
  EXPECT_EQ(residency_.Place(*d), 1u);
  residency_.Cancel(*d);
  EXPECT_EQ(residency_.Place(*d), 0u);
  b->Leave();
  EXPECT_FALSE(d->room);
}

TEST_F(ResidencyTest, OneThatIsGoneHoldsNobodyUp) {
  const auto a = Make(false), c = Make(false);
  auto gone = Make(false);
  EXPECT_TRUE(Request(a, 100));
  EXPECT_FALSE(Request(gone, 100));
  EXPECT_FALSE(Request(c, 50));
  gone.reset();
  a->Leave();
  EXPECT_TRUE(c->room);
}

TEST_F(ResidencyTest, QuestionsGoBeforeReadingsButNotForEver) {
  const auto busy = Make(false);
  EXPECT_TRUE(Request(busy, 100));
  const auto reading = Make(true);
  Request(reading, 100);
  std::vector<std::shared_ptr<FakeState>> questions;
  for (int i = 0; i < 4; ++i) {
    questions.push_back(Make(true));
    Request(questions.back(), 100, Urgency::kQuestion);
  }
  EXPECT_EQ(residency_.Place(*reading), 5u);
  busy->Leave();
  std::vector<std::string> served;  // each is idle at once, and evicted for the next one
  for (int i = 0; i < 5; ++i) {
    if (reading->room) served.push_back("reading");
    for (int q = 0; q < 4; ++q) {
      if (questions[q]->room) served.push_back(std::to_string(q));
    }
    residency_.Reconsider();
  }
  EXPECT_THAT(served, ::testing::ElementsAre("0", "1", "reading", "2", "3"));
}

TEST_F(ResidencyTest, StatesGrowAsFarAsThereIsRoomAndBeforeNewOnes) {
  const auto a = Make(false), b = Make(false), c = Make(true);
  EXPECT_TRUE(Request(a, 40));
  EXPECT_TRUE(Request(b, 40));
  EXPECT_TRUE(residency_.Grow(a->room->number(), 50));
  EXPECT_TRUE(residency_.Grow(a->room->number(), 45)) << "it has more";
  EXPECT_FALSE(Request(c, 20));
  EXPECT_FALSE(residency_.Grow(a->room->number(), 70));
  EXPECT_EQ(residency_.Place(*c), 2u);
  b->Leave();
  EXPECT_EQ(a->grown, 1);
  EXPECT_TRUE(residency_.Grow(a->room->number(), 70));
  EXPECT_TRUE(c->room);
}

TEST_F(ResidencyTest, OfStatesThatWaitToGrowAllButTheFirstCanBeEvicted) {
  const auto a = Make(true), b = Make(true);
  a->idle = b->idle = false;
  EXPECT_TRUE(Request(a, 50));
  EXPECT_TRUE(Request(b, 50));
  a->idle = b->idle = true;  // as they wait
  a->saved = b->saved = false;
  EXPECT_FALSE(residency_.Grow(a->room->number(), 80));
  EXPECT_FALSE(residency_.Grow(b->room->number(), 80));
  EXPECT_GE(b->saves, 1);
  EXPECT_EQ(a->saves, 0);
  b->saved = true;
  residency_.Reconsider();
  EXPECT_EQ(b->evictions, 1);
  EXPECT_EQ(a->grown, 1);
  EXPECT_EQ(b->grown, 0) << "its wait ended with its eviction";
}

TEST_F(ResidencyTest, BusyStatesYieldOnceTheyHadTheirTurn) {
  const auto a = Make(false), b = Make(false), c = Make(false);
  EXPECT_TRUE(Request(a, 60));
  EXPECT_TRUE(Request(b, 40));
  EXPECT_FALSE(Request(c, 60));
  EXPECT_FALSE(a->yielding) << "not yet";
  a->patient = b->patient = true;
  residency_.Reconsider();
  EXPECT_TRUE(a->yielding);
  EXPECT_FALSE(b->yielding) << "one is enough";
  a->idle = true;  // its step has ended
  a->saved = false;
  residency_.Reconsider();
  EXPECT_EQ(a->saves, 1);
  a->saved = true;
  residency_.Reconsider();
  EXPECT_EQ(a->evictions, 1);
  EXPECT_TRUE(c->room);
}

TEST_F(ResidencyTest, StatesThatYieldKeepOnWhenNobodyWaitsAnyMore) {
  const auto a = Make(false), b = Make(false);
  EXPECT_TRUE(Request(a, 60));
  a->patient = true;
  EXPECT_FALSE(Request(b, 60));
  EXPECT_TRUE(a->yielding);
  residency_.Cancel(*b);
  EXPECT_EQ(a->kept_on, 1);
}

TEST_F(ResidencyTest, ReservesAtOnceOrNotAtAll) {
  const auto a = Make(true), b = Make(true), c = Make(true);
  a->room = residency_.TryReserve(a, 60);
  EXPECT_TRUE(a->room);
  EXPECT_FALSE(residency_.TryReserve(b, 60)) << "nobody is evicted for it";
  EXPECT_EQ(a->evictions, 0);
  a->idle = false;
  EXPECT_FALSE(Request(c, 60));
  EXPECT_FALSE(residency_.TryReserve(b, 10)) << "another one waits";
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
  residency.Request(a, 40);
  residency.Request(b, 50);
  const RoomNumber of_a = a->room->number(), of_b = b->room->number();
  residency.SetHeldBytes(of_a, {.state = 10, .archive = 20, .spilled = 1000});
  residency.SetHeldBytes(of_b, {.state = 1, .archive = 2, .spilled = 3});
  residency.SetHeldBytes(of_a, {.state = 11, .archive = 5, .spilled = 2000});
  EXPECT_EQ(bytes.reserved, 90u);
  EXPECT_EQ(bytes.held, 19u);
  EXPECT_EQ(bytes.resident, 7u);
  EXPECT_EQ(bytes.spilled, 2003u);
  a->Leave();
  EXPECT_EQ(bytes.reserved, 50u);
  EXPECT_EQ(bytes.held, 3u);
  EXPECT_EQ(bytes.spilled, 3u);
  residency.SetHeldBytes(of_a, {.state = 99});  // not there any more
  EXPECT_EQ(bytes.held, 3u);
}

TEST(ResidencyBytesTest, MoreThanWasReservedCountsAndPushesIdleStatesOut) {
  BytesRecorder bytes;
  Residency residency(100, bytes);
  const auto idle = std::make_shared<FakeState>(true), growing = std::make_shared<FakeState>(false),
             waiting = std::make_shared<FakeState>(true);
  residency.Request(idle, 40);
  residency.Request(growing, 40);
  const RoomNumber room = growing->room->number();
  residency.SetHeldBytes(room, {.state = 30, .archive = 25});
  EXPECT_EQ(bytes.reserved, 95u);
  EXPECT_EQ(idle->evictions, 0);
  residency.SetHeldBytes(room, {.state = 30, .archive = 80});
  EXPECT_EQ(idle->evictions, 1);
  EXPECT_EQ(growing->evictions, 0);
  EXPECT_EQ(bytes.reserved, 110u);
  residency.Request(waiting, 10);
  EXPECT_FALSE(waiting->room);
  residency.SetHeldBytes(room, {.state = 30, .archive = 10});
  EXPECT_EQ(bytes.reserved, 110u) << "until it is released";
  growing->Leave();
  EXPECT_TRUE(waiting->room);
}

TEST_F(ResidencyTest, RoomOfStatesThatAreGoneIsFree) {
  auto a = Make(false);
  EXPECT_TRUE(Request(a, 100));
  a.reset();
  const auto b = Make(false);
  EXPECT_TRUE(Request(b, 100));
}

// States that read, grow, come to rest, are saved or fail to be, in random order, each step of which tells the
// residency. Whatever happens, none waits while nothing is at work, and all is read in the end.
TEST(ResidencyPropertyTest, EveryoneGetsTheirTurn) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    BytesRecorder bytes;
    Residency residency(100, bytes);
    struct Session {
      std::shared_ptr<FakeState> state = std::make_shared<FakeState>(false);
      int work = 0;          // steps that are left
      std::size_t need = 0;  // bytes
      bool outgrown = false;
    };
    std::vector<Session> sessions(2 + random() % 12);
    for (Session& session : sessions) {
      session.work = 1 + static_cast<int>(random() % 6);
      session.need = 1 + random() % 60;
      session.state->saved = false;
      residency.Request(session.state, session.need, random() % 4 == 0 ? Urgency::kQuestion : Urgency::kReading);
    }
    int rounds = 0;
    const auto done = [&] {
      return std::all_of(sessions.begin(), sessions.end(), [](const Session& session) { return session.work == 0; });
    };
    while (!done()) {
      ASSERT_LT(++rounds, 10'000) << "someone waits for ever";
      Session& session = sessions[random() % sessions.size()];
      FakeState& state = *session.state;
      if (!state.room) {  // evicted, or not yet served
        state.idle = state.yielding = state.patient = session.outgrown = false;
        if (session.work > 0) residency.Request(session.state, session.need);
      } else if (state.yielding || session.work == 0) {
        state.idle = true;
        if (state.saves > 0) state.saved = true;  // also when it failed: it may go then
        residency.Reconsider();
      } else if (session.outgrown && !residency.Grow(state.room->number(), session.need)) {
        state.idle = true;  // it waits to grow
        if (state.saves > 0) state.saved = true;
        residency.Reconsider();
      } else {
        session.outgrown = false;
        state.idle = state.saved = false;
        state.saves = 0;
        state.patient = true;
        --session.work;
        residency.SetHeldBytes(state.room->number(), {.state = session.need});
        if (session.need < 90 && random() % 3 == 0) {
          session.need += random() % 10;
          session.outgrown = true;
        }
      }
      EXPECT_LE(bytes.reserved, 100u);
    }
  }
}

}  // namespace
}  // namespace tome::server
