#include <string>
#include <utility>
#include <vector>

#include "client/command/commands.h"
#include "client/command/exit_code.h"
#include "client/command/format.h"
#include "client/command/memory_options.h"
#include "client/command/session_cost.h"
#include "client/command/table.h"
#include "client/source.h"
#include "engine/base/status.h"
#include "engine/base/utf8.h"

namespace tome::command {
namespace {

constexpr std::size_t kMostTokenizeBytes = 1 << 20;

std::string FindsText(const v1::Model& model) {
  if (model.retrieval_heads() == 0) return "by words and by reranking: the model has no profile";
  return fmt::format("by words, by {} retrieval heads and by reranking", model.retrieval_heads());
}

std::string AnswersBy(const v1::Model& model) {
  std::string text = model.has_prompt_form()            ? "the prompt form of its profile"
                     : model.chat_template() == "plain" ? "the raw prompt form"
                                                        : "the chat prompt form";
  if (model.budget_tokens() > 0) text += fmt::format(", {} tokens of text", FormatCount(model.budget_tokens()));
  if (model.effort() != v1::EFFORT_UNSPECIFIED) text += fmt::format(", {} effort", EffortName(model.effort()));
  return text + ", unless asked otherwise";
}

std::string RenderModel(const v1::Model& model) {
  const v1::ModelConfig& config = model.config();
  const v1::MemoryOptions& memory = model.default_options();
  std::vector<std::pair<std::string, std::string>> fields = {
      {"model", model.name()},
      {"format", model.format()},
      {"parameters", FormatCount(model.parameters())},
      {"weights", fmt::format("{}, decoding reads {}", FormatBytes(model.weight_bytes()), model.decode_weights())},
      {"layers", FormatCount(config.layers())},
      {"hidden", fmt::format("{}, feed-forward {}", config.hidden_size(), config.ffn_size())},
      {"heads", fmt::format("{} query, {} key-value, {} wide", config.query_heads(), config.kv_heads(),
                            config.head_dimension())},
      {"vocabulary", FormatCount(config.vocabulary_size())},
      {"trained on", fmt::format("{} positions", FormatCount(config.context_length()))},
      {"positions", fmt::format("rotary, theta {}, scaling {}", config.rope_theta(), config.rope_scaling())},
      {"chat template", model.chat_template()},
      {"device", fmt::format("{}, {} threads", model.device(), model.compute_threads())},
      {"precision", fmt::format("{} ({})", model.precision(), model.precision_reason())},
      {"memory", fmt::format("sink {}, window {}, segment {}, region {} tokens by default; state at most {}",
                             memory.sink_tokens(), memory.window_tokens(), memory.segment_tokens(),
                             memory.region_tokens(), FormatBytes(model.max_state_bytes()))},
      {"region memory", memory.region_memory()},
      {"finds text", FindsText(model)},
      {"answers by", AnswersBy(model)},
      {"model digest", model.model_digest()},
      {"tokenizer digest", model.tokenizer_digest()},
      {"profile digest", model.profile_digest()},
      {"server", model.server_version()},
      {"engine", model.engine()},
      {"cpu", model.cpu_features()},
  };
  for (const std::string& warning : model.warnings()) fields.emplace_back("warning", warning);
  return RenderFields(fields);
}

struct ModelArguments {
  bool session_cost = false;
  MemoryArguments memory;
};

absl::Status Model(const ModelArguments& arguments, Context& context) {
  v1::GetModelRequest request;
  *request.mutable_session_options() = ToProto(arguments.memory);
  TOME_ASSIGN_OR_RETURN(const v1::Model model, context.client->GetModel(request, context.call()));
  if (context.options.json) {
    context.PrintJson(arguments.session_cost ? ToJson(model.session_cost()) : ToJson(model));
  } else {
    context.out << (arguments.session_cost ? FormatSessionCost(model.session_cost()) : RenderModel(model));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadAll(Context& context) {
  TOME_ASSIGN_OR_RETURN(const auto input, client::FileSource::StandardInput());
  const auto interrupting = context.cancellation->OnCancel([&input] { input->Interrupt(); });
  std::string text;
  char part[64 << 10];
  while (true) {
    TOME_ASSIGN_OR_RETURN(const std::size_t size, input->Read(part, sizeof part));
    if (size == 0) return text;
    text.append(part, size);
    if (text.size() > kMostTokenizeBytes) {
      return UsageError(fmt::format("standard input has more than {} bytes, which is all that can be tokenized at once",
                                    FormatCount(kMostTokenizeBytes)));
    }
  }
}

absl::Status Tokenize(const std::string& argument, Context& context) {
  std::string text = argument;
  if (argument == "-") {
    TOME_ASSIGN_OR_RETURN(text, ReadAll(context));
  }
  if (!IsValidUtf8(text)) return UsageError("the text is not UTF-8");
  TOME_ASSIGN_OR_RETURN(const v1::TokenizeResponse response, context.client->Tokenize(text, context.call()));
  if (context.options.json) {
    context.PrintJson(ToJson(response));
    return absl::OkStatus();
  }
  Table table({{"TOKEN", true}, {"BYTES", true}, {"PIECE"}});
  for (const v1::Token& token : response.tokens()) {
    table.AddRow({std::to_string(token.id()), std::to_string(token.num_bytes()), token.piece()});
  }
  context.out << table.Render();
  context.err << fmt::format("{} tokens, {} bytes\n", FormatCount(response.tokens_size()), FormatCount(text.size()));
  return absl::OkStatus();
}

}  // namespace

void AddModelCommands(CLI::App& app, Action* action) {
  CLI::App* model = app.add_subcommand("model", "Show what the server computes with");
  auto arguments = std::make_shared<ModelArguments>();
  CLI::Option* cost = model->add_flag("--session-cost", arguments->session_cost,
                                      "Show what a session with these options would take, before it is made");
  for (CLI::Option* option : AddMemoryOptions(model, &arguments->memory)) option->needs(cost);
  model->footer(
      "Examples:\n"
      "  tome model\n"
      "  tome model --output json | jq .config\n"
      "  tome model --session-cost\n"
      "  tome model --session-cost --window 1024 --region-memory off\n");
  model->callback(
      [arguments, action] { *action = [arguments](Context& context) { return Model(*arguments, context); }; });

  auto text = std::make_shared<std::string>();
  CLI::App* tokenize = app.add_subcommand("tokenize", "Show the tokens of a text, as append counts them");
  tokenize->add_option("TEXT", *text, "The text, or - for standard input (at most 1 MiB)")->required();
  tokenize->footer("Examples:\n  tome tokenize \"In the beginning\"\n  tome tokenize - < chapter.txt\n");
  tokenize->callback([text, action] { *action = [text](Context& context) { return Tokenize(*text, context); }; });
}

}  // namespace tome::command
