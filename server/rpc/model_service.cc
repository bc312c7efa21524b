#include "server/rpc/model_service.h"

#include "engine/base/status.h"
#include "engine/base/utf8.h"
#include "server/base/errors.h"
#include "server/reading/session_memory.h"
#include "server/rpc/wire/conversion.h"

namespace tome::server {
namespace {

absl::StatusOr<v1::Model> Describe(const SessionManager& sessions, const v1::GetModelRequest& request,
                                   const std::string& server_version) {
  const Model& model = *sessions.model();
  const SessionManagerOptions& server = sessions.options();
  TOME_ASSIGN_OR_RETURN(const MemoryOptions options, ResolveMemoryOptions(FromProto(request.session_options()), server,
                                                                          model, /*field=*/"session_options"));
  v1::Model described = ToProto(model.info(), model.profile(), server.default_memory_options, server_version);
  for (const std::string& note : server.notes) described.add_warnings(note);
  *described.mutable_session_cost() =
      ToProto(ComputeSessionCost(model, options), options, MaxResidentBytes(model, options), server.max_state_bytes);
  return described;
}

v1::TokenizeResponse Tokenized(const Tokenizer& tokenizer, const std::string& text) {
  v1::TokenizeResponse response;
  std::size_t rest = text.size();
  for (const TextToken& token : tokenizer.Encode(text)) {
    v1::Token& added = *response.add_tokens();
    added.set_id(token.id);
    added.set_piece(ReplaceInvalidUtf8(tokenizer.PieceText(token.id)));
    added.set_num_bytes(token.num_bytes);
    rest -= token.num_bytes;
  }
  if (response.tokens_size() == 0) return response;
  // Bytes at the end for which the vocabulary has no token.
  v1::Token& last = *response.mutable_tokens()->rbegin();
  last.set_num_bytes(last.num_bytes() + static_cast<std::uint32_t>(rest));
  return response;
}

}  // namespace

grpc::ServerUnaryReactor* ModelService::GetModel(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                                 grpc::ByteBuffer* response) {
  return RunUnary<v1::GetModelRequest, v1::Model>(
      "GetModel", environment_, context, request, response,
      [this](SessionManager& sessions, const v1::GetModelRequest& asked, const ReplyFunction<v1::Model>& reply) {
        reply(Describe(sessions, asked, server_version_));
      });
}

grpc::ServerUnaryReactor* ModelService::Tokenize(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                                 grpc::ByteBuffer* response) {
  return RunUnary<v1::TokenizeRequest, v1::TokenizeResponse>(
      "Tokenize", environment_, context, request, response,
      [this](SessionManager& sessions, const v1::TokenizeRequest& tokenize, ReplyFunction<v1::TokenizeResponse> reply) {
        TokenizeLater(*sessions.model()->tokenizer(), tokenize, std::move(reply));
      });
}

void ModelService::TokenizeLater(const Tokenizer& tokenizer, const v1::TokenizeRequest& request,
                                 ReplyFunction<v1::TokenizeResponse> reply) {
  if (waiting_.fetch_add(1) >= kMaxWaiting) {
    waiting_.fetch_sub(1);
    return reply(MakeError(absl::StatusCode::kResourceExhausted, "too many texts wait to be tokenized",
                           {.reason = "TOKENIZE_LIMIT", .retry_delay = absl::Seconds(1)}));
  }
  const bool posted = tokenizing_.Post([this, &tokenizer, text = request.text(), reply] {
    reply(Tokenized(tokenizer, text));
    waiting_.fetch_sub(1);
  });
  if (!posted) reply(DrainingError());
}

}  // namespace tome::server
