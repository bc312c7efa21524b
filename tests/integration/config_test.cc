// Flags, environment and file of tome-server.
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/memory_defaults.h"
#include "server/server_config.h"
#include "tests/integration/server_process.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace tome::server {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using tome::testing::Finished;
using tome::testing::IsOk;
using tome::testing::RunServer;
using tome::testing::StatusIs;
using tome::testing::TempDir;

Environment Variables(std::map<std::string, std::string> variables) {
  return [variables = std::move(variables)](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  };
}

LlamaConfig ModelWithContext(std::int64_t context_length) {
  return {.num_layers = 2,
          .num_heads = 4,
          .num_kv_heads = 4,
          .head_dim = 8,
          .context_length = context_length,
          .rope_theta = 10000};
}

TEST(ConfigTest, TheDefaultRegionMemoryFitsTheModel) {
  LlamaConfig model = ModelWithContext(8192);
  ServerConfig config;
  const std::string usual = config.region_memory;
  EXPECT_THAT(FitMemory(model, Precision::kBf16, &config), IsOk());
  EXPECT_EQ(config.region_memory, usual);
  EXPECT_EQ(config.fitted, "");
  model.context_length = 4096;
  config = ServerConfig();
  EXPECT_THAT(FitMemory(model, Precision::kBf16, &config), IsOk());
  EXPECT_THAT(config.region_memory, HasSubstr("selected=11,"));
  EXPECT_THAT(config.fitted, HasSubstr("--region-memory is selected=11 instead of selected=16"));
  EXPECT_THAT(ValidateMemoryOptions(config.ToSessionManagerOptions().default_memory_options, model), IsOk());
  config = ServerConfig();
  model.context_length = 2700;
  EXPECT_THAT(FitMemory(model, Precision::kBf16, &config), IsOk());
  EXPECT_EQ(config.region_memory, "off");
  config = ServerConfig();
  model.context_length = 2048;
  config.region_memory = "selected=20";
  EXPECT_THAT(FitMemory(model, Precision::kBf16, &config),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("--region-memory=selected=20: ")));
  EXPECT_EQ(config.region_memory, "selected=20");
  config = ServerConfig();
  model.context_length = 8192;
  EXPECT_THAT(FitMemory(model, Precision::kFp32, &config), IsOk());
  EXPECT_EQ(config.region_memory, FormatRegionMemoryOptions(DefaultMemoryOptions(model, Precision::kFp32).regions));
  EXPECT_THAT(config.region_memory, HasSubstr("precision=int8"));
  EXPECT_EQ(config.fitted, "");
}

TEST(ConfigTest, TheDefaultMemoryFitsModelsWithShortContexts) {
  const LlamaConfig model = ModelWithContext(2048);
  ServerConfig config = *ParseServerConfig({"--model=m"}, Variables({}));
  EXPECT_THAT(FitMemory(model, Precision::kBf16, &config), IsOk());
  EXPECT_EQ(config.window_tokens, 1024);
  EXPECT_EQ(config.segment_tokens, 256);
  EXPECT_THAT(config.region_memory, HasSubstr("selected=5,query-region=128,"));
  EXPECT_THAT(config.fitted, HasSubstr("context of 2048 tokens has no room"));
  EXPECT_THAT(config.fitted,
              HasSubstr("--window-tokens is 1024 instead of 2048, --segment-tokens is 256 instead of 512,"));
  EXPECT_THAT(config.ToToml(), HasSubstr("\nwindow-tokens = 1024\n")) << "what came of it is no comment";
  EXPECT_THAT(config.ToSessionManagerOptions().notes, ::testing::ElementsAre(config.fitted));
}

