#include "server/telemetry/logging.h"

#include <limits>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "spdlog/sinks/ostream_sink.h"
#include "spdlog/spdlog.h"

namespace tome::server {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;

// What `log` writes in a format.
template <typename Log>
std::string Logged(LogFormat format, Log log) {
  std::ostringstream out;
  const auto before = spdlog::default_logger();
  auto logger = std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::ostream_sink_st>(out));
  logger->set_formatter(MakeLogFormatter(format));
  logger->set_level(spdlog::level::debug);
  spdlog::set_default_logger(logger);
  log();
  spdlog::set_default_logger(before);
  return out.str();
}

TEST(LoggingTest, JsonLineHasMessageFieldsAndTypes) {
  const std::string line = Logged(LogFormat::kJson, [] {
    LogEvent(LogLevel::kWarning, "call",
             {{"method", std::string("Ask")}, {"count", std::int64_t{7}}, {"duration_ms", 1.5}});
  });
  const nlohmann::json event = nlohmann::json::parse(line);
  EXPECT_EQ(event["message"], "call");
  EXPECT_EQ(event["level"], "warning");
  EXPECT_EQ(event["method"], "Ask");
  EXPECT_EQ(event["count"], 7);
  EXPECT_EQ(event["duration_ms"], 1.5);
  EXPECT_THAT(event["time"].get<std::string>(), MatchesRegex("....-..-..T..:..:..\\....Z"));
}

TEST(LoggingTest, TextLineHasMessageAndFields) {
  const std::string line = Logged(LogFormat::kText, [] {
    LogEvent(LogLevel::kInfo, "call", {{"method", std::string("Ask")}, {"count", std::int64_t{7}}});
  });
  EXPECT_THAT(line, EndsWith(" info    call method=\"Ask\" count=7\n"));
}

TEST(LoggingTest, AnyBytesStayOneLineOfValidJson) {
  const std::vector<std::string> values = {"",
                                           "quote \" backslash \\ end",
                                           "line\nbreak\r\ttab",
                                           std::string("nul \0 and \x1f unit \x1e record \x7f", 32),
                                           "bad \xff\xc3( utf-8 \xe2\x82",
                                           "\xE2\x82\xAC euro"};
  for (const std::string& value : values) {
    for (const bool as_message : {false, true}) {
      const auto log = [&] {
        if (as_message) {
          LogEvent(LogLevel::kInfo, value);
        } else {
          LogEvent(LogLevel::kInfo, "event", {{"value", value}, {"after", std::int64_t{1}}});
        }
      };
      const std::string line = Logged(LogFormat::kJson, log);
      EXPECT_EQ(line.find('\n'), line.size() - 1);
      const nlohmann::json event = nlohmann::json::parse(line, nullptr, false);
      ASSERT_FALSE(event.is_discarded()) << line;
      if (!as_message) {
        EXPECT_TRUE(event["value"].is_string()) << line;
        EXPECT_EQ(event["after"], 1) << line;
      }
      const std::string text = Logged(LogFormat::kText, log);
      EXPECT_EQ(text.find('\n'), text.size() - 1) << text;
    }
  }
}

TEST(LoggingTest, TextKeepsQuotesAndBackslashesOfMessages) {
  const std::string line = Logged(LogFormat::kText, [] { LogEvent(LogLevel::kInfo, "a \"b\" \\ c\nd"); });
  EXPECT_THAT(line, EndsWith("a \"b\" \\\\ c\\nd\n"));
}

TEST(LoggingTest, NumbersThatJsonLacksAreStrings) {
  const std::string line = Logged(LogFormat::kJson, [] {
    LogEvent(LogLevel::kInfo, "event", {{"value", std::numeric_limits<double>::infinity()}});
  });
  EXPECT_EQ(nlohmann::json::parse(line)["value"], "inf");
}

TEST(LoggingTest, LinesOfOtherCodeHaveTheSameForm) {
  const std::string line = Logged(LogFormat::kJson, [] { spdlog::error("disk \"{}\" is full", "a\nb"); });
  const nlohmann::json event = nlohmann::json::parse(line);
  EXPECT_EQ(event["message"], "disk \"a\nb\" is full");
  EXPECT_EQ(event["level"], "error");
}

TEST(LoggingTest, LevelHidesWhatIsBelow) {
  const auto before = spdlog::default_logger();
  SetUpLogging(LogLevel::kWarning, LogFormat::kText);
  ::testing::internal::CaptureStderr();
  LogEvent(LogLevel::kInfo, "hidden");
  LogEvent(LogLevel::kWarning, "shown");
  const std::string written = ::testing::internal::GetCapturedStderr();
  spdlog::set_default_logger(before);
  EXPECT_THAT(written, HasSubstr("shown"));
  EXPECT_THAT(written, ::testing::Not(HasSubstr("hidden")));
}

}  // namespace
}  // namespace tome::server
