/**
 * The child's side of a runner. It reads frames from descriptor 3, blocking, executes them one at a time and writes the
 * answers in order. ONNX Runtime blocks the thread anyway, and blocking reads spare two passes through an event loop.
 */
import { readSync, rmdirSync, writeSync } from 'node:fs';
import { setPriority } from 'node:os';
import { basename } from 'node:path';
import { Worker } from 'node:worker_threads';
import { createExchangeFiles } from './exchange-files.js';
import {
  bodyFollows,
  decodeFrame,
  decodePreamble,
  encodeFrame,
  partEndBytes,
  preambleBytes,
  sendFrame,
} from './frames.js';
import type { Frame, FrameHeader } from './frames.js';
import type { RunnerErrorKind } from './runner-error.js';
import type { LoadOptions } from './runner-options.js';
import type { Provider } from './providers.js';
import { openRoomyModel } from './open-roomy-model.js';
import type { LoadedRoomyModel } from './open-roomy-model.js';
import { openOutputRoom } from './output-room.js';
import { signatureOf } from './session.js';
import { fromOrt, toOrt } from './tensor.js';
import type { TensorData } from './tensor.js';
import { withoutPaths } from './without-paths.js';

const channel = 3;
const keptBytes = 2 ** 26;

export type RunnerRequest =
  | ({ op: 'load'; id: string; path: string } & LoadOptions)
  | { op: 'unload'; id: string }
  | { op: 'run'; id: string; outputs?: readonly string[] }
  | { op: 'measure'; ids: readonly string[]; rounds: number; warmup: number };

interface Settings {
  readonly providers: readonly Provider[] | null;
  readonly threads: number;
  /** The exchange files' descriptors in this process. */
  readonly exchange: readonly number[];
}

/** A nice value: who computes for long lets those pass who take a message and pass it on. */
const behindServices = 10;

const settings = JSON.parse(process.argv[2]!) as Settings;
const exchange = createExchangeFiles(settings.exchange);
const models = new Map<string, LoadedRoomyModel>();
const room = openOutputRoom();
/** Ids of those that write down what their nodes take. */
const profiled = new Set<string>();

async function serve(): Promise<void> {
  dieWithParent();
  setPriority(behindServices);
  send({ ready: true });
  for (let frame = receive(); frame !== undefined; frame = receive()) {
    try {
      await answer(frame.header as FrameHeader & RunnerRequest, frame);
    } catch (error) {
      send({ error: { kind: kindOf(error, frame.header['op']), message: withoutPaths(error) } });
    }
  }
  removeWorkingDirectory();
  process.kill(process.pid, 'SIGKILL'); // nothing to tidy up, and native destructors may take their time
}

class Refusal extends Error {}

function kindOf(error: unknown, op: unknown): RunnerErrorKind {
  if (error instanceof Refusal) return 'refused';
  return op === 'run' && error instanceof Error && outOfMemory.test(error.message) ? 'memory' : 'model';
}

/** What the bound on the address space makes of an allocation, in the words of C++, ONNX Runtime and V8. */
const outOfMemory = /bad_alloc|Failed to allocate memory|Array buffer allocation failed/;

async function answer(request: RunnerRequest, { tensors, answerFile }: Received): Promise<void> {
  switch (request.op) {
    case 'load':
      return send(await load(request));
    case 'unload':
      if (profiled.delete(request.id)) models.get(request.id)?.session.endProfiling();
      await models.get(request.id)?.session.release();
      models.delete(request.id);
      if (models.size === 0) room.release();
      return send({});
    case 'run': {
      const model = loaded(request.id);
      const feeds = feedsOf(tensors);
      const begun = process.hrtime.bigint();
      const results = await room.run(model, feeds, request.outputs ?? model.outputs);
      const computeNs = Number(process.hrtime.bigint() - begun);
      return send(
        { computeNs },
        Object.entries(results).map(([name, value]) => [name, fromOrt(value)] as const),
        answerFile,
      );
    }
    case 'measure':
      return send({ milliseconds: await measure(request, tensors) });
  }
}

/**
 * From bytes, mostly, and with an empty working directory: there is no file next to the model that it could name.
 */
async function load({
  id,
  path,
  optimizedModelPath,
  graphOptimization,
  profilePrefix,
}: RunnerRequest & { op: 'load' }): Promise<FrameHeader> {
  const begun = performance.now();
  const { providers, threads } = settings;
  const model = await openRoomyModel(path, {
    threads,
    ...(providers === null ? {} : { providers }),
    ...(optimizedModelPath === undefined ? {} : { optimizedModelPath }),
    ...(graphOptimization === undefined ? {} : { graphOptimization }),
    ...(profilePrefix === undefined ? {} : { profilePrefix }),
  });
  const { session, provider } = model;
  const signature = signatureOf(session);
  await models.get(id)?.session.release();
  models.set(id, model);
  if (profilePrefix !== undefined) profiled.add(id);
  return { loaded: { ...signature, provider, loadMs: performance.now() - begun } };
}

