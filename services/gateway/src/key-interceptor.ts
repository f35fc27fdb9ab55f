import { ServerInterceptingCall } from '@grpc/grpc-js';
import type { ServerInterceptor } from '@grpc/grpc-js';
import { RpcError } from '@modelmill/service-kit';
import type { KeyCheck } from './keys.js';

// whoever probes a server has no key
const open = /^\/(grpc\.health\.v1\.Health|inference\.GRPCInferenceService)\/(Check|Watch|ServerLive|ServerReady)$/;

/** Refuses calls without a key before anything of them is read. */
export function keyInterceptor(check: KeyCheck): ServerInterceptor {
  return ({ path }, call) => {
    if (open.test(path)) return new ServerInterceptingCall(call);
    return new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMetadata(metadata, receive) {
            try {
              check(metadata.get('authorization')[0]?.toString());
            } catch (error) {
              if (!(error instanceof RpcError)) throw error;
              call.sendStatus({ code: error.code, details: error.message });
              return;
            }
            receive(metadata);
          },
        }),
    });
  };
}
