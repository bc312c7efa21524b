// tome.v1.ModelService.
#ifndef TOME_SERVER_RPC_MODEL_SERVICE_H_
#define TOME_SERVER_RPC_MODEL_SERVICE_H_

#include <atomic>
#include <string>
#include <utility>

#include "server/rpc/calls/call.h"
#include "server/scheduling/thread_pool.h"
#include "tome/v1/tome.grpc.pb.h"

namespace tome::server {

// All methods with messages as bytes; see call.h.
using RawModelService = v1::ModelService::WithRawCallbackMethod_GetModel<
    v1::ModelService::WithRawCallbackMethod_Tokenize<v1::ModelService::Service>>;

// Thread-safe. Texts are tokenized on a thread of its own; beyond kMaxWaiting that wait, RESOURCE_EXHAUSTED with reason
// TOKENIZE_LIMIT.
class ModelService final : public RawModelService {
 public:
  static constexpr int kMaxWaiting = 64;

  // `server_version`: what Model.server_version says.
  ModelService(const CallEnvironment& environment, std::string server_version)
      : environment_(environment), server_version_(std::move(server_version)) {}

  grpc::ServerUnaryReactor* GetModel(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                     grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* Tokenize(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                     grpc::ByteBuffer* response) override;

 private:
  void TokenizeLater(const Tokenizer& tokenizer, const v1::TokenizeRequest& request,
                     ReplyFunction<v1::TokenizeResponse> reply);

  const CallEnvironment environment_;
  const std::string server_version_;
  std::atomic<int> waiting_ = 0;
  ThreadPool tokenizing_{1};
};

}  // namespace tome::server

#endif  // TOME_SERVER_RPC_MODEL_SERVICE_H_
