#include "server/session/list_query.h"

#include <algorithm>

#include "tests/server/session/manager_fixture.h"

namespace tome::server {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using tome::testing::HasReason;
using tome::testing::IsOk;
using tome::testing::Metadata;

bool Matches(const std::string& filter, const SessionInfo& info) {
  return ListQuery::Parse(filter, "").value().Matches(info);
}

SessionInfo SomeSession() {
  SessionInfo info{.id = "session",
                   .display_name = "A \"Big\" Book AND more",
                   .labels = {{"team", "red"}, {"a.b/c", "x y"}},
                   .phase = SessionPhase::kReading,
                   .durable_bytes = 100};
  info.pinned = true;
  info.state_place = StatePlace::kResident;
  return info;
}

TEST(ListQueryTest, ConditionsHoldAsTheyAreWritten) {
  const std::pair<const char*, bool> cases[] = {
      {"", true},
      {"labels.team=red", true},
      {"labels.team=Red", false},
      {"labels.team=\"red\"", true},
      {"labels.none=red", false},
      {"labels.team:*", true},
      {"labels.none:*", false},
      {"labels.a.b/c=\"x y\"", true},
      {"display_name:big", true},
      {"display_name:\"\\\"BIG\\\" book\"", true},
      {"display_name:\" AND \"", true},
      {"display_name:small", false},
      {"phase=reading", true},
      {"phase=idle", false},
      {"residency=resident", true},
      {"residency=evicted", false},
      {"pinned=true", true},
      {"pinned=false", false},
      {"durable_bytes>99", true},
      {"durable_bytes>100", false},
      {"durable_bytes<101", true},
      {"durable_bytes<18446744073709551615", true},
      {"pinned=true AND labels.team=red AND durable_bytes>0", true},
      {"pinned=true AND labels.team=blue", false},
  };
  for (const auto& [filter, expected] : cases) EXPECT_EQ(Matches(filter, SomeSession()), expected) << filter;
}

TEST(ListQueryTest, WhatIsNoConditionIsRefused) {
  for (const char* filter : {" ",
                             "x",
                             "=",
                             "phase",
                             "phase=",
                             "phase=IDLE",
                             "phase>idle",
                             "pinned=yes",
                             "pinned:true",
                             "durable_bytes>",
                             "durable_bytes=5",
                             "durable_bytes>-1",
                             "durable_bytes>1e3",
                             "durable_bytes>18446744073709551616",
                             "labels.=x",
                             "labels.team",
                             "labels.team>x",
                             "labels.team:red",
                             "display_name=x",
                             "display_name:\"open",
                             "display_name:\"a\"b",
                             "display_name:\"bad \\n\"",
                             "display_name:\"\\",
                             "display_name:a b",
                             "pinned=true AND ",
                             " AND pinned=true",
                             "pinned=true  AND pinned=true",
                             "pinned=true OR pinned=false",
                             "create_time>5"}) {
    const absl::Status status = ListQuery::Parse(filter, "").status();
    EXPECT_THAT(status, HasReason("LIST_QUERY")) << filter;
    EXPECT_EQ(Metadata(status, "field"), "filter");
  }
  for (const char* order : {"size", "name asc", "name desc desc", " name", "NAME", "desc", " desc"}) {
    const absl::Status status = ListQuery::Parse("", order).status();
    EXPECT_THAT(status, HasReason("LIST_QUERY")) << order;
    EXPECT_EQ(Metadata(status, "field"), "order_by");
  }
}

TEST(ListQueryTest, TokensBelongToTheirQuery) {
  const ListQuery query = ListQuery::Parse("pinned=true", "name").value();
  const std::string key = query.SortKey({.id = "session", .display_name = "name"}), token = query.MakePageToken(key);
  EXPECT_EQ(query.ParsePageToken(token).value(), key);
  EXPECT_THAT(ListQuery::Parse("pinned=true", "name desc")->ParsePageToken(token), HasReason("PAGE_TOKEN"));
  EXPECT_THAT(ListQuery::Parse("", "name")->ParsePageToken(token), HasReason("PAGE_TOKEN"));
  for (std::string bad :
       {std::string(), std::string("."), token + "0", token.substr(1), token + "zz", std::string("no token")}) {
    EXPECT_THAT(query.ParsePageToken(bad), HasReason("PAGE_TOKEN")) << bad;
  }
}

class ListTest : public tome::testing::ManagerFixture {
 protected:
  std::vector<std::string> Ids(ListRequest request) {
    std::vector<std::string> ids;
    do {
      const absl::StatusOr<SessionPage> page = manager_->List(request);
      EXPECT_THAT(page, IsOk());
      EXPECT_LE(page->sessions.size(), static_cast<std::size_t>(request.page_size));
      for (const SessionInfo& info : page->sessions) ids.push_back(info.id);
      request.page_token = page->next_page_token;
    } while (!request.page_token.empty());
    return ids;
  }
};

TEST_F(ListTest, EveryOrderInPagesOfEverySize) {
  Open();
  const std::vector<std::string> names = {"pear", "apple", "", "fig", "apple"};
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::string id = "sess-" + std::to_string(i);
    ASSERT_THAT(Create({.session_id = id, .display_name = names[i]}), IsOk());
    ASSERT_THAT(Append(id, "doc", std::string(100 * ((i * 3) % 5 + 1), 'x')), IsOk());
    clock_.Advance(absl::Seconds(1));
  }
  ASSERT_THAT(Append("sess-1", "more", "x"), IsOk());
  const std::pair<const char*, std::vector<std::string>> orders[] = {
      {"", {"sess-4", "sess-3", "sess-2", "sess-1", "sess-0"}},
      {"create_time", {"sess-0", "sess-1", "sess-2", "sess-3", "sess-4"}},
      {"create_time desc", {"sess-4", "sess-3", "sess-2", "sess-1", "sess-0"}},
      {"name desc", {"sess-4", "sess-3", "sess-2", "sess-1", "sess-0"}},
      {"update_time desc", {"sess-1", "sess-4", "sess-3", "sess-2", "sess-0"}},
      {"last_use_time desc", {"sess-1", "sess-4", "sess-3", "sess-2", "sess-0"}},
      {"display_name", {"sess-2", "sess-1", "sess-4", "sess-3", "sess-0"}},
      {"display_name desc", {"sess-0", "sess-3", "sess-1", "sess-4", "sess-2"}},
      {"durable_bytes", {"sess-0", "sess-2", "sess-4", "sess-1", "sess-3"}},
  };
  for (const auto& [order, expected] : orders) {
    for (const int page_size : {1, 2, 3, 5, 10}) {
      EXPECT_THAT(Ids({.page_size = page_size, .order_by = order}), ElementsAreArray(expected)) << order;
    }
  }
  EXPECT_THAT(Ids({.page_size = 1, .filter = "display_name:apple", .order_by = "name"}),
              ElementsAre("sess-1", "sess-4"));
  EXPECT_THAT(Ids({.page_size = 2, .filter = "labels.none:*"}), IsEmpty());
  EXPECT_THAT(manager_->List({.filter = "bad"}), HasReason("LIST_QUERY"));
  EXPECT_THAT(manager_->List({.order_by = "bad"}), HasReason("LIST_QUERY"));
}

}  // namespace
}  // namespace tome::server
