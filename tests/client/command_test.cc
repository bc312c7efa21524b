// Runs the real `tome` against a fake server.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/client/command_fixture.h"

namespace tome::command {
namespace {

using client::AppendFault;
using client::MakeError;
using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

TEST_F(CommandTest, ExplainsItself) {
  const Outcome help = Run({"--help"});
  EXPECT_EQ(help.exit_code, 0);
  for (const char* text : {"create",     "append",
                           "ask",        "search",
                           "score",      "list",
                           "show",       "documents",
                           "rename",     "watch",
                           "snapshot",   "fork",
                           "export",     "import",
                           "expire",     "reread",
                           "delete",     "model",
                           "tokenize",   "TOME_SERVER",
                           "Exit codes", "tome append bible bible.txt"}) {
    EXPECT_THAT(help.out, HasSubstr(text));
  }
  for (const char* command :
       {"create", "append", "ask", "search", "score", "list", "show", "documents", "rename", "watch", "snapshot",
        "fork", "export", "import", "expire", "reread", "delete", "model", "tokenize"}) {
    const Outcome outcome = Run({command, "--help"});
    EXPECT_EQ(outcome.exit_code, 0);
    EXPECT_THAT(outcome.out, HasSubstr("Examples:\n  ")) << command;
  }
  EXPECT_THAT(Run({"--version"}).out, StartsWith("tome 0."));
}

TEST_F(CommandTest, ScoresATextOrAFile) {
  const Outcome text = Run({"score", "book", "abc"});
  EXPECT_EQ(text.exit_code, 0);
  EXPECT_EQ(text.out, "2 of 3 tokens scored: 4.0000 nats in all, 2.0000 each, perplexity 7.389\n");
  const Outcome tokens = Run({"score", "book", "--file", File("text.txt", "ab"), "--tokens"});
  EXPECT_EQ(tokens.exit_code, 0);
  EXPECT_THAT(tokens.out, StartsWith("         -  a\n   -2.0000  b\n"));
  EXPECT_THAT(Run({"score", "book", "abc", "--output", "json"}).out, HasSubstr("\"scored_tokens\":2,"));
  EXPECT_EQ(Run({"score", "book"}).exit_code, 2);
  EXPECT_EQ(Run({"score", "book", "abc", "--file", "text.txt"}).exit_code, 2);
  EXPECT_EQ(Run({"score", "book", "--file", "no such file"}).exit_code, 2);
}

TEST_F(CommandTest, ExitsWith2WhenCalledWrongly) {
  const std::vector<std::vector<std::string>> wrong = {{},
                                                       {"frobnicate"},
                                                       {"list", "--no-such-option"},
                                                       {"show"},
                                                       {"show", "a/b"},
                                                       {"list", "--output", "xml"},
                                                       {"list", "--timeout", "-1"},
                                                       {"ask", "s", "why?", "--form", "verse"},
                                                       {"ask", "s", "why?", "--max-tokens", "many"},
                                                       {"ask", "s", "why?", "--mode", "dream"},
                                                       {"ask", "s", "why?", "--wait-for", "some"},
                                                       {"ask", "s", "why?", "--wait-for", "-1"},
                                                       {"ask", "s", "why?", "--wait-for", "9", "--wait-for-all"},
                                                       {"ask", "s", "why?", "--turn", "who?"},
                                                       {"ask", "s", "why?", "--history", "/no/such/file"},
                                                       {"ask", "s", "why?", "--save-history", "/no/such/file"},
                                                       {"ask", "s", "why?", "--form-file", "/no/such/file"},
                                                       {"ask", "s", "why?", "--form-file", "f", "--form", "qa"},
                                                       {"model", "--window", "9"},
                                                       {"ask", "s", "why?", "--effort", "heroic"},
                                                       {"ask", "s", "why?", "--budget", "-1"},
                                                       {"ask", "s", "why?", "--cite", "some"},
                                                       {"ask", "s", "why?", "--mode", "window", "--cite"},
                                                       {"ask", "s", "why?", "--mode", "window", "--effort", "fast"},
                                                       {"ask", "s", "why?", "--mode", "window", "--budget", "99"},
                                                       {"search", "s"},
                                                       {"search", "s", "light", "--limit", "0"},
                                                       {"search", "s", "light", "--limit", "257"},
                                                       {"search", "s", "\xff"},
                                                       {"create", "--label", "no-value"},
                                                       {"append", "s", "/no/such/file"},
                                                       {"append", "s", "/"},
                                                       {"list", "--tls-ca", "/no/such/file"}};
  for (const auto& arguments : wrong) {
    const Outcome outcome = Run(arguments);
    EXPECT_EQ(outcome.exit_code, 2) << testing::PrintToString(arguments) << outcome.err;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_THAT(outcome.err, StartsWith("tome: "));
    EXPECT_THAT(outcome.out, IsEmpty());
  }
}

TEST_F(CommandTest, CreatesASession) {
  const Outcome outcome =
      Run({"create", "--id", "bible", "--name", "King James", "--label", "a=1", "--label", "b=x=y", "--window", "4096",
           "--region", "32", "--region-memory", "pool=4", "--state-bytes", "128MiB"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "sessions/bible\n");
  const v1::CreateSessionRequest request = server_.last_create();
  EXPECT_EQ(request.session().display_name(), "King James");
  EXPECT_EQ(request.session().labels().at("b"), "x=y");
  EXPECT_EQ(request.session().options().window_tokens(), 4096);
  EXPECT_EQ(request.session().options().region_tokens(), 32);
  EXPECT_EQ(request.session().options().region_memory(), "pool=4");
  EXPECT_EQ(request.session().options().max_state_bytes(), 128u << 20);
  const Outcome again = Run({"create", "--id", "bible"});
  EXPECT_EQ(again.exit_code, 5);
  EXPECT_THAT(again.err, HasSubstr("exists"));
}

TEST_F(CommandTest, ListsShowsAndDeletesSessions) {
  EXPECT_THAT(Run({"list"}).err, HasSubstr("tome create"));
  for (const char* id : {"one", "two", "three"}) server_.AddSession(id);
  server_.AddDocument("one", {.name = "book", .bytes = std::string(2000, 'x'), .sealed = true, .ingested = 1000});
  const Outcome list = Run({"list"});
  EXPECT_EQ(list.exit_code, 0);
  EXPECT_THAT(list.out, StartsWith("SESSION"));
  EXPECT_THAT(list.out, HasSubstr("sessions/three"));
  const Json json = Json::parse(Run({"list", "--output", "json"}).out);
  EXPECT_EQ(json.size(), 3);
  EXPECT_EQ(json[0]["documents"][0]["ingested_bytes"], 1000);

  const Outcome show = Run({"show", "sessions/one"});
  EXPECT_EQ(show.exit_code, 0);
  EXPECT_THAT(show.out, HasSubstr("book"));
  EXPECT_THAT(show.out,
              HasSubstr("50%, 250 tokens; on disk 75%, 375 tokens, which are loaded when the session is used\n"));
  EXPECT_THAT(show.out, HasSubstr("in memory"));
  EXPECT_THAT(show.out, HasSubstr("resident"));
  EXPECT_THAT(show.out, HasSubstr("SNAPSHOT"));
  EXPECT_THAT(show.out, HasSubstr("4.0 KB"));
  EXPECT_EQ(Json::parse(Run({"--output", "json", "show", "one"}).out)["name"], "sessions/one");

  const Outcome documents = Run({"documents", "one"});
  EXPECT_THAT(documents.out, HasSubstr("book"));
  EXPECT_THAT(documents.out, Not(HasSubstr("SNAPSHOT")));
  EXPECT_EQ(Json::parse(Run({"documents", "one", "--output", "json"}).out)[0]["name"], "book");
  EXPECT_THAT(Run({"documents", "two"}).err, HasSubstr("no documents yet"));

  EXPECT_EQ(Run({"rename", "one", "A book"}).out, "sessions/one is now named \"A book\"\n");
  EXPECT_THAT(Run({"show", "one"}).out, HasSubstr("A book"));
  EXPECT_EQ(Run({"rename", "none", "A book"}).exit_code, 3);
  EXPECT_EQ(Run({"rename", "one"}).exit_code, 2);

  EXPECT_EQ(Run({"snapshot", "one"}).out, "snapshot 3 of sessions/one: 250 tokens (1.0 KB of text) in 5.0 KB\n");
  EXPECT_EQ(Json::parse(Run({"snapshot", "one", "--output", "json"}).out)["number"], 3);
  EXPECT_EQ(Run({"snapshot", "none"}).exit_code, 3);
  EXPECT_EQ(Run({"reread", "one"}).out, "sessions/one: 2.0 KB of text are read again\n");
  EXPECT_EQ(Run({"reread", "none"}).exit_code, 3);

  EXPECT_EQ(Run({"delete", "one"}).out, "deleted sessions/one\n");
  const Outcome half = Run({"delete", "--yes", "none", "two", "--output", "json"});
  EXPECT_EQ(half.exit_code, 3);
  EXPECT_EQ(half.out,
            "[{\"name\":\"sessions/none\",\"deleted\":false},{\"name\":\"sessions/two\",\"deleted\":true}]\n");
  EXPECT_EQ(Run({"show", "one"}).exit_code, 3);
}

TEST_F(CommandTest, TellsThatNoServerIsThere) {
  const std::string address = server_.address();
  server_.Stop();
  for (const auto& arguments : std::vector<std::vector<std::string>>{
           {"list"}, {"append", "s", File("book", "text")}, {"ask", "s", "why?"}, {"watch", "s"}}) {
    const Outcome outcome = Run(arguments);
    EXPECT_EQ(outcome.exit_code, 4);
    EXPECT_THAT(outcome.err, StartsWith("tome: cannot reach a server at " + address + ": start one with tome-server"));
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  }
}

TEST_F(CommandTest, TellsTheKindsOfServerErrorsApart) {
  const std::pair<grpc::Status, int> cases[] = {
      {MakeError(grpc::StatusCode::INTERNAL, "it broke", "BUG"), 1},
      {MakeError(grpc::StatusCode::DATA_LOSS, "it is damaged", "STORED_DATA_DAMAGED"), 1},
      {MakeError(grpc::StatusCode::UNAVAILABLE, "draining", "DRAINING", {}, std::chrono::seconds(60)), 4},
      {MakeError(grpc::StatusCode::RESOURCE_EXHAUSTED, "full", "SESSION_LIMIT"), 5},
  };
  for (const auto& [fault, exit_code] : cases) {
    server_.AddCallFault(fault);
    const Outcome outcome = Run({"model", "--output", "json"});
    EXPECT_EQ(outcome.exit_code, exit_code) << outcome.err;
    EXPECT_EQ(Json::parse(outcome.err)["error"]["message"], fault.error_message());
  }
}

TEST_F(CommandTest, GivesUpAfterTheTimeout) {
  server_.AddSession("s");
  server_.HoldAnswer();
  const Outcome outcome = Run({"ask", "s", "why?", "--timeout", "0.3"});
  EXPECT_EQ(outcome.exit_code, 4);
  EXPECT_THAT(outcome.err, HasSubstr("--timeout"));
}

TEST_F(CommandTest, AppendsAFileOnceHoweverOftenItIsAsked) {
  server_.AddSession("s");
  const std::string text(300'000, 'x');
  const std::string file = File("book.txt", text);
  const Outcome first = Run({"append", "s", file});
  EXPECT_EQ(first.exit_code, 0) << first.err;
  EXPECT_EQ(first.out, "book.txt in sessions/s: 300,000 bytes stored, read, sealed\n");
  EXPECT_THAT(first.err, HasSubstr("100%"));
  EXPECT_THAT(first.err, Not(HasSubstr("\r")));
  EXPECT_EQ(server_.Bytes("s", "book.txt"), text);
  const Outcome second = Run({"append", "s", file});
  EXPECT_EQ(second.exit_code, 0);
  EXPECT_EQ(second.out, "book.txt is already in sessions/s: the same 300,000 bytes, sealed\n");
  File("book.txt", text + "more");
  EXPECT_EQ(Run({"append", "s", file}).exit_code, 5);
}

TEST_F(CommandTest, SaysWhatToDoWithAFileThatChangedSinceItWasAppended) {
  server_.AddSession("s");
  const std::string file = File("my book.txt", "0123456789");
  ASSERT_EQ(Run({"append", "s", file}).exit_code, 0);

  File("my book.txt", "0123456789more");
  const Outcome grown = Run({"append", "s", file});
  EXPECT_EQ(grown.exit_code, 5);
  EXPECT_THAT(grown.err, AllOf(HasSubstr("sealed with 10 bytes"), HasSubstr("4 bytes follow"),
                               HasSubstr("tail -c +11 '" + file +
                                         "' | tome append sessions/s - --document "
                                         "'my book.txt-2'")));
  File("my book.txt", "01234X6789");
  const Outcome changed = Run({"append", "s", file});
  EXPECT_EQ(changed.exit_code, 5);
  EXPECT_THAT(changed.err, AllOf(HasSubstr("the first 5 are"),
                                 HasSubstr("tome append sessions/s '" + file + "' --document 'my book.txt-2'")));
  File("my book.txt", "01234");
  const Outcome shorter = Run({"append", "s", file});
  EXPECT_EQ(shorter.exit_code, 5);
  EXPECT_THAT(shorter.err, HasSubstr("the input ends after 5"));
  EXPECT_EQ(Run({"append", "s", file, "--document", "my book.txt-2"}).exit_code, 0) << "as it says";
  EXPECT_EQ(server_.Bytes("s", "my book.txt-2"), "01234");

  const Outcome piped = Run({"append", "s", "-", "--document", "my book.txt"}, "0123456789and more");
  EXPECT_EQ(piped.exit_code, 5);
  EXPECT_THAT(piped.err, HasSubstr("more bytes follow"));
  const Json json = Lines(Run({"append", "s", file, "--output", "json"}).out).back();
  EXPECT_EQ(json["event"], "stopped");
  EXPECT_EQ(json["same_bytes"], 5);
}

TEST_F(CommandTest, AppendsStandardInput) {
  server_.AddSession("s");
  const Outcome outcome =
      Run({"append", "s", "-", "--document", "notes", "--no-finish", "--output", "json"}, "some text");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(server_.Bytes("s", "notes"), "some text");
  EXPECT_FALSE(server_.Sealed("s", "notes"));
  const std::vector<Json> lines = Lines(outcome.out);
  ASSERT_GE(lines.size(), 2);
  EXPECT_EQ(lines.front()["event"], "progress");
  EXPECT_TRUE(lines.front()["total_bytes"].is_null());
  EXPECT_EQ(lines.back()["event"], "result");
  EXPECT_EQ(lines.back()["durable_bytes"], 9);
  EXPECT_EQ(lines.back()["sealed"], false);
  EXPECT_EQ(Run({"append", "s", "-", "--document", "notes", "--continue"}, ", and more").exit_code, 0);
  EXPECT_EQ(server_.Bytes("s", "notes"), "some text, and more");
  EXPECT_TRUE(server_.Sealed("s", "notes"));
}

TEST_F(CommandTest, TellsWhereAFileIsNotUtf8) {
  server_.AddSession("s");
  const std::string file = File("bad.txt", "good \xff bad");
  const Outcome refused = Run({"append", "s", file});
  EXPECT_EQ(refused.exit_code, 5);
  EXPECT_THAT(refused.err, HasSubstr("byte 5"));
  EXPECT_THAT(refused.err, HasSubstr("--replace-invalid-utf8"));
  EXPECT_EQ(Run({"append", "s", file, "--replace-invalid-utf8"}).exit_code, 0);
}

TEST_F(CommandTest, ResumesADroppedConnectionWithANote) {
  server_.AddSession("s");
  server_.AddFault({.kind = AppendFault::Kind::kDrop, .after_messages = 2, .store_message = true});
  std::string text(2'000'000, 'x');
  for (std::size_t i = 0; i < text.size(); i += 1000) text[i] = '\n';
  const Outcome outcome = Run({"append", "s", File("book", text)});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("tome: interrupted ("));
  EXPECT_THAT(outcome.err, ContainsRegex("connected again, with [1-9][0-9,]* bytes stored"));
  EXPECT_EQ(server_.Bytes("s", "book"), text);
}

TEST_F(CommandTest, TellsProgramsOfEveryRetry) {
  server_.AddSession("s");
  server_.AddFault({.kind = AppendFault::Kind::kDrop});
  const Outcome outcome = Run({"append", "s", "-", "--output", "json"}, "text");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  int retries = 0;
  for (const Json& line : Lines(outcome.out)) {
    if (line["event"] != "retry") continue;
    ++retries;
    EXPECT_GT(line["delay_seconds"], 0);
    EXPECT_TRUE(line["error"]["message"].is_string());
  }
  EXPECT_EQ(retries, 1);
}

TEST_F(CommandTest, StopsAnEndlessInputOnCtrlCAndSaysHowToGoOn) {
  server_.AddSession("s");
  Process process(WithServer({"append", "s", "-", "--document", "log"}));
  process.Write("a first line\n");
  ASSERT_TRUE(server_.WaitUntil([this] { return server_.DurableLocked("s") == 13; }));
  process.Signal(SIGINT);
  const Outcome& outcome = process.Wait();
  EXPECT_EQ(outcome.exit_code, 130) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("13 bytes"));
  EXPECT_THAT(outcome.err, HasSubstr("tome append sessions/s - --document log with the same input"));
  EXPECT_THAT(outcome.err, HasSubstr("resumes at byte 13"));
  EXPECT_FALSE(server_.Sealed("s", "log"));
}

TEST_F(CommandTest, StopsWaitingForTheReadingOnCtrlC) {
  server_.AddSession("s");
  server_.HoldReading(true);
  Process process(WithServer({"append", "s", File("book", "text")}));
  ASSERT_TRUE(server_.WaitUntil([this] { return server_.DurableLocked("s") == 4; }));
  // The seal comes with the last message or in one of its own.
  while (!server_.Sealed("s", "book")) std::this_thread::yield();
  process.Signal(SIGTERM);
  const Outcome& outcome = process.Wait();
  EXPECT_EQ(outcome.exit_code, 143) << outcome.err;
}

TEST_F(CommandTest, DrawsABarOnATerminal) {
  server_.AddSession("s");
  Process process(WithServer({"append", "s", File("book", std::string(100'000, 'x'))}), /*terminal=*/true);
  const Outcome& outcome = process.Wait();
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("\r\x1b[Kreading  [####"));
}

TEST_F(CommandTest, StreamsAnAnswerAndSumsUp) {
  server_.AddSession("s");
  const Outcome outcome =
      Run({"ask",     "s",       "why?", "--form",  "qa",  "--max-tokens", "9",   "--temperature",
           "0.5",     "--top-k", "3",    "--top-p", "0.9", "--min-p",      "0.1", "--repetition-penalty",
           "1.1",     "--seed",  "7",    "--stop",  "a",   "--stop",       "b",   "--instruction",
           "be brief"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "In the beginning\n");
  EXPECT_THAT(outcome.err, HasSubstr("7 prompt (qa form) + 2 generated tokens"));
  const v1::AskRequest request = server_.last_question();
  EXPECT_EQ(request.session(), "sessions/s");
  EXPECT_EQ(request.question(), "why?");
  EXPECT_EQ(request.instruction(), "be brief");
  EXPECT_EQ(request.prompt_form(), v1::PROMPT_FORM_QUESTION_ANSWER);
  EXPECT_EQ(request.generation().max_tokens(), 9);
  EXPECT_EQ(request.generation().temperature(), 0.5);
  EXPECT_EQ(request.generation().top_k(), 3);
  EXPECT_EQ(request.generation().top_p(), 0.9);
  EXPECT_EQ(request.generation().min_p(), 0.1);
  EXPECT_EQ(request.generation().repetition_penalty(), 1.1);
  EXPECT_EQ(request.generation().seed(), 7);
  EXPECT_THAT(request.generation().stop(), ElementsAre("a", "b"));
  EXPECT_FALSE(request.generation().log_probabilities());
  EXPECT_EQ(request.mode(), v1::ANSWER_MODE_UNSPECIFIED);
  EXPECT_EQ(request.effort(), v1::EFFORT_UNSPECIFIED);
  EXPECT_FALSE(request.citations().include_text());
}

TEST_F(CommandTest, CitesWhatAnAnswerRestsOn) {
  server_.AddSession("s");
  const Outcome outcome =
      Run({"ask", "s", "why?", "--mode", "reread", "--effort", "thorough", "--budget", "300", "--cite", "2"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.out,
            "In the beginning\n"
            "\n"
            "#  SCORE  BYTES         TEXT\n"
            "1  0.500  book:0-60     In the beginning God created the heaven and the earth.\n"
            "2  0.250  book:100-160  And the earth was void.\n");
  const v1::AskRequest request = server_.last_question();
  EXPECT_EQ(request.mode(), v1::ANSWER_MODE_REREAD);
  EXPECT_EQ(request.effort(), v1::EFFORT_THOROUGH);
  EXPECT_EQ(request.budget_tokens(), 300);
  EXPECT_EQ(request.citations().max_citations(), 2);
  EXPECT_TRUE(request.citations().include_text());

  EXPECT_THAT(Run({"ask", "s", "why?", "--cite"}).out, HasSubstr("3  0.167  book:200-260"));
  EXPECT_EQ(server_.last_question().citations().max_citations(), 8);
  EXPECT_THAT(Run({"ask", "s", "why?", "--cite-text"}).out,
              HasSubstr("[1] book:0-60  score 0.500\n    In the beginning God\n    created the heaven"));
  EXPECT_EQ(Run({"ask", "s", "why?", "--mode", "window"}).out, "In the beginning\n");
  EXPECT_EQ(server_.last_question().mode(), v1::ANSWER_MODE_WINDOW);
}

TEST_F(CommandTest, TellsWhatWasAttendedToAndWhatWasReadAgain) {
  server_.AddSession("s");
  const Outcome outcome = Run({"ask", "s", "why?", "--mode", "attend", "--form", "profile", "--cite", "1"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(server_.last_question().mode(), v1::ANSWER_MODE_ATTEND);
  EXPECT_EQ(server_.last_question().prompt_form(), v1::PROMPT_FORM_PROFILE);
  EXPECT_THAT(outcome.out, HasSubstr("1  0.500  book:0-60"));
  EXPECT_THAT(outcome.err, HasSubstr("7 prompt (profile's form) + 2 generated tokens"));
  EXPECT_THAT(outcome.err, HasSubstr("attended to 69 stored tokens (bytes book:0-60), read 32 tokens again "
                                     "(bytes book:200-260)"));
}

TEST_F(CommandTest, AsksWithAFormFromAFile) {
  server_.AddSession("s");
  const std::string file = File("form.json", R"({"prompt": "{text}\n\nQ: {question}\nA:", "turn": "t", "chat": true,
                                                 "opening": " It is", "stop": ["\n", "Q:"]})");
  const Outcome outcome = Run({"ask", "s", "why?", "--form-file", file});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  const v1::AskRequest request = server_.last_question();
  EXPECT_EQ(request.prompt_form(), v1::PROMPT_FORM_CUSTOM);
  EXPECT_EQ(request.custom_form().prompt(), "{text}\n\nQ: {question}\nA:");
  EXPECT_EQ(request.custom_form().turn(), "t");
  EXPECT_TRUE(request.custom_form().chat());
  EXPECT_EQ(request.custom_form().opening(), " It is");
  EXPECT_THAT(request.custom_form().stop(), ElementsAre("\n", "Q:"));
  for (const auto& [text, message] : std::initializer_list<std::pair<const char*, const char*>>{
           {"prompt", "not a JSON object"},
           {"[]", "not a JSON object"},
           {"{}", "prompt is missing"},
           {R"({"prompt": 3})", "prompt has the wrong type"},
           {R"({"prompt": "p", "stop": "x"})", "stop has the wrong type"},
           {R"({"prompt": "p", "halt": []})", "unknown field halt"},
           {"{\"prompt\": \"\xff\"}", "not UTF-8"}}) {
    const Outcome refused = Run({"ask", "s", "why?", "--form-file", File("bad.json", text)});
    EXPECT_EQ(refused.exit_code, 2) << text;
    EXPECT_THAT(refused.err, AllOf(HasSubstr("bad.json"), HasSubstr(message)));
  }
}

TEST_F(CommandTest, HoldsAConversation) {
  server_.AddSession("s");
  const std::string file = (folder_ / "talk.jsonl").string();
  const std::vector<std::string> talk = {"--history", file, "--save-history", file};
  const auto ask = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), talk.begin(), talk.end());
    const Outcome outcome = Run(arguments);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return server_.last_question();
  };
  EXPECT_EQ(ask({"ask", "s", "who \"is\"\nhe?"}).turns_size(), 0);
  const v1::AskRequest second = ask({"ask", "--turn", "and she?", "not known", "s", "why?", "--turn", "they?", "no"});
  EXPECT_EQ(second.question(), "why?");
  ASSERT_EQ(second.turns_size(), 3);
  EXPECT_EQ(second.turns(0).question(), "who \"is\"\nhe?");
  EXPECT_EQ(second.turns(0).answer(), "In the beginning");
  EXPECT_EQ(second.turns(1).question(), "and she?");
  EXPECT_EQ(second.turns(2).answer(), "no");
  EXPECT_EQ(ask({"ask", "s", "when?", "--output", "json"}).turns_size(), 2) << "what --turn gave is not saved";
  EXPECT_EQ(Run({"ask", "s", "how?", "--history", file}).exit_code, 0);
  EXPECT_EQ(server_.last_question().turns_size(), 3);

  server_.SetAnswer({" ", "a b", "\n"}, grpc::Status::OK);
  EXPECT_EQ(ask({"ask", "s", "so?"}).turns_size(), 3);
  server_.SetAnswer({" "}, grpc::Status::OK);
  const v1::AskRequest last = ask({"ask", "s", "and?"});
  EXPECT_EQ(last.turns(3).answer(), "a b") << "without white space around it";
  EXPECT_EQ(ask({"ask", "s", "then?"}).turns(4).answer(), "");

  // A question without an answer leaves the conversation as it was.
  server_.AddCallFault(client::MakeError(grpc::StatusCode::INVALID_ARGUMENT, "too long", "QUESTION_TOO_LONG"));
  EXPECT_EQ(Run({"ask", "s", "what?", "--save-history", file}).exit_code, 5);
  EXPECT_EQ(ask({"ask", "s", "where?"}).turns_size(), 6);
}

TEST_F(CommandTest, GoesOnWithAHistoryThatWasWrittenByHand) {
  server_.AddSession("s");
  const std::string file = File("talk.jsonl",
                                "{\"question\": \"a\", \"answer\": \"b\", \"note\": 1}\n\n"
                                "{\"answer\": \"d\", \"question\": \"c\"}");
  EXPECT_EQ(Run({"ask", "s", "e?", "--history", file, "--save-history", file}).exit_code, 0);
  EXPECT_EQ(server_.last_question().turns_size(), 2);
  EXPECT_EQ(Run({"ask", "s", "f?", "--history", file}).exit_code, 0);
  ASSERT_EQ(server_.last_question().turns_size(), 3);
  EXPECT_EQ(server_.last_question().turns(2).question(), "e?");
  for (const char* bad : {"{\"question\": \"a\"}", "{\"question\": \"a\", \"answer\": 3}", "why?"}) {
    const Outcome refused = Run({"ask", "s", "f?", "--history", File("bad.jsonl", std::string("\n") + bad)});
    EXPECT_EQ(refused.exit_code, 2);
    EXPECT_THAT(refused.err, HasSubstr("bad.jsonl, line 2"));
  }
}

TEST_F(CommandTest, WaitsForWhatItIsToldToWaitFor) {
  server_.AddDocument("s", {.name = "book", .bytes = "text"});
  for (const auto& [arguments, bytes] : std::initializer_list<std::pair<std::vector<std::string>, std::uint64_t>>{
           {{}, 0}, {{"--wait-for", "3"}, 3}, {{"--wait-for", "all"}, 4}, {{"--wait-for-all"}, 4}}) {
    std::vector<std::string> ask = {"ask", "s", "why?"}, search = {"search", "s", "light"};
    ask.insert(ask.end(), arguments.begin(), arguments.end());
    search.insert(search.end(), arguments.begin(), arguments.end());
    EXPECT_EQ(Run(ask).exit_code, 0);
    EXPECT_EQ(server_.last_question().wait_for_ingested_bytes(), bytes);
    EXPECT_EQ(Run(search).exit_code, 0);
    EXPECT_EQ(server_.last_search().wait_for_ingested_bytes(), bytes);
  }
}

TEST_F(CommandTest, SearchesWithoutAnAnswer) {
  server_.AddDocument("s", {.name = "book", .bytes = "text"});
  const Outcome outcome = Run({"search", "s", "light", "--effort", "fast", "--limit", "2", "--wait-for-all"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.out,
            "#  SCORE  BYTES         TEXT\n"
            "1  0.500  book:0-60     In the beginning God created the heaven and the earth.\n"
            "2  0.250  book:100-160  And the earth was void.\n");
  EXPECT_THAT(outcome.err, HasSubstr("1,234 regions of 78,976 tokens"));
  const v1::SearchRequest request = server_.last_search();
  EXPECT_EQ(request.session(), "sessions/s");
  EXPECT_EQ(request.query(), "light");
  EXPECT_EQ(request.effort(), v1::EFFORT_FAST);
  EXPECT_EQ(request.page_size(), 2);
  EXPECT_EQ(request.wait_for_ingested_bytes(), 4);
  EXPECT_THAT(Run({"search", "s", "light", "--text"}).out,
              HasSubstr("[3] book:200-260  score 0.167\n    And God said"));
  EXPECT_EQ(server_.last_search().page_size(), 10);
  EXPECT_THAT(Run({"search", "s", "light"}).out, HasSubstr("3  0.167  book:200-260  Let there be light.\n"));
  EXPECT_EQ(Run({"search", "none", "light"}).exit_code, 3);

  const Json json = Json::parse(Run({"search", "s", "light", "--output", "json"}).out);
  EXPECT_EQ(json["regions"].size(), 3);
  EXPECT_EQ(json["regions"][1]["range"]["begin"], 100);
  EXPECT_EQ(json["regions"][1]["text"], "And the earth was void.");
  EXPECT_EQ(json["regions_scanned"], 1234);
  EXPECT_EQ(json["regions_reranked"], 40);
}

TEST_F(CommandTest, AnswersInJsonLines) {
  server_.AddDocument("s", {.name = "book", .bytes = "text"});
  const Outcome outcome = Run({"ask", "s", "why?", "--output", "json", "--log-probabilities", "--wait-for-all"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  const std::vector<Json> lines = Lines(outcome.out);
  ASSERT_EQ(lines.size(), 4);
  EXPECT_EQ(lines[0]["event"], "progress");
  EXPECT_EQ(lines[0]["phase"], "reading_question");
  EXPECT_EQ(lines[1]["event"], "delta");
  EXPECT_EQ(lines[1]["text"], "In the ");
  EXPECT_EQ(lines[1]["tokens"][0]["log_probability"], -0.25);
  EXPECT_EQ(lines[3]["event"], "result");
  EXPECT_EQ(lines[3]["answer"], "In the beginning");
  EXPECT_EQ(lines[3]["mode"], "reread");
  EXPECT_EQ(lines[3]["citations"][0]["range"]["document"], "book");
  EXPECT_EQ(lines[3]["timings"]["generating_seconds"], 0.5);
  EXPECT_EQ(server_.last_question().wait_for_ingested_bytes(), 4);
}

TEST_F(CommandTest, EndsAQuestionOnCtrlC) {
  server_.AddSession("s");
  server_.HoldAnswer();
  Process process(WithServer({"ask", "s", "why?"}));
  ASSERT_TRUE(server_.WaitUntil([this] { return server_.asks_waiting_locked() > 0; }));
  process.Signal(SIGINT);
  EXPECT_EQ(process.Wait().exit_code, 130);
  EXPECT_TRUE(server_.WaitUntil([this] { return server_.asks_waiting_locked() == 0; }));
}

TEST_F(CommandTest, WatchesUntilEverythingIsRead) {
  server_.AddDocument("s", {.name = "book", .bytes = std::string(1000, 'x'), .sealed = true, .ingested = 1000});
  const Outcome text = Run({"watch", "s"});
  EXPECT_EQ(text.exit_code, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr("100%"));
  const std::vector<Json> lines = Lines(Run({"watch", "s", "--output", "json"}).out);
  ASSERT_EQ(lines.size(), 1);
  EXPECT_EQ(lines[0]["ingested_bytes"], 1000);
  EXPECT_EQ(lines[0]["phase"], "idle");
}

TEST_F(CommandTest, ShowsTheModelAndTokens) {
  const Outcome model = Run({"model"});
  EXPECT_EQ(model.exit_code, 0) << model.err;
  EXPECT_THAT(model.out, HasSubstr("134,515,008"));
  EXPECT_EQ(Json::parse(Run({"model", "--output", "json"}).out)["config"]["layers"], 30);
  EXPECT_THAT(model.out, HasSubstr("the chat prompt form"));
  const Outcome tokens = Run({"tokenize", "ab"});
  EXPECT_EQ(tokens.out, "TOKEN  BYTES  PIECE\n   97      1  a\n   98      1  b\n");
  EXPECT_EQ(tokens.err, "2 tokens, 2 bytes\n");
  EXPECT_EQ(Json::parse(Run({"tokenize", "-", "--output", "json"}, "abc").out)["tokens"].size(), 3);
  EXPECT_EQ(Run({"tokenize", "\xff"}).exit_code, 2);
}

TEST_F(CommandTest, ShowsWhatASessionWouldCost) {
  const Outcome outcome = Run({"model", "--session-cost", "--window", "1024", "--sink", "32", "--segment", "256",
                               "--region", "128", "--region-memory", "ring=8"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("window 1024"));
  EXPECT_THAT(outcome.out, ContainsRegex("TOKENS +STATE +ARCHIVE"));
  const v1::MemoryOptions options = server_.last_model_request().session_options();
  EXPECT_EQ(options.window_tokens(), 1024u);
  EXPECT_EQ(options.sink_tokens(), 32u);
  EXPECT_EQ(options.segment_tokens(), 256u);
  EXPECT_EQ(options.region_tokens(), 128u);
  EXPECT_EQ(options.region_memory(), "ring=8");
  const Json json = Json::parse(Run({"model", "--session-cost", "--output", "json"}).out);
  EXPECT_EQ(json["max_state_bytes"], 1000);
  EXPECT_EQ(json["lengths"][0]["tokens"], 1'048'576);
}

}  // namespace
}  // namespace tome::command
