import { Client, credentials } from '@grpc/grpc-js';
import type { Metadata } from '@grpc/grpc-js';

const asIs = (bytes: Buffer) => bytes;

/** A client of one unary method that sends the same bytes again and again, and does not decode what comes back. */
export function openUnaryLoad(address: string, path: string, request: Buffer, metadata: Metadata) {
  const client = new Client(address, credentials.createInsecure(), {
    'grpc.max_receive_message_length': -1,
    'grpc.max_send_message_length': -1,
  });
  return {
    /** `deadlineMs` from now on. */
    call: (deadlineMs?: number) =>
      new Promise<Buffer>((resolve, reject) =>
        client.makeUnaryRequest(
          path,
          asIs,
          asIs,
          request,
          metadata,
          deadlineMs === undefined ? {} : { deadline: Date.now() + deadlineMs },
          (error, response) => (error ? reject(error) : resolve(response!)),
        ),
      ),
    [Symbol.dispose]: () => client.close(),
  };
}
