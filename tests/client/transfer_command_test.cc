// tome fork, export, import and expire, and list with a query.
#include <gmock/gmock.h>

#include <algorithm>

#include "tests/client/command_fixture.h"

namespace tome::command {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string ReadAll(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

TEST_F(CommandTest, Forks) {
  server_.AddSession("book");
  const Outcome fork = Run({"fork", "book", "--id", "draft", "--name", "A draft"});
  EXPECT_EQ(fork.exit_code, 0);
  EXPECT_EQ(fork.out, "sessions/draft\n");
  EXPECT_EQ(server_.last_fork().name(), "sessions/book");
  EXPECT_EQ(server_.last_fork().display_name(), "A draft");
  EXPECT_EQ(Json::parse(Run({"fork", "book", "--output", "json"}).out)["name"], "sessions/fake-fork");
  EXPECT_EQ(Run({"fork", "none"}).exit_code, 3);
  EXPECT_EQ(Run({"fork"}).exit_code, 2);
}

TEST_F(CommandTest, ExportsToAFileThatIsThereOnlyWhole) {
  server_.AddSession("book");
  const std::string archive("some \0bytes", 11);
  server_.SetArchive({archive.substr(0, 5), archive.substr(5)}, /*fault_after=*/1);
  const std::filesystem::path file = folder_ / "book.tome";
  const Outcome outcome = Run({"export", "book", file});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "sessions/book is in " + file.string() + ": 11 bytes\n");
  EXPECT_THAT(outcome.err, HasSubstr("connection lost; beginning anew"));
  EXPECT_EQ(server_.export_calls(), 2);
  EXPECT_EQ(ReadAll(file), archive);
  EXPECT_EQ(std::filesystem::status(file).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);

  const Json json = Json::parse(Run({"export", "book", file, "--output", "json"}).out);
  EXPECT_EQ(json["bytes"], 11);
  EXPECT_EQ(json["file"], file.string());

  EXPECT_EQ(Run({"export", "none", file}).exit_code, 3);
  EXPECT_EQ(ReadAll(file), archive) << "an older archive stays";
  EXPECT_FALSE(std::filesystem::exists(file.string() + ".partial"));
  EXPECT_NE(Run({"export", "book", folder_ / "no" / "such" / "folder"}).exit_code, 0);
}

TEST_F(CommandTest, ExportsToStandardOutputAndImportsFromStandardInput) {
  server_.AddSession("book");
  const Outcome exported = Run({"export", "book"});
  EXPECT_EQ(exported.exit_code, 0);
  EXPECT_EQ(exported.out, "some bytes");
  EXPECT_EQ(Run({"export", "book", "--output", "json"}).exit_code, 2);

  const Outcome imported = Run({"import"}, exported.out);
  EXPECT_EQ(imported.exit_code, 0);
  EXPECT_EQ(imported.out, "sessions/imported\n");
  EXPECT_EQ(server_.imported_bytes(), "some bytes");
}

TEST_F(CommandTest, ImportsAFile) {
  const std::string file = File("archive", std::string(2'500'000, 'x'));
  const Outcome outcome = Run({"import", file, "--id", "mine"});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.out, "sessions/mine\n");
  EXPECT_THAT(outcome.err, HasSubstr("importing"));
  EXPECT_EQ(server_.imported_bytes().size(), 2'500'000u);
  EXPECT_EQ(Json::parse(Run({"import", file, "--output", "json"}).out)["name"], "sessions/imported");
  const Outcome bad = Run({"import", File("bad", "bad")});
  EXPECT_EQ(bad.exit_code, 1);
  EXPECT_THAT(bad.err, HasSubstr("the archive is damaged"));
  EXPECT_EQ(Run({"import", folder_ / "none"}).exit_code, 2);
}

