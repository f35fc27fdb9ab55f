import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { classifier, identity, serve } from './identity-models.js';
import { apiKey, startMesh } from './start-mesh.js';
import type { Mesh } from './start-mesh.js';

jest.setTimeout(120_000);

const cli = resolve(__dirname, '../packages/cli/dist/main.js');
const datatypes = ['float', 'double', 'float16', 'bool', 'string'] as const;
const integers = ['int8', 'int16', 'int32', 'int64', 'uint8', 'uint16', 'uint32', 'uint64'] as const;

interface Outcome {
  readonly door: string;
  readonly promise: string;
  readonly result: string;
  readonly reason: string;
}

describe('the Open Inference Protocol, by its conformance suite', () => {
  let mesh: Mesh;
  beforeAll(async () => {
    mesh = await startMesh();
    for (const datatype of [...datatypes, ...integers]) await serve(mesh, `same-${datatype}`, identity(datatype));
    await serve(mesh, 'classes', classifier());
  });
  afterAll(() => mesh[Symbol.asyncDispose]());

  const conformance = (...args: string[]) =>
    new Promise<{ code: number; text: string }>((done) => {
      execFile(process.execPath, [cli, 'conformance', ...args, '--key', apiKey], (error, stdout, stderr) =>
        done({ code: Number(error?.code ?? 0), text: stdout + stderr }),
      );
    });

  it('is kept by the gateway through both doors', async () => {
    const { code, text } = await conformance(mesh.rest, '--grpc', mesh.grpc, '--json');
    const outcomes = JSON.parse(text) as Outcome[];
    expect(outcomes.filter(({ result }) => result !== 'passed')).toEqual([]);
    expect(code).toBe(0);
    for (const door of ['gRPC', 'REST']) expect(outcomes.filter((one) => one.door === door).length).toBeGreaterThan(30);
  });

  it('is kept by inference itself, which has gRPC alone', async () => {
    const [, port] = /"port":(\d+),"metricsPort"/.exec(mesh.service('inference').log())!;
    const { code, text } = await conformance(`grpc://127.0.0.1:${port}`);
    expect(text).toMatch(/\d+ passed, 0 failed, 0 skipped/);
    expect(code).toBe(0);
  });

  it('fails a server that speaks something else', async () => {
    const { code, text } = await conformance(`${mesh.rest}/elsewhere`, '--model', 'classes', '--json');
    expect(code).toBe(1);
    expect(text).toMatch(/no metadata \(404\)/);
  });
});
