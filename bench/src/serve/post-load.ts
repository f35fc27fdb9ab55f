import { Agent, request } from 'node:http';

export interface Posted {
  /** host:port. */
  readonly address: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** A client that posts the same body again and again, and does not decode what comes back. Throws unless it is 200. */
export function openPostLoad({ address, path, headers, body }: Posted) {
  const agent = new Agent({ keepAlive: true, maxSockets: 256 });
  const [host, port] = address.split(':');
  const options = {
    agent,
    host,
    port,
    path,
    method: 'POST',
    headers: { ...headers, 'content-length': String(body.length) },
  };
  const call = () =>
    new Promise<Buffer>((resolve, reject) => {
      const sent = request(options, (answer) => {
        const pieces: Buffer[] = [];
        answer.on('data', (piece: Buffer) => pieces.push(piece));
        answer.on('error', reject);
        answer.on('end', () => {
          const whole = Buffer.concat(pieces);
          if (answer.statusCode === 200) resolve(whole);
          else reject(new Error(`${path} answered ${answer.statusCode}: ${whole.subarray(0, 300).toString()}`));
        });
      });
      sent.on('error', reject);
      sent.end(body);
    });
  return { call, [Symbol.dispose]: () => agent.destroy() };
}
