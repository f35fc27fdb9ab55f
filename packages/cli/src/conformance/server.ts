import { createChannel } from '@modelmill/client';
import type { CallOptions, Channel, Method } from '@modelmill/client';
import { FailedCheck } from './failed-check.js';
import type { ServedModel } from './served-model.js';

/** An answer of the REST door: its bytes, and its JSON where it is JSON. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Buffer;
  readonly json: unknown;
}

/** The server under test, by the doors it has, with the models it serves. */
export interface Server {
  rest(path: string, init?: RequestInit): Promise<Answer>;
  post(path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>;
  call<Q, S>(method: Method<Q, S>, request: Q, options?: CallOptions): Promise<S>;
  /** The answers to these requests on one stream that is closed behind the last. */
  stream<Q, S>(method: Method<Q, S>, requests: readonly Q[], headers?: Record<string, string>): Promise<S[]>;
  readonly models: readonly ServedModel[];
}

export interface Doors {
  /** Base URL of the REST door, without a slash at the end. */
  readonly rest: string | undefined;
  /** host:port. */
  readonly grpc: string | undefined;
  readonly apiKey: string | undefined;
}

const callMs = 20_000;

/** The doors of a server, before anything is known of its models. */
export function openDoors({ rest: base, grpc, apiKey }: Doors): Omit<Server, 'models'> & AsyncDisposable {
  const channel: Channel | undefined = grpc === undefined ? undefined : createChannel({ address: grpc, apiKey });
  const open = () => {
    if (channel === undefined) throw new FailedCheck('no gRPC door was named');
    return channel;
  };
  const key: Record<string, string> = apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` };

  async function rest(path: string, init: RequestInit = {}): Promise<Answer> {
    if (base === undefined) throw new FailedCheck('no REST door was named');
    const headers = { ...key, ...(init.headers as Record<string, string> | undefined) };
    const response = await fetch(`${base}${path}`, { ...init, headers, signal: AbortSignal.timeout(callMs) });
    const bytes = Buffer.from(await response.arrayBuffer());
    const isJson = response.headers.get('content-type')?.startsWith('application/json') === true && bytes.length > 0;
    return { status: response.status, headers: response.headers, bytes, json: isJson ? parsed(bytes) : undefined };
  }

  return {
    rest,
    post: (path, body, headers = {}) =>
      rest(path, { method: 'POST', headers, ...(body === undefined ? {} : { body: bodyOf(body) }) }),
    call: (method, request, options) => open().unary(method, request, { deadlineMs: callMs, ...options }),
    stream({ path, requestSerialize, responseDeserialize }, requests, headers = {}) {
      const { raw, metadata } = open();
      const deadline = Date.now() + callMs;
      const call = raw.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata(headers), {
        deadline,
      });
      for (const request of requests) call.write(request);
      call.end();
      return gathered(call);
    },
    async [Symbol.asyncDispose]() {
      await channel?.[Symbol.asyncDispose]();
    },
  };
}

async function gathered<S>(answers: AsyncIterable<unknown>): Promise<S[]> {
  const all: S[] = [];
  for await (const answer of answers) all.push(answer as S);
  return all;
}

const bodyOf = (body: unknown) =>
  typeof body === 'string' || body instanceof Uint8Array
    ? (body as string | Uint8Array<ArrayBuffer>)
    : JSON.stringify(body);

function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString());
  } catch {
    throw new FailedCheck(`the answer is not JSON: ${bytes.toString('latin1').slice(0, 80)}`);
  }
}