TEST(ConfigTest, WhatWasGivenIsNotFitted) {
  const LlamaConfig model = ModelWithContext(2048);
  const struct {
    std::vector<std::string> flags;
    std::map<std::string, std::string> variables;
    std::string refused;  // "": not
  } rows[] = {
      {{"--window-tokens=2048"}, {}, "--window-tokens=2048: sink_tokens"},
      {{}, {{"TOME_WINDOW_TOKENS", "2048"}}, "--window-tokens=2048: sink_tokens"},
      {{"--segment-tokens=2000", "--sink-tokens=64"}, {}, "--sink-tokens=64, --segment-tokens=2000: sink_tokens"},
      {{"--region-memory=" + FormatRegionMemoryOptions({})}, {}, "--region-memory=selected=16,"},
      {{"--region-tokens=7"}, {}, "--region-tokens=7: region_tokens: expected 8 to 4096, found 7"},
      {{"--window-tokens=1900"}, {}, ""},
      {{"--segment-tokens=1900"}, {}, ""},
      {{"--sink-tokens=1900"}, {}, ""},
      {{"--region-tokens=128"}, {}, ""},
      {{"--region-memory=selected=2"}, {}, ""},
      {{"--window-tokens=1000", "--segment-tokens=500"}, {}, ""},
  };
  for (const auto& row : rows) {
    std::vector<std::string> flags = row.flags;
    flags.push_back("--model=m");
    ServerConfig config = *ParseServerConfig(flags, Variables(row.variables));
    const std::string printed = config.ToToml();
    const absl::Status status = FitMemory(model, Precision::kBf16, &config);
    if (!row.refused.empty()) {
      EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(row.refused)));
      continue;
    }
    EXPECT_THAT(status, IsOk()) << row.flags.front();
    EXPECT_THAT(ValidateMemoryOptions(config.ToSessionManagerOptions().default_memory_options, model), IsOk());
    for (std::string flag : row.flags) {
      flag = flag.substr(2);
      EXPECT_EQ(config.fitted.find("--" + flag.substr(0, flag.find('='))), std::string::npos) << config.fitted;
    }
  }
}

TEST(ConfigTest, FlagBeforeVariableBeforeFileBeforeDefault) {
  const TempDir folder;
  const std::string file =
      folder.Write("tome.toml", "model = \"m\"\nwindow-tokens = 3\nsegment-tokens = 3\nthreads=3\n");
  const auto config = ParseServerConfig(
      {"--config", file, "--window-tokens", "1"},
      Variables({{"TOME_WINDOW_TOKENS", "2"}, {"TOME_SEGMENT_TOKENS", "2"}, {"TOME_MAX_SESSIONS", "2"}}));
  ASSERT_THAT(config, IsOk());
  EXPECT_EQ(config->window_tokens, 1);
  EXPECT_EQ(config->segment_tokens, 2);
  EXPECT_EQ(config->max_sessions, 2);
  EXPECT_EQ(config->threads, 3);
  EXPECT_EQ(config->model, "m");
  EXPECT_EQ(config->sink_tokens, MemoryOptions{}.sink_tokens);
}

TEST(ConfigTest, FileMayBeNamedByTheEnvironment) {
  const TempDir folder;
  const std::string first = folder.Write("1.toml", "model = \"one\"\n");
  const std::string second = folder.Write("2.toml", "model = \"two\"\n");
  EXPECT_EQ(ParseServerConfig({}, Variables({{"TOME_CONFIG", first}}))->model, "one");
  EXPECT_EQ(ParseServerConfig({"--config", second}, Variables({{"TOME_CONFIG", first}}))->model, "two");
}

TEST(ConfigTest, EmptyMetricsAddressMeansNone) {
  for (const std::vector<std::string>& flags :
       {std::vector<std::string>{"--model=m", "--metrics-listen="}, {"--model=m", "--metrics-listen", ""}}) {
    const auto config = ParseServerConfig(flags, Variables({}));
    ASSERT_THAT(config, IsOk());
    EXPECT_EQ(config->metrics_listen, "");
  }
}

TEST(ConfigTest, SizesTakeUnits) {
  EXPECT_EQ(ParseServerConfig({"--model=m", "--max-resident-bytes=2GiB"}, Variables({}))->max_resident_bytes,
            std::int64_t{2} << 30);
}

TEST(ConfigTest, ArchivesGoIntoTheDataFolderUnlessToldOtherwise) {
  const auto options = [](const std::vector<std::string>& flags) {
    return ParseServerConfig(flags, Variables({}))->ToModelOptions();
  };
  EXPECT_EQ(options({"--model=m", "--data-dir=d"}).archive_folder, "d/archive");
  EXPECT_EQ(options({"--model=m"}).archive_resident_bytes, ModelOptions{}.archive_resident_bytes);
  const ModelOptions other = options({"--model=m", "--archive-folder=/fast", "--archive-resident-bytes=8MiB"});
  EXPECT_EQ(other.archive_folder, "/fast");
  EXPECT_EQ(other.archive_resident_bytes, std::size_t{8} << 20);
}

