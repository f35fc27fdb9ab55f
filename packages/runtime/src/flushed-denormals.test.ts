import { execFileSync } from 'node:child_process';
import { pathToFileURL } from 'node:url';
import { emptyGraph, floatTensor, makeNode, writeOnnx } from '@modelmill/onnx';

/** 70,000 halves of a number: enough for both threads to have some. */
const count = 70_000;

const bySession = `
    const { openSession } = await import(door);
    const session = await openSession(model, { providers: ['cpu'], threads: 2, flushDenormals: flush });
    const { y } = await session.run({ x: { dims: [count], data: new Float32Array(count).fill(x) } });`;

/**
 * In a process of its own: its first session decides for the thread that runs it. Gives the bits of the largest half: as a
 * number, a thread that another test made to flush would take it for zero.
 */
function largestHalf(x: number, flushDenormals: boolean, by = bySession): number {
  const graph = emptyGraph('halves');
  graph.inputs = [{ name: 'x', dataType: 'float', shape: [count] }];
  graph.outputs = [{ name: 'y', dataType: 'float', shape: [count] }];
  graph.initializers.set('half', floatTensor('half', [], [0.5]));
  graph.nodes = [makeNode('Mul', ['x', 'half'], ['y'], {}, 'halves')];
  const model = writeOnnx({
    irVersion: 8,
    opsets: new Map([['', 18]]),
    producer: '',
    metadata: new Map(),
    graph,
    functions: [],
  });
  const program = `
    const door = ${JSON.stringify(pathToFileURL(require.resolve('../dist/index.js')).href)};
    const onnx = ${JSON.stringify(pathToFileURL(require.resolve('../../onnx/dist/index.js')).href)};
    const [model, count, x, flush] = [Buffer.from('${Buffer.from(model).toString('base64')}', 'base64'), ${count}, ${x}, ${flushDenormals}];
    ${by}
    process.stdout.write(Buffer.from(y.data.buffer, y.data.byteOffset, y.data.byteLength).toString('base64'));`;
  const told = execFileSync(process.execPath, ['--input-type=module', '-e', program], { maxBuffer: 2 ** 24 });
  const bytes = Uint8Array.from(Buffer.from(told.toString(), 'base64'));
  return new Uint32Array(bytes.buffer).reduce((largest, value) => Math.max(largest, value), 0);
}

it('a session that flushes denormals takes numbers below 1.2e-38 for zero, on every thread, and no others', () => {
  expect(largestHalf(1e-38, true)).toBe(0);
  expect(largestHalf(1e-37, true)).toBe(new Uint32Array(Float32Array.of(5e-38).buffer)[0]);
});

/** As a team's only thread computes it, which has no session before. */
const byTeam = `
    const { openTeam } = await import(door);
    const buffer = new SharedArrayBuffer(8 * count);
    const at = (at) => ({ type: 'float32', dims: [count], at });
    new Float32Array(buffer, 0, count).fill(x);
    const run = { kind: 'run', model: 0, inputs: { x: at(0) }, outputs: { y: at(4 * count) } };
    const { readOnnx } = await import(onnx);
    const member = { models: [{ model: readOnnx(model), threads: 1 }], programs: [[run]] };
    const team = await openTeam(buffer, [member], { flushDenormals: flush });
    await team.run([0]);
    const y = { data: new Float32Array(buffer, 4 * count, count) };
    await team[Symbol.asyncDispose]();`;

it('so do the threads of a team', () => {
  expect(largestHalf(1e-38, true, byTeam)).toBe(0);
  expect(largestHalf(1e-38, false, byTeam)).toBe(7_136_238 / 2);
});

it('a session that does not keeps them', () => {
  expect(largestHalf(1e-38, false)).toBe(7_136_238 / 2); // that many times 2^-149 is 1e-38
});
