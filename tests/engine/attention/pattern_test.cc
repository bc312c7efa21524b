#include "engine/attention/pattern.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "tests/support/status_matchers.h"

namespace tome {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

AttentionPattern Parse(std::string_view text) {
  auto pattern = AttentionPattern::Parse(text);
  EXPECT_THAT(pattern, IsOk()) << text;
  return pattern.ok() ? *pattern : AttentionPattern();
}

// What the heads see of a sequence: a line for each query, '#' for each key that it sees.
std::vector<std::string> Draw(const HeadPattern& head, std::int64_t length) {
  std::vector<std::string> lines;
  for (std::int64_t query = 0; query < length; ++query) {
    const KeyRange keys = head.Visible(query);
    std::string line;
    for (std::int64_t key = 0; key < length; ++key) line += keys.Contains(key) ? '#' : '.';
    lines.push_back(line);
  }
  return lines;
}

std::vector<std::vector<std::string>> DrawAll(std::string_view text, std::int64_t heads, std::int64_t length = 8) {
  const auto patterns = Parse(text).ForHeads(heads, length);
  EXPECT_THAT(patterns, IsOk());
  std::vector<std::vector<std::string>> all;
  for (const HeadPattern& head : *patterns) all.push_back(Draw(head, length));
  return all;
}

using Drawing = std::vector<std::string>;

const Drawing kDense = {"#.......",  //
                        "##......",  //
                        "###.....",  //
                        "####....",  //
                        "#####...",  //
                        "######..",  //
                        "#######.",  //
                        "########"};
const Drawing kChunksOfTwo = {"#.......",  //
                              "##......",  //
                              "..#.....",  //
                              "..##....",  //
                              "....#...",  //
                              "....##..",  //
                              "......#.",  //
                              "......##"};
const Drawing kChunksOfFour = {"#.......",  //
                               "##......",  //
                               "###.....",  //
                               "####....",  //
                               "....#...",  //
                               "....##..",  //
                               "....###.",  //
                               "....####"};
const Drawing kOddKeys = {"#.......",  // sees nothing else
                          ".#......",  //
                          ".#......",  //
                          ".#.#....",  //
                          ".#.#....",  //
                          ".#.#.#..",  //
                          ".#.#.#..",  //
                          ".#.#.#.#"};
const Drawing kEvenKeys = {"#.......",  //
                           "#.......",  //
                           "#.#.....",  //
                           "#.#.....",  //
                           "#.#.#...",  //
                           "#.#.#...",  //
                           "#.#.#.#.",  //
                           "#.#.#.#."};

TEST(PatternTest, DrawsDense) { EXPECT_EQ(DrawAll("dense", 2), (std::vector{kDense, kDense})); }

TEST(PatternTest, DrawsASlidingWindow) {
  EXPECT_EQ(DrawAll("sliding(3)", 1)[0], (Drawing{"#.......",  //
                                                  "##......",  //
                                                  "###.....",  //
                                                  ".###....",  //
                                                  "..###...",  //
                                                  "...###..",  //
                                                  "....###.",  //
                                                  ".....###"}));
}

TEST(PatternTest, DrawsADilatedWindow) {
  EXPECT_EQ(DrawAll("dilated(2,3)", 1)[0], (Drawing{"#.......",  //
                                                    ".#......",  //
                                                    "..#.....",  //
                                                    "#..#....",  //
                                                    ".#..#...",  //
                                                    "..#..#..",  //
                                                    "...#..#.",  //
                                                    "....#..#"}));
}

TEST(PatternTest, DrawsTheShiftedGridOfS2) {
  const Drawing shifted = {"#.......",  //
                           "##......",  //
                           "..#.....",  //
                           "..##....",  //
                           "..###...",  //
                           "..####..",  //
                           "......#.",  //
                           "......##"};
  EXPECT_EQ(DrawAll("s2(m=2)", 2), (std::vector{kChunksOfFour, shifted}));
}

TEST(PatternTest, DrawsTheRolledKeysOfSccaFixed) {
  const Drawing rolled = {"#.......",  //
                          "##......",  //
                          "##......",  //
                          "##......",  //
                          "..###...",  //
                          "..####..",  //
                          "..####..",  //
                          "..####.."};
  EXPECT_EQ(DrawAll("scca-fixed(w=4)", 2), (std::vector{kChunksOfFour, rolled}));
}

TEST(PatternTest, DrawsTheFlowOfChunks) {
  const Drawing one_back = {"#.......",  //
                            "##......",  //
                            "##......",  //
                            "##......",  //
                            "..##....",  //
                            "..##....",  //
                            "....##..",  //
                            "....##.."};
  const Drawing three_back = {"#.......",  //
                              "##......",  //
                              "..#.....",  //
                              "..##....",  //
                              "....#...",  //
                              "....##..",  //
                              "##......",  //
                              "##......"};
  const auto heads = DrawAll("scca-flow", 4);
  EXPECT_EQ(heads[0], kChunksOfTwo);
  EXPECT_EQ(heads[1], one_back);
  EXPECT_EQ(heads[3], three_back);
}

TEST(PatternTest, DrawsTheResiduesOfSda) {
  EXPECT_EQ(DrawAll("sda2", 3), (std::vector{kEvenKeys, kOddKeys, kEvenKeys}));
  EXPECT_EQ(DrawAll("sda(4)", 3)[2], (Drawing{"#.......",  //
                                              ".#......",  //
                                              "..#.....",  //
                                              "..#.....",  //
                                              "..#.....",  //
                                              "..#.....",  //
                                              "..#...#.",  //
                                              "..#...#."}));
}

TEST(PatternTest, MixesAsThePaperDoes) {
  const auto heads = *Parse("longmixed").ForHeads(32, 4096);
  ASSERT_EQ(heads.size(), 32u);
  for (int head = 0; head < 8; ++head) EXPECT_EQ(heads[head].step, 2) << head;
  for (int head = 8; head < 24; ++head) EXPECT_EQ(heads[head].step, 4) << head;
  for (int head = 24; head < 32; ++head) {
    EXPECT_EQ(heads[head].kind, HeadPattern::Kind::kChunk) << head;
    EXPECT_EQ(heads[head].width, 1024) << head;
    EXPECT_EQ(heads[head].roll, head < 28 ? 0 : 512) << head;
  }
}

TEST(PatternTest, GivesEachItemOfAListItsHeads) {
  const auto heads = *Parse("scca-fixed(m=2):3,sda2:3,sda4:3").ForHeads(9, 100);
  ASSERT_EQ(heads.size(), 9u);
  EXPECT_EQ(heads[1].roll, 0);
  EXPECT_EQ(heads[2].roll, 25);
  EXPECT_EQ(heads[3], heads[5]);
  EXPECT_EQ(heads[4].residue, 1);
  EXPECT_EQ(heads[8].residue, 2);
}

TEST(PatternTest, DividesNineHeadsIntoFourGroups) {
  const auto heads = *Parse("scca-flow(m=4)").ForHeads(9, 64);
  std::vector<std::int64_t> groups;
  for (const HeadPattern& head : heads) groups.push_back(head.roll / head.width);
  EXPECT_EQ(groups, (std::vector<std::int64_t>{0, 0, 0, 1, 1, 2, 2, 3, 3}));
}

TEST(PatternTest, CutsASequenceThatIsNoMultipleOfTheWidth) {
  // ceil(10 / 4) = 3: chunks 0-2, 3-5, 6-8, 9.
  const auto heads = *Parse("scca-flow").ForHeads(4, 10);
  EXPECT_EQ(heads[1].width, 3);
  EXPECT_EQ(heads[1].Visible(9), (KeyRange{.first = 6, .last = 8}));
  EXPECT_EQ(heads[3].Visible(9), (KeyRange{.first = 0, .last = 2}));
  EXPECT_EQ(heads[0].Visible(9), (KeyRange{.first = 9, .last = 9}));
}

TEST(PatternTest, PrintsWhatItParses) {
  for (const char* text :
       {"dense", "sliding(12)", "dilated(3,4)", "s2", "s2(w=7)", "scca-fixed(m=3)", "scca-flow(w=8,m=2)", "sda(2)",
        "longmixed(w=16)", "scca-fixed(w=4):3,sda(2):3,sda(4):3", "dense:1,sliding(5):8"}) {
    EXPECT_EQ(Parse(text).ToString(), text);
    EXPECT_EQ(Parse(Parse(text).ToString()), Parse(text)) << text;
  }
  EXPECT_EQ(Parse("sda4").ToString(), "sda(4)");
}

TEST(PatternTest, SaysWhatIsAllowed) {
  const std::pair<const char*, const char*> cases[] = {{"", "expected dense, sliding(window)"},
                                                       {"scca", "expected dense, sliding(window)"},
                                                       {"sliding", "sliding(window)"},
                                                       {"sliding(0)", "numbers from 1"},
                                                       {"sliding(-3)", "numbers from 1"},
                                                       {"sliding(3", "expected ')'"},
                                                       {"sliding(3,4)", "numbers from 1"},
                                                       {"dilated(3)", "dilated(window,step)"},
                                                       {"sda", "sda(step)"},
                                                       {"sda0", "expected dense"},
                                                       {"sda2(3)", "numbers from 1"},
                                                       {"scca-fixed(m=0)", "m=chunks or w=width"},
                                                       {"scca-fixed(m=2,w=4)", "not both"},
                                                       {"scca-fixed(4)", "m=chunks or w=width"},
                                                       {"dense:0", "number of heads"},
                                                       {"dense:x", "number of heads"},
                                                       {"dense,sda2", "needs ':heads'"},
                                                       {"dense:3,", "after ','"},
                                                       {"scca-flow(m=99999999999999999999)", "m=chunks"}};
  for (const auto& [text, message] : cases) {
    EXPECT_THAT(AttentionPattern::Parse(text), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message)))
        << text;
  }
}

