import { emptyGraph, makeNode, writeOnnx } from '@modelmill/onnx';
import type { Contest } from '../alternate.js';
import { medianMs, perSecond, warm } from './load.js';
import { openSide } from './open-side.js';
import { openPostLoad } from './post-load.js';
import { callEcho, callStraight, callThroughGateway, jsonOf, postBinary, postJson, serveModel } from './stage.js';
import type { Row, Stage } from './stage.js';

const floats = 4 * 2 ** 20;
const mib = 2 ** 20;

/** Large tensors over each door: what the bytes cost, for the model gives back what it gets. */
export async function largeAnswers(stage: Stage): Promise<Contest[]> {
  const { opened } = stage;
  const echo = opened.use(await openSide('echo-main.js'));
  const jsonEcho = opened.use(await openSide('json-echo-main.js'));
  await serveModel(stage, 'identity', identity());
  const row = (count: number) => ({
    model: 'identity',
    shape: [count],
    data: Float32Array.from({ length: count }, (_, i) => (i % 1000) / 8),
  });
  const large = row(floats);
  await warm(callEcho(stage, echo.address, row(64)));
  const gateway = callThroughGateway(stage, large);
  const echoes = callEcho(stage, echo.address, large);
  const bytes = (floats * 4) / mib;
  const inTurn = { unit: 'ms', better: 'lower' } as const;

  const postEcho = (posted: Row) => {
    const headers = { 'content-type': 'application/json' };
    return opened.use(openPostLoad({ address: jsonEcho.address, path: '/echo', headers, body: jsonOf(posted) })).call;
  };
  await warm(postEcho(row(64)));

  const contests: Contest[] = (
    [
      ['straight to inference', callStraight(stage, large), 'bare grpc-js echo of the same bytes', echoes, 0.8],
      ['through the gateway', gateway, 'bare grpc-js echo of the same bytes', echoes, 0.8],
      ['REST, binary, through the gateway', postBinary(stage, large), 'gRPC through the gateway', gateway, 1],
    ] as const
  ).map(([way, ours, against, theirs, goal]) => ({
    ...inTurn,
    case: `identity of ${bytes} MiB, one at a time, ${way}, median`,
    against,
    goal,
    ours: () => medianMs(ours, 15),
    theirs: () => medianMs(theirs, 15),
  }));
  for (const [count, inFlight, calls] of [
    [64, 64, 2000],
    [16_384, 8, 100],
  ] as const) {
    const small = row(count);
    const ours = postJson(stage, small);
    const theirs = postEcho(small);
    contests.push({
      case: `identity of ${count} floats, REST, JSON, ${inFlight} in flight`,
      unit: 'answers/s',
      better: 'higher',
      against: 'bare Fastify echo of the same body',
      goal: 0.6,
      ours: () => perSecond(ours, inFlight, calls),
      theirs: () => perSecond(theirs, inFlight, calls),
    });
  }
  return contests;
}

function identity(): Uint8Array {
  const graph = emptyGraph('identity');
  graph.inputs = [{ name: 'input', dataType: 'float', shape: ['n'] }];
  graph.outputs = [{ name: 'output', dataType: 'float', shape: ['n'] }];
  graph.nodes = [makeNode('Identity', ['input'], ['output'])];
  return writeOnnx({
    irVersion: 8,
    opsets: new Map([['', 18]]),
    producer: '',
    metadata: new Map(),
    graph,
    functions: [],
  });
}
