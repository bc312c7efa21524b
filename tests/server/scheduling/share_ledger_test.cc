#include "server/scheduling/share_ledger.h"

#include "gtest/gtest.h"

namespace tome::server {
namespace {

// The part of the time that reading gets in a long contest, with steps of these lengths.
double ShareInAContest(double reading_share, absl::Duration question_step, absl::Duration reading_step) {
  ShareLedger ledger(reading_share);
  absl::Duration reading, total;
  while (total < absl::Seconds(1000)) {
    const bool reading_is_next = ledger.ReadingIsNext(true, true);
    const absl::Duration step = reading_is_next ? reading_step : question_step;
    ledger.Charge(reading_is_next, step);
    total += step;
    if (reading_is_next) reading += step;
  }
  return absl::FDivDuration(reading, total);
}

TEST(ShareLedgerTest, ReadingGetsItsShareWhateverTheLengthOfTheSteps) {
  for (const double share : {0.0, 0.1, 0.25, 0.5, 0.9, 1.0}) {
    for (const auto& [question, reading] : {std::pair(absl::Milliseconds(20), absl::Milliseconds(300)),
                                            std::pair(absl::Milliseconds(300), absl::Milliseconds(20)),
                                            std::pair(absl::Milliseconds(7), absl::Milliseconds(7))}) {
      EXPECT_NEAR(ShareInAContest(share, question, reading), share, 0.01) << question << " " << reading;
    }
  }
}

TEST(ShareLedgerTest, QuestionsGoFirst) {
  ShareLedger ledger(0.25);
  EXPECT_FALSE(ledger.ReadingIsNext(true, true));
}

TEST(ShareLedgerTest, WhoIsAloneHasAllTheTime) {
  ShareLedger ledger(0.25);
  EXPECT_TRUE(ledger.ReadingIsNext(false, true));
  EXPECT_FALSE(ledger.ReadingIsNext(true, false));
}

TEST(ShareLedgerTest, ClaimsAreNotSavedUp) {
  ShareLedger ledger(0.5);
  for (int i = 0; i < 100; ++i) {  // questions alone
    EXPECT_FALSE(ledger.ReadingIsNext(true, false));
    ledger.Charge(false, absl::Seconds(1));
  }
  EXPECT_FALSE(ledger.ReadingIsNext(true, true));
  ledger.Charge(false, absl::Seconds(1));
  EXPECT_TRUE(ledger.ReadingIsNext(true, true));
  ledger.Charge(true, absl::Seconds(1));
  EXPECT_FALSE(ledger.ReadingIsNext(true, true)) << "nothing is owed for the time before";
}

}  // namespace
}  // namespace tome::server
