import { Metadata, status } from '@grpc/grpc-js';
import type { ServiceError } from '@grpc/grpc-js';
import { ConnectionLostError, MillError, NotBegunError, headerFields } from '@modelmill/client';
import type { HeaderField } from '@modelmill/http2';
import { RpcError, injectContext } from '@modelmill/service-kit';
import * as errors from './errors.js';
import type { Named } from './model-name.js';
import type { ReplicaSet, Target } from './replica-set.js';

/** What a forwarded call takes from the one that came in. */
export interface Caller {
  readonly signal: AbortSignal;
  readonly deadline: Date | number;
  /** What the caller sent beside the request, where it came by gRPC: as it came, or as grpc-js has it. */
  readonly fields?: readonly HeaderField[] | undefined;
  readonly metadata?: Metadata | undefined;
}

export interface Route {
  readonly path: string;
  readonly replicas: ReplicaSet;
  /** The model it is about, where that matters for the choice. */
  readonly named?: Named | undefined;
  /** Whether it may be made twice. */
  readonly safe?: boolean;
}

const asItIs = (bytes: Buffer) => bytes;
// the connection's own, and the key, which ends here
const ends = new Set([
  'authorization',
  'host',
  'user-agent',
  'te',
  'content-type',
  'accept-encoding',
  'traceparent',
  'tracestate',
]);
const isPassedOn = (name: string) => !name.startsWith(':') && !ends.has(name) && !name.startsWith('grpc-');

const mostTries = 3;

/**
 * One request's bytes to a replica, and the answer's back. It goes to another replica where the first is unavailable and
 * the request is safe to make twice, or never left: a replica that was killed stays listed until its heartbeat is missed.
 */
export async function forwardUnary(route: Route, request: Buffer, caller: Caller): Promise<Buffer> {
  let target = route.replicas.pick(route.named);
  for (let tries = 1; ; tries++) {
    try {
      // what a first replica did not read may still be on its way there when the second one has answered
      return await callUnary(target, route.path, request, caller, { sole: tries === 1 });
    } catch (error) {
      const unavailable = error instanceof RpcError && error.code === status.UNAVAILABLE;
      const again = unavailable && (neverLeft(error) ? tries < mostTries : route.safe && tries === 1);
      if (!again || caller.signal.aborted) throw error;
      target = route.replicas.pick(route.named, target);
    }
  }
}

const neverLeft = ({ cause }: Error) => cause instanceof NotBegunError;

/** The same request to every replica; fails with the first failure. The first one's answer. */
export async function forwardToAll(route: Route, request: Buffer, caller: Caller): Promise<Buffer> {
  const targets = route.replicas.all();
  if (targets.length === 0) route.replicas.pick();
  const answers = await Promise.all(targets.map((target) => callUnary(target, route.path, request, caller)));
  return answers[0]!;
}

/** `sole`: nobody else was sent this request, or will be. */
export async function callUnary(
  target: Target,
  path: string,
  request: Buffer,
  caller: Caller,
  { sole = false }: { readonly sole?: boolean } = {},
): Promise<Buffer> {
  const { signal, deadline } = caller;
  target.inFlight++;
  try {
    return await target.unary.call(path, request, { signal, deadline, headers: headersFor(caller), sole });
  } catch (error) {
    const lost = error instanceof NotBegunError || error instanceof ConnectionLostError;
    if (lost) throw errors.unreachable(target.replica.service, error);
    throw error instanceof MillError ? new RpcError(error.code, error.message, { cause: error }) : error;
  } finally {
    target.inFlight--;
  }
}

/** One request's bytes to a replica, and its answers back as they come. */
export async function* forwardServerStream(
  { path, replicas, named }: Route,
  request: Buffer,
  caller: Caller,
): AsyncGenerator<Buffer> {
  const target = replicas.pick(named);
  const metadata = metadataFor(caller);
  const { deadline } = caller;
  const call = target.channel.raw.makeServerStreamRequest(path, asItIs, asItIs, request, metadata, { deadline });
  yield* answersOf(call, target, caller.signal);
}

/** Requests and answers as they come, to the replica that the first request asks for. */
export async function* forwardBidi(
  { path, replicas }: Route,
  requests: AsyncIterable<Buffer>,
  namedIn: (request: Buffer) => Named,
  caller: Caller,
): AsyncGenerator<Buffer> {
  const source = requests[Symbol.asyncIterator]();
  const first = await source.next();
  if (first.done === true) return;
  const target = replicas.pick(namedIn(first.value));
  const metadata = metadataFor(caller);
  const call = target.channel.raw.makeBidiStreamRequest(path, asItIs, asItIs, metadata, { deadline: caller.deadline });
  const ended = new Promise<void>((resolve) => call.once('close', resolve));
  const sending = (async () => {
    for (let next: IteratorResult<Buffer> = first; next.done !== true; next = await source.next()) {
      if (call.destroyed) return;
      if (!call.write(next.value)) await Promise.race([new Promise((drained) => call.once('drain', drained)), ended]);
    }
    call.end();
  })().catch(() => call.cancel()); // the caller broke off; whoever reads the answers is told
  yield* answersOf(call, target, caller.signal);
  await sending;
}

interface AnsweringCall extends AsyncIterable<unknown> {
  cancel(): void;
  on(event: 'error', listener: () => void): unknown;
}

async function* answersOf(call: AnsweringCall, target: Target, signal: AbortSignal): AsyncGenerator<Buffer> {
  const cancel = () => call.cancel();
  signal.addEventListener('abort', cancel, { once: true });
  if (signal.aborted) cancel();
  call.on('error', () => {}); // the loop throws it; this keeps a late one from ending the process
  target.inFlight++;
  try {
    for await (const answer of call) yield answer as Buffer;
  } catch (error) {
    throw passedOn(error as ServiceError, target);
  } finally {
    target.inFlight--;
    signal.removeEventListener('abort', cancel);
    cancel();
  }
}

/** As metadataFor, in HTTP/2's words. */
function headersFor({ fields, metadata }: Caller): readonly HeaderField[] {
  const came = fields ?? (metadata ? headerFields(metadata) : []);
  return [...came.filter(([name]) => isPassedOn(name)), ...Object.entries(injectContext<Record<string, string>>({}))];
}

function metadataFor({ metadata }: Caller): Metadata {
  const passed = new Metadata();
  for (const key of Object.keys(metadata?.getMap() ?? {})) {
    if (isPassedOn(key)) for (const value of metadata!.get(key)) passed.add(key, value);
  }
  return injectContext(passed);
}

function passedOn(error: ServiceError, { replica }: Target): unknown {
  if (typeof error.code !== 'number') return error;
  // said by the connection and not by the replica: it would tell addresses
  const lost = error.code === status.UNAVAILABLE && /connection|ECONN|GOAWAY/i.test(error.details);
  return lost ? errors.unreachable(replica.service, error) : new RpcError(error.code, error.details, { cause: error });
}
