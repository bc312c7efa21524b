#include "server/rpc/model_service.h"

#include "engine/base/utf8.h"
#include "server/rpc/conversion.h"
#include "server/session/errors.h"

namespace tome::server {
namespace {

v1::TokenizeResponse Tokenized(const Tokenizer& tokenizer, const std::string& text) {
  v1::TokenizeResponse response;
  for (const TextToken& token : tokenizer.Encode(text)) {
    v1::Token& added = *response.add_tokens();
    added.set_id(token.id);
    added.set_piece(ReplaceInvalidUtf8(tokenizer.PieceText(token.id)));
    added.set_num_bytes(token.num_bytes);
  }
  return response;
}

}  // namespace

grpc::ServerUnaryReactor* ModelService::GetModel(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                                 grpc::ByteBuffer* response) {
  return RunUnary<v1::GetModelRequest, v1::Model>(
      "GetModel", environment_, context, request, response,
      [this](SessionManager& sessions, const v1::GetModelRequest&, const ReplyFunction<v1::Model>& reply) {
        reply(ToProto(sessions.model()->info(), sessions.model()->profile(), sessions.options().default_memory_options,
                      server_version_));
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