TEST(PatternTest, RefusesHeadsAndGroupsThatDoNotFit) {
  EXPECT_THAT(Parse("sda2:3,dense:5").ForHeads(9, 10),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("it has 8 heads, the model 9")));
  EXPECT_THAT(Parse("scca-flow(m=16)").ForHeads(9, 100),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("16 groups are more than its 9 heads")));
  EXPECT_THAT(Parse("scca-flow(w=8)").ForHeads(9, 100),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("13 groups")));
  EXPECT_THAT(Parse("scca-fixed").ForHeads(9),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("expected w=width")));
  EXPECT_THAT(Parse("scca-flow(w=64)").ForHeads(9),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("w=width and m=groups")));
  EXPECT_THAT(Parse("scca-flow(w=64,m=4)").ForHeads(9), IsOk());
  EXPECT_THAT(Parse("dense").ForHeads(9, 0), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("1 token")));
}

const char* const kPatterns[] = {"dense",
                                 "sliding(1)",
                                 "sliding(5)",
                                 "dilated(1,3)",
                                 "dilated(4,3)",
                                 "s2",
                                 "s2(w=5)",
                                 "scca-fixed",
                                 "scca-fixed(w=1)",
                                 "scca-fixed(w=7)",
                                 "scca-flow",
                                 "scca-flow(w=3,m=2)",
                                 "sda2",
                                 "sda(5)",
                                 "longmixed",
                                 "scca-fixed(w=4):3,sda2:3,sda4:3"};

