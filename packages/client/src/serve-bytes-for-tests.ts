import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { handleUnaryCall } from '@grpc/grpc-js';

const asIs = (bytes: Buffer) => bytes;

/** Its requests and answers are bytes. */
export const bytesMethod = { path: '/test.Echo/Echo', requestSerialize: asIs, responseDeserialize: asIs };

/** A grpc-js server of that method, which knows nothing of our connection. */
export async function serveBytes(answer: handleUnaryCall<Buffer, Buffer>, listen = '127.0.0.1:0') {
  const server = new Server({ 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 });
  const method = { ...bytesMethod, requestStream: false, responseStream: false };
  server.addService({ Echo: { ...method, requestDeserialize: asIs, responseSerialize: asIs } }, { Echo: answer });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync(listen, ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  return { port, address: `127.0.0.1:${port}`, [Symbol.dispose]: () => server.forceShutdown() };
}