/** Tensor names are prefixed with the index of their case. */
async function measure(
  { ids, rounds, warmup }: RunnerRequest & { op: 'measure' },
  tensors: Map<string, TensorData>,
): Promise<number[][]> {
  const cases = ids.map((id, index) => {
    const prefix = `${index}/`;
    const own = [...tensors].filter(([name]) => name.startsWith(prefix));
    return { model: loaded(id), feeds: feedsOf(own.map(([name, data]) => [name.slice(prefix.length), data])) };
  });
  const milliseconds: number[][] = ids.map(() => []);
  // there and back: each comes after each as often, and no one profits from who goes before
  const there = [...cases.entries()];
  const back = [...there].reverse();
  for (let round = -warmup; round < rounds; round++) {
    for (const [index, { model, feeds }] of round % 2 === 0 ? there : back) {
      const begun = performance.now();
      await room.run(model, feeds, model.outputs);
      if (round >= 0) milliseconds[index]!.push(performance.now() - begun);
    }
  }
  return milliseconds;
}

function loaded(id: string): LoadedRoomyModel {
  const model = models.get(id);
  if (model === undefined) throw new Refusal(`model '${id}' is not loaded`);
  return model;
}

const feedsOf = (tensors: Iterable<readonly [string, TensorData]>) =>
  Object.fromEntries([...tensors].map(([name, data]) => [name, toOrt(data)]));

interface Received extends Frame {
  readonly answerFile: number | undefined;
}

function receive(): Received | undefined {
  if (!fill(preamble)) return undefined;
  const { headerBytes, paddedHeaderBytes, bodyBytes, file, answerFile } = decodePreamble(preamble);
  const header = Buffer.allocUnsafe(paddedHeaderBytes);
  const body = spare(bodyBytes);
  if (!fill(header)) return undefined;
  if (!(file === undefined ? fill(body) : fillFrom(file, body))) return undefined;
  return { ...decodeFrame(header.subarray(0, headerBytes), body), answerFile };
}

const preamble = Buffer.alloc(preambleBytes);
const partEnd = Buffer.alloc(partEndBytes);

/** As the parts come. */
function fillFrom(file: number, body: Buffer): boolean {
  for (let at = 0; at < body.length;) {
    if (!fill(partEnd)) return false;
    const end = partEnd.readUInt32LE();
    if (end === bodyFollows) return fill(body);
    exchange.read(file, body, at, end);
    at = end;
  }
  return true;
}

let largest = Buffer.alloc(0);

/** Room that is used again for every request, for one is executed at a time and new memory costs more than what fills it. */
function spare(bytes: number): Buffer {
  if (bytes > keptBytes) return Buffer.allocUnsafeSlow(bytes);
  if (bytes > largest.length) largest = Buffer.allocUnsafeSlow(bytes);
  return largest.subarray(0, bytes);
}

/** What was read beyond what was asked for: a small frame takes one system call, and what follows it none. */
const ahead = Buffer.allocUnsafeSlow(2 ** 16);
let aheadFrom = 0;
let aheadTo = 0;

/** False when the parent is gone. */
function fill(buffer: Buffer): boolean {
  let at = 0;
  for (;;) {
    const taken = ahead.copy(buffer, at, aheadFrom, aheadTo);
    aheadFrom += taken;
    at += taken;
    if (at === buffer.length) return true;
    const isLarge = buffer.length - at >= ahead.length;
    const count = isLarge
      ? readSync(channel, buffer, at, buffer.length - at, null)
      : readSync(channel, ahead, 0, ahead.length, null);
    if (count === 0) return false;
    if (isLarge) at += count;
    else [aheadFrom, aheadTo] = [0, count];
  }
}

function send(header: FrameHeader, tensors?: Iterable<readonly [string, TensorData]>, answerFile?: number): void {
  const frame = encodeFrame(header, tensors);
  sendFrame(frame, { file: answerFile }, exchange, (pieces) => {
    const total = pieces.reduce((sum, { byteLength }) => sum + byteLength, 0);
    for (const piece of total < 2 ** 16 && pieces.length > 1 ? [Buffer.concat(pieces)] : pieces) {
      for (let at = 0; at < piece.byteLength;) at += writeSync(channel, piece, at);
    }
  });
}

/** A stuck model blocks this thread, which then does not see its parent go; another thread does. */
function dieWithParent(): void {
  const watch = `
    const parent = ${process.ppid};
    setInterval(() => process.ppid === parent || process.kill(process.pid, 'SIGKILL'), 500);`;
  new Worker(watch, {
    eval: true,
    env: {},
    resourceLimits: { maxOldGenerationSizeMb: 8, maxYoungGenerationSizeMb: 2 },
  });
}

function removeWorkingDirectory(): void {
  const directory = process.cwd();
  if (!basename(directory).startsWith('mill-runner-')) return;
  try {
    rmdirSync(directory);
  } catch {
    // the parent was faster
  }
}

process.on('SIGINT', () => {}); // Ctrl-C reaches the whole group; the parent decides when a runner goes
await serve();