TEST(PatternTest, NeverSeesTheFutureNorNothing) {
  for (const char* text : kPatterns) {
    for (const std::int64_t length : {1, 2, 7, 8, 33, 64}) {
      const auto heads = Parse(text).ForHeads(9, length);
      for (const HeadPattern& head : *heads) {
        for (std::int64_t query = 0; query < length; ++query) {
          for (const std::int64_t first_key : {std::int64_t{0}, query / 2, query}) {
            const KeyRange keys = head.Visible(query, first_key);
            EXPECT_LE(keys.last, query) << text;
            EXPECT_GE(keys.first, first_key) << text;
            EXPECT_LE(keys.first, keys.last) << text;
            EXPECT_TRUE(keys.Contains(keys.last)) << text;
          }
          for (std::int64_t later = query; later < length; ++later) {
            EXPECT_GE(head.Visible(later).first, head.OldestKey(query)) << text << " " << query << " " << later;
          }
        }
      }
    }
  }
}

// What the last token can depend on after so many layers in which all heads' outputs are mixed.
std::vector<bool> ReceptiveField(const std::vector<HeadPattern>& heads, std::int64_t length, int layers) {
  std::vector<bool> reached(static_cast<std::size_t>(length));
  reached.back() = true;
  for (int layer = 0; layer < layers; ++layer) {
    std::vector<bool> next = reached;
    for (std::int64_t query = 0; query < length; ++query) {
      if (!reached[query]) continue;
      for (const HeadPattern& head : heads) {
        const KeyRange keys = head.Visible(query);
        for (std::int64_t key = keys.first; key <= keys.last; key += keys.step) next[key] = true;
      }
    }
    reached = next;
  }
  return reached;
}

TEST(PatternTest, FlowReachesTheWholePastWithinAsManyLayersAsChunks) {
  for (const auto& [text, chunks] : {std::pair{"scca-flow(m=8)", 8}, {"scca-flow(w=8,m=2)", 8}}) {
    const auto reached = ReceptiveField(*Parse(text).ForHeads(8, 64), 64, chunks);
    EXPECT_EQ(std::count(reached.begin(), reached.end(), true), 64) << text;
  }
}

TEST(PatternTest, OwnChunksNeverReachFurther) {
  const auto heads = *Parse("scca-fixed(w=16)").ForHeads(1, 64);
  const auto reached = ReceptiveField(heads, 64, 64);
  EXPECT_EQ(std::count(reached.begin(), reached.end(), true), 16);
}

TEST(PatternTest, ShiftedKeysReachHalfAChunkFurtherWithEachLayer) {
  const auto heads = *Parse("scca-fixed(w=16)").ForHeads(2, 64);
  for (int layers = 1; layers <= 4; ++layers) {
    const auto reached = ReceptiveField(heads, 64, layers);
    EXPECT_TRUE(reached[64 - 16 * layers]) << layers;
    EXPECT_EQ(reached[std::max(0, 64 - 16 * layers - 9)], layers == 4) << layers;
  }
}

TEST(PatternTest, CountsWhatAHeadSees) {
  EXPECT_EQ(VisiblePairs(HeadPattern{}, 8), 36);
  EXPECT_EQ(VisiblePairs((*Parse("scca-flow").ForHeads(4, 8))[1], 8), 3 + 2 * 2 * 3);
  EXPECT_EQ(VisiblePairs((*Parse("sda2").ForHeads(2, 8))[1], 8), 1 + 1 + 1 + 2 + 2 + 3 + 3 + 4);
}

}  // namespace
}  // namespace tome