TEST_F(CommandTest, FilesThatAreNoneOfTheKindAreNamedWithWhatTheyAre) {
  server_.AddSession("s");
  const std::string folder = folder_, missing = folder_ / "none";
  const std::string gguf = File("model.gguf", "GGUF and more"), binary = File("binary", "\xC0\xC1\xF5");
  const std::string empty = File("empty", "");
  struct Case {
    std::vector<std::string> command;
    std::string file;
    std::string message;
  };
  const Case cases[] = {
      {{"import", folder}, folder, "is a folder; name a file"},
      {{"import", missing}, missing, "No such file"},
      {{"import", File("bad", "bad")}, "bad", "the archive is damaged"},
      {{"append", "s", folder}, folder, "is a folder; name a file"},
      {{"append", "s", missing}, missing, "No such file"},
      {{"score", "s", "--file", folder}, folder, "is a folder; name a file"},
      {{"score", "s", "--file", missing}, missing, "No such file"},
      {{"score", "s", "--file", empty}, empty, "expected a text, found an empty file"},
      {{"score", "s", "--file", binary}, binary, "it is not UTF-8, but bytes that begin '\\xc0"},
      {{"ask", "s", "why?", "--form-file", gguf},
       gguf,
       "expected {\"prompt\": \"{text} {question}\"}, found a GGUF model file"},
      {{"ask", "s", "why?", "--form-file", empty}, empty, "found an empty file"},
      {{"ask", "s", "why?", "--form-file", folder}, folder, "is a folder; name a file"},
      {{"ask", "s", "why?", "--history", gguf}, gguf, "line 1: this is not a JSON object"},
      {{"ask", "s", "why?", "--history", missing}, missing, "No such file"},
      {{"list", "--tls-ca", gguf}, gguf, "expected certificates in PEM form, found a GGUF model file"},
      {{"list", "--tls-ca", empty}, empty, "found an empty file"},
      {{"list", "--tls-ca", folder}, folder, "is a folder; name a file"},
  };
  for (const Case& test : cases) {
    const Outcome outcome = Run(test.command);
    EXPECT_NE(outcome.exit_code, 0) << outcome.err;
    EXPECT_THAT(outcome.err, ::testing::AllOf(HasSubstr(test.file), HasSubstr(test.message)));
    if (test.command[0] == "import") continue;  // whose progress is shown as well
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << "one line: " << outcome.err;
  }
}

TEST_F(CommandTest, ExpiresAndPins) {
  server_.AddSession("book");
  EXPECT_EQ(Run({"expire", "book"}).out, "sessions/book does not expire\n");
  EXPECT_FALSE(server_.last_update().has_session()) << "a look changes nothing";
  EXPECT_THAT(Run({"expire", "book", "--after", "12h"}).out,
              StartsWith("sessions/book expires 12h00m after its last use: 2023-11-15 10:13:20Z"));
  EXPECT_EQ(server_.last_update().session().time_to_live().seconds(), 12 * 3600);
  EXPECT_THAT(Run({"expire", "book", "--pin"}).out, StartsWith("sessions/book is pinned"));
  EXPECT_EQ(server_.last_update().update_mask().paths_size(), 1);
  EXPECT_EQ(Json::parse(Run({"expire", "book", "--unpin", "--output", "json"}).out)["pinned"], false);
  EXPECT_EQ(Run({"expire", "book", "--never"}).out, "sessions/book does not expire\n");
  EXPECT_THAT(Run({"expire", "book", "--after", "7d", "--pin"}).out, HasSubstr("7d00h"));
  for (const char* bad : {"0", "-1", "1.5h", "1w", "h", "", "101y", "99999999999d", "12 h"}) {
    EXPECT_EQ(Run({"expire", "book", "--after", bad}).exit_code, 2) << bad;
  }
  EXPECT_EQ(Run({"expire", "book", "--after", "1h", "--never"}).exit_code, 2);
  EXPECT_EQ(Run({"expire", "book", "--pin", "--unpin"}).exit_code, 2);
  EXPECT_EQ(Run({"expire", "none", "--pin"}).exit_code, 3);
  EXPECT_EQ(Run({"create", "--expire-after", "90s", "--pin"}).exit_code, 0);
  EXPECT_EQ(server_.last_create().session().time_to_live().seconds(), 90);
  EXPECT_TRUE(server_.last_create().session().pinned());
  EXPECT_EQ(Run({"create", "--expire-after", "soon"}).exit_code, 2);
}

TEST_F(CommandTest, ListsWithAQuery) {
  const Outcome none = Run({"list", "--filter", "labels.team=red", "--order", "name"});
  EXPECT_EQ(none.exit_code, 0);
  EXPECT_THAT(none.err, HasSubstr("no such sessions"));
  EXPECT_EQ(server_.last_list().filter(), "labels.team=red");
  EXPECT_EQ(server_.last_list().order_by(), "name");
}

}  // namespace
}  // namespace tome::command