TEST(ConfigTest, ErrorsNameTheirSource) {
  const TempDir folder;
  int files = 0;
  const auto file = [&](const std::string& text) {
    return "--config=" + folder.Write(std::to_string(++files) + "tome.toml", text);
  };
  const struct {
    std::vector<std::string> flags;
    std::map<std::string, std::string> variables;
    std::vector<std::string> told;
  } rows[] = {
      {{"--unknown"}, {}, {"--unknown"}},
      {{"stray"}, {}, {"stray"}},
      {{"--threads=many"}, {}, {"--threads", "many"}},
      {{"--threads=-1"}, {}, {"--threads", "-1"}},
      {{"--device=gpu"}, {}, {"--device", "gpu", "cuda"}},
      {{"--precision=fp8"}, {}, {"--precision", "fp8", "bf16"}},
      {{"--listen=nowhere"}, {}, {"--listen", "nowhere", "HOST:PORT"}},
      {{"--listen=127.0.0.1:65536"}, {}, {"--listen", "65536"}},
      {{"--listen=127.0.0.1:-1"}, {}, {"--listen", "-1"}},
      {{"--listen="}, {}, {"--listen"}},
      {{"--log-level=loud"}, {}, {"--log-level", "loud"}},
      {{"--log-format=xml"}, {}, {"--log-format", "xml"}},
      {{"--grace-seconds=1e9"}, {}, {"--grace-seconds"}},
      {{"--model="}, {}, {"--model"}},
      {{"--model"}, {}, {"--model"}},
      {{}, {}, {"--model", "TOME_MODEL"}},
      {{"--model=m", "--tls-cert=c"}, {}, {"--tls-cert", "--tls-key"}},
      {{"--model=m"}, {{"TOME_THREADS", "many"}}, {"TOME_THREADS", "many"}},
      {{"--model=m"}, {{"TOME_LISTEN", ""}}, {"TOME_LISTEN"}},
      {{"--config=/nonexistent.toml"}, {}, {"/nonexistent.toml"}},
      {{"--config=/"}, {}, {"/"}},
      {{file("thread = 4\n")}, {}, {"tome.toml", "thread"}},
      {{file("[server]\nthreads = 4\n")}, {}, {"tome.toml", "server.threads"}},
      {{file("help = true\n")}, {}, {"tome.toml", "help"}},
      {{file("threads = [1, 2]\n")}, {}, {"tome.toml", "threads"}},
      {{file("threads = many\n")}, {}, {"tome.toml", "threads", "many"}},
  };
  for (const auto& row : rows) {
    const auto config = ParseServerConfig(row.flags, Variables(row.variables));
    ASSERT_THAT(config, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(row.told.front())));
    for (const std::string& told : row.told) EXPECT_THAT(std::string(config.status().message()), HasSubstr(told));
    EXPECT_EQ(std::string(config.status().message()).find('\n'), std::string::npos);
  }
}

TEST(ConfigTest, PrintedConfigurationIsAFileThatGivesTheSame) {
  const TempDir folder;
  const Finished first = RunServer({"--print-config", "--model", "a b.gguf", "--threads=3", "--metrics-listen="},
                                   {{"TOME_WINDOW_TOKENS", "777"}});
  EXPECT_EQ(first.exit_code, 0);
  EXPECT_THAT(first.err, IsEmpty());
  EXPECT_THAT(first.out, AllOf(HasSubstr("model = \"a b.gguf\"\n"), HasSubstr("threads = 3\n"),
                               HasSubstr("\nwindow-tokens = 777\n"), HasSubstr("metrics-listen = \"\"\n"),
                               HasSubstr("\n# segment-tokens = 512\n")));
  const Finished second = RunServer({"--print-config", "--config", folder.Write("printed.toml", first.out)});
  EXPECT_EQ(second.exit_code, 0);
  EXPECT_EQ(second.out, first.out);
}

TEST(ConfigTest, VersionTellsBuildLibrariesAndCpu) {
  const Finished version = RunServer({"--version"});
  EXPECT_EQ(version.exit_code, 0);
  EXPECT_THAT(version.out,
              AllOf(HasSubstr("tome-server "), HasSubstr("revision "), HasSubstr("libtorch"), HasSubstr("cpu ")));
}

TEST(ConfigTest, HelpNamesEveryOption) {
  const Finished help = RunServer({"--help"});
  EXPECT_EQ(help.exit_code, 0);
  for (const char* option :
       {"--model", "--device", "--data-dir", "--listen", "--metrics-listen", "--window-tokens", "--max-resident-bytes",
        "--archive-folder", "--archive-resident-bytes", "--grace-seconds", "--log-format", "--port-file"}) {
    EXPECT_THAT(help.out, HasSubstr(option));
  }
}

}  // namespace
}  // namespace tome::server
