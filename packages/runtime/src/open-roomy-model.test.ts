import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bool, doubling, float, model, node, value } from './models-for-tests.js';
import { openRoomyModel } from './open-roomy-model.js';
import { formless } from './uncopied-run.js';

let directory: string;
const file = (name: string) => join(directory, name);

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'roomy-test-'));
});
afterAll(() => rm(directory, { recursive: true }));

const options = { providers: ['cpu'] as const, threads: 1 };

it('a model that is written as ONNX Runtime optimized it runs as it would otherwise, and is written as it is', async () => {
  await writeFile(file('doubling'), doubling());
  const optimizedModelPath = file('optimized');
  const opened = await openRoomyModel(file('doubling'), { ...options, optimizedModelPath });
  expect([opened.outputs, opened.layouts]).toEqual([['y'], new Map()]);
  expect((await readFile(optimizedModelPath)).includes(formless)).toBe(false);
  await opened.session.release();
});

it.each([
  ['of an operator set of before sequences', doubled([], 9), ['y']],
  ['with an output of the name that ours has', doubled([node('IsNaN', ['x'], [formless])]), ['y', formless]],
])('a model %s is opened as it is', async (_, bytes, outputs) => {
  await writeFile(file('plain'), bytes);
  const opened = await openRoomyModel(file('plain'), options);
  expect([opened.outputs, opened.layouts]).toEqual([outputs, undefined]);
  await opened.session.release();
});

it('what is wrong with a model is told in words of its own', async () => {
  await writeFile(
    file('wrong'),
    model({
      nodes: [node('NoSuchOperator', ['x'], ['y'])],
      inputs: [value('x', float, [1])],
      outputs: [value('y', float, [1])],
    }),
  );
  await expect(openRoomyModel(file('wrong'), options)).rejects.toThrow('NoSuchOperator');
});

function doubled(more: readonly Uint8Array[], opset = 18): Uint8Array {
  return model(
    {
      nodes: [node('Add', ['x', 'x'], ['y']), ...more],
      inputs: [value('x', float, ['n'])],
      outputs: [value('y', float, ['n']), ...(more.length > 0 ? [value(formless, bool, ['n'])] : [])],
    },
    [],
    opset,
  );
}
