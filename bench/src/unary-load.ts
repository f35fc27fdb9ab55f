import { Client, credentials } from '@grpc/grpc-js';
import type { Metadata } from '@grpc/grpc-js';

const asIs = (bytes: Buffer) => bytes;

/** A client of one unary method that sends the same bytes again and again, and does not decode what comes back. */
export function openUnaryLoad(address: string, path: string, request: Buffer, metadata: Metadata) {
  const client = new Client(address, credentials.createInsecure(), {
    'grpc.max_receive_message_length': -1,
    'grpc.max_send_message_length': -1,
  });
  const call = () =>
    new Promise<Buffer>((resolve, reject) =>
      client.makeUnaryRequest(path, asIs, asIs, request, metadata, (error, response) =>
        error ? reject(error) : resolve(response!),
      ),
    );
  return {
    call,
    /** Answers per second with `inFlight` calls always under way, over `count` calls. */
    async perSecond(inFlight: number, count: number): Promise<number> {
      const started = process.hrtime.bigint();
      let sent = 0;
      const caller = async () => {
        while (sent < count) {
          sent++;
          await call();
        }
      };
      await Promise.all(Array.from({ length: inFlight }, caller));
      return count / (Number(process.hrtime.bigint() - started) / 1e9);
    },
    /** Median milliseconds of `count` calls, one after the other. */
    async medianMs(count: number): Promise<number> {
      const times: number[] = [];
      for (let i = 0; i < count; i++) {
        const started = process.hrtime.bigint();
        await call();
        times.push(Number(process.hrtime.bigint() - started) / 1e6);
      }
      times.sort((a, b) => a - b);
      return times[count >> 1]!;
    },
    [Symbol.dispose]: () => client.close(),
  };
}
