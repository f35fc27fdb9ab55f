import { connect } from 'node:http2';
import type { ClientHttp2Session, OutgoingHttpHeaders } from 'node:http2';
import { apiKey } from '../start-mesh.js';

export const inferPath = '/inference.GRPCInferenceService/ModelInfer';

/** A gRPC message with its prefix; `flag` 1 says that it is compressed. */
export function framed(message: Uint8Array, flag = 0, length = message.length): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt8(flag);
  prefix.writeUInt32BE(length, 1);
  return Buffer.concat([prefix, message]);
}

/** A connection that no client library watches over. */
export function openSession(address: string): ClientHttp2Session {
  const session = connect(`http://${address}`);
  session.on('error', () => {}); // it is what the server is to do
  return session;
}

/** One gRPC call of any bytes: its status, `HTTP n` where the answer is no gRPC, or `reset`. */
export async function rawCall(
  address: string,
  body: readonly Uint8Array[],
  headers: OutgoingHttpHeaders = {},
  options: { end?: boolean } = {},
): Promise<string> {
  const session = openSession(address);
  try {
    return await new Promise<string>((resolve) => {
      const late = setTimeout(() => resolve('no answer within 5 s'), 5_000);
      const done = (status: string) => {
        clearTimeout(late);
        resolve(status);
      };
      const stream = session.request({
        ':method': 'POST',
        ':path': inferPath,
        'content-type': 'application/grpc',
        te: 'trailers',
        authorization: `Bearer ${apiKey}`,
        ...headers,
      });
      const heard = (found: Record<string, unknown>) => {
        if (found['grpc-status'] !== undefined) done(String(found['grpc-status']));
        else if (found[':status'] !== undefined && found[':status'] !== 200) done(`HTTP ${String(found[':status'])}`);
      };
      stream.on('response', heard);
      stream.on('trailers', heard);
      stream.on('error', () => done('reset'));
      stream.on('close', () => done('reset'));
      session.on('error', () => done('reset'));
      stream.resume();
      for (const part of body) stream.write(part);
      if (options.end !== false) stream.end();
    });
  } finally {
    session.destroy();
  }
}
