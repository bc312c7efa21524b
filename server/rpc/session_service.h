// tome.v1.SessionService.
#ifndef TOME_SERVER_RPC_SESSION_SERVICE_H_
#define TOME_SERVER_RPC_SESSION_SERVICE_H_

#include "server/rpc/calls/call.h"
#include "tome/v1/tome.grpc.pb.h"

namespace tome::server {

// All methods with messages as bytes; see call.h.
using RawSessionService = v1::SessionService::WithRawCallbackMethod_CreateSession<
    v1::SessionService::WithRawCallbackMethod_GetSession<v1::SessionService::WithRawCallbackMethod_ListSessions<
        v1::SessionService::WithRawCallbackMethod_UpdateSession<v1::SessionService::WithRawCallbackMethod_DeleteSession<
            v1::SessionService::WithRawCallbackMethod_Append<v1::SessionService::WithRawCallbackMethod_Watch<
                v1::SessionService::WithRawCallbackMethod_Ask<v1::SessionService::WithRawCallbackMethod_Search<
                    v1::SessionService::WithRawCallbackMethod_SnapshotSession<
                        v1::SessionService::WithRawCallbackMethod_RereadSession<
                            v1::SessionService::WithRawCallbackMethod_Score<
                                v1::SessionService::WithRawCallbackMethod_ForkSession<
                                    v1::SessionService::WithRawCallbackMethod_ExportSession<
                                        v1::SessionService::WithRawCallbackMethod_ImportSession<
                                            v1::SessionService::Service>>>>>>>>>>>>>>>;

// Thread-safe. Nothing blocks a gRPC thread.
class SessionService final : public RawSessionService {
 public:
  explicit SessionService(const CallEnvironment& environment) : environment_(environment) {}

  using Context = grpc::CallbackServerContext;
  using Bytes = grpc::ByteBuffer;

  grpc::ServerUnaryReactor* CreateSession(Context* context, const Bytes* request, Bytes* response) override;
  grpc::ServerUnaryReactor* GetSession(Context* context, const Bytes* request, Bytes* response) override;
  grpc::ServerUnaryReactor* ListSessions(Context* context, const Bytes* request, Bytes* response) override;
  grpc::ServerUnaryReactor* UpdateSession(Context* context, const Bytes* request, Bytes* response) override;
  grpc::ServerUnaryReactor* DeleteSession(Context* context, const Bytes* request, Bytes* response) override;
  grpc::ServerUnaryReactor* SnapshotSession(Context* context, const Bytes* request, Bytes* response) override;
  grpc::ServerUnaryReactor* RereadSession(Context* context, const Bytes* request, Bytes* response) override;
  grpc::ServerUnaryReactor* ForkSession(Context* context, const Bytes* request, Bytes* response) override;
  grpc::ServerWriteReactor<Bytes>* ExportSession(Context* context, const Bytes* request) override;
  grpc::ServerReadReactor<Bytes>* ImportSession(Context* context, Bytes* response) override;
  grpc::ServerBidiReactor<Bytes, Bytes>* Append(Context* context) override;
  grpc::ServerWriteReactor<Bytes>* Watch(Context* context, const Bytes* request) override;
  grpc::ServerWriteReactor<Bytes>* Ask(Context* context, const Bytes* request) override;
  grpc::ServerUnaryReactor* Search(Context* context, const Bytes* request, Bytes* response) override;
  grpc::ServerUnaryReactor* Score(Context* context, const Bytes* request, Bytes* response) override;

 private:
  const CallEnvironment environment_;
};

}  // namespace tome::server

#endif  // TOME_SERVER_RPC_SESSION_SERVICE_H_
