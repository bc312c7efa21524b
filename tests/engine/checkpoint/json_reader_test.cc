#include "engine/checkpoint/contents/json_reader.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace tome {
namespace {

using ::testing::HasSubstr;
using ::tome::testing::IsOk;
using ::tome::testing::StatusIs;

std::string Nested(int depth) { return "{\"a\":" + std::string(depth - 1, '[') + std::string(depth - 1, ']') + "}"; }

TEST(JsonReaderTest, ParsesObjects) {
  TOME_ASSERT_OK_AND_ASSIGN(const nlohmann::json json,
                            ParseJsonObject(R"({"a":[1,-2,2.5,{"b":[]},"c"],"d":null,"e":true})", "f"));
  EXPECT_EQ(json, nlohmann::json::parse(R"({"a":[1,-2,2.5,{"b":[]},"c"],"d":null,"e":true})"));
  EXPECT_THAT(ParseJsonObject(Nested(kMaxJsonDepth), "f"), IsOk());
}

TEST(JsonReaderTest, RefusesBrokenTexts) {
  const struct {
    std::string text, message;
  } cases[] = {
      {"", "f: expected JSON, found at byte 1"},
      {"{", "expected JSON, found at byte 2"},
      {"{}x", "expected JSON, found at byte 3"},
      {"{} {}", "expected JSON"},
      {"{'a':1}", "expected JSON"},
      {"{\"a\":1e999}", "expected JSON"},
      {"{\"a\":\"\xff\"}", "expected JSON"},
      {std::string("{\"a\":\"\0\"}", 9), "expected JSON"},
      {"{\"a\":1,\"b\":{\"c\":1,\"c\":2}}", "expected unique names, found 'c' twice"},
      {"[1]", "expected a JSON object, found an array"},
      {"12", "expected a JSON object, found 12"},
      {"\"x\"", "expected a JSON object, found the string 'x'"},
      {Nested(kMaxJsonDepth + 1), "expected at most 32 levels, found more"},
      {std::string(1'000'000, '['), "expected at most 32 levels, found more"},
      {"{\"a\":" + std::string(1'000'000, '{'), "expected JSON"},
  };
  EXPECT_THAT(ParseJsonObject(std::string(kMaxJsonBytes + 1, ' '), "f"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("expected at most 67108864 bytes of JSON")));
  for (const auto& [text, message] : cases) {
    EXPECT_THAT(ParseJsonObject(text, "f"), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message)))
        << text.substr(0, 40);
  }
}

TEST(JsonReaderTest, ReadsTypedFields) {
  const nlohmann::json json = nlohmann::json::parse(
      R"({"i":3,"n":null,"big":18446744073709551615,"f":2.5,"b":true,"s":"x","o":{"inner":"y"}})");
  const JsonFields fields(json, "f");
  EXPECT_EQ(fields.Integer("i", 0, 3).value(), 3);
  EXPECT_EQ(fields.OptionalInteger("n", 0, 3).value(), std::nullopt);
  EXPECT_EQ(fields.OptionalInteger("absent", 0, 3).value(), std::nullopt);
  EXPECT_EQ(fields.Number("i").value(), 3.0);
  EXPECT_EQ(fields.Number("f").value(), 2.5);
  EXPECT_EQ(fields.OptionalBool("b").value(), true);
  EXPECT_EQ(fields.String("s").value(), "x");
  EXPECT_EQ(fields.Object("o")->String("inner").value(), "y");
  EXPECT_FALSE(fields.Object("absent")->Has("inner"));
  EXPECT_TRUE(fields.Mentions("n"));
  EXPECT_FALSE(fields.Has("n"));
  EXPECT_FALSE(fields.Mentions("absent"));
}

TEST(JsonReaderTest, SaysWhatItExpectedAndFound) {
  const nlohmann::json json =
      nlohmann::json::parse(R"({"i":3,"big":18446744073709551615,"f":2.5,"b":true,"s":"x","o":{"inner":[]}})");
  const JsonFields fields(json, "f");
  const std::pair<absl::Status, std::string> cases[] = {
      {fields.Integer("i", 4, 9).status(), "f: field 'i': expected an integer from 4 to 9, found 3"},
      {fields.Integer("big", 0, INT64_MAX).status(), "found 18446744073709551615"},
      {fields.Integer("f", 0, 9).status(), "f: field 'f': expected an integer from 0 to 9, found 2.5"},
      {fields.Integer("absent", 0, 9).status(),
       "f: field 'absent': expected an integer from 0 to 9, found no such field"},
      {fields.Number("s").status(), "f: field 's': expected a number, found the string 'x'"},
      {fields.Number("absent").status(), "f: field 'absent': expected a number, found no such field"},
      {fields.OptionalBool("i").status(), "f: field 'i': expected true or false, found 3"},
      {fields.String("b").status(), "f: field 'b': expected a string, found true"},
      {fields.String("o").status(), "f: field 'o': expected a string, found an object"},
      {fields.Object("s").status(), "f: field 's': expected an object, found the string 'x'"},
      {fields.Object("o")->String("inner").status(), "f: o: field 'inner': expected a string, found an array"},
  };
  for (const auto& [status, message] : cases) {
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message)));
  }
}

}  // namespace
}  // namespace tome
