import { createHash } from 'node:crypto';
import { MillError, parseTrainingSpec } from '@modelmill/client';
import { status } from '@grpc/grpc-js';
import { smallSpec, uploadDigits } from './digits.js';
import { listen, succeeded } from './jobs.js';
import { startMesh } from './start-mesh.js';
import type { Mesh } from './start-mesh.js';

jest.setTimeout(120_000);

describe('bad input gets a clear error, and leaves nothing behind', () => {
  let mesh: Mesh;
  beforeAll(async () => {
    mesh = await startMesh();
    await using events = await listen(mesh.natsUrl);
    await uploadDigits(mesh.mill);
    const training = await mesh.mill.trainer.submit(smallSpec({ epochs: 1, label: 'stable' }));
    await succeeded(mesh.mill.trainer.watch(training.status!.jobId));
    await events.heard(/model\.digits\.1\.ready$/);
  });
  afterAll(() => mesh[Symbol.asyncDispose]());

  const infer = (input: Record<string, unknown>, model = 'digits') =>
    mesh.fetch(`/v2/models/${model}/infer`, { method: 'POST', body: JSON.stringify({ inputs: [input] }) });
  const zeros = (count: number) => Array.from({ length: count }, () => 0);
  const rejection = async (call: Promise<unknown>): Promise<MillError> => {
    const error = await call.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(MillError);
    return error as MillError;
  };

  it('an unknown model', async () => {
    const answer = await infer({ name: 'input', datatype: 'FP32', shape: [1, 64], data: zeros(64) }, 'nobody');
    expect(answer.status).toBe(404);
    expect(((await answer.json()) as { error: string }).error).toContain("Request for unknown model: 'nobody'");
    const error = await rejection(mesh.mill.inference.infer({ model: 'nobody', inputs: [] }));
    expect(error.code).toBe(status.NOT_FOUND);
  });

  it('a wrong shape', async () => {
    const answer = await infer({ name: 'input', datatype: 'FP32', shape: [1, 63], data: zeros(63) });
    expect(answer.status).toBe(400);
    expect(((await answer.json()) as { error: string }).error).toMatch(/input 'input'.*\[-1,\s?64\].*\[1,\s?63\]/);
  });

  it('a wrong type', async () => {
    const answer = await infer({ name: 'input', datatype: 'INT64', shape: [1, 64], data: zeros(64) });
    expect(answer.status).toBe(400);
    expect(((await answer.json()) as { error: string }).error).toMatch(/'input' data-type is .*INT64.*FP32/);
  });

  it('a dataset with a bad row', async () => {
    const content = Buffer.from('a,b,label\n1,2,x\n3,four,y\n');
    const format = { $case: 'csv', csv: { header: true, target: 'label', columns: undefined } } as const;
    const error = await rejection(mesh.mill.datasets.upload({ dataset: 'broken', content, format }));
    expect(error.code).toBe(status.INVALID_ARGUMENT);
    expect(error.message).toMatch(/row 3.*'?b'?.*four/);
    expect((await mesh.mill.datasets.list()).map(({ name }) => name)).toEqual(['digits']);
  });

  it('layers whose shapes do not fit', async () => {
    const spec = smallSpec({ layers: [{ reshape: { shape: [1, 9, 9] } }, { dense: { units: 10 } }] });
    const error = await rejection(mesh.mill.trainer.submit(spec));
    expect(error.code).toBe(status.INVALID_ARGUMENT);
    expect(error.message).toMatch(/\(reshape\) .*\[1, 9, 9\], got 64/);
  });

  it('a spec with an unknown field, in the SDK and over REST', async () => {
    expect(() => parseTrainingSpec({ model: 'digits', epoch: 3 })).toThrow(/epoch.*epochs/);
    const answer = await mesh.fetch('/mill/v1/training-jobs', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ spec: { model: 'digits', epoch: 3 } }),
    });
    expect(answer.status).toBe(400);
    expect(((await answer.json()) as { error: string }).error).toContain('epoch');
    expect(await mesh.mill.trainer.list()).toHaveLength(1);
  });

  it('an upload whose digest does not match', async () => {
    const sha256 = createHash('sha256').update('something else').digest('hex');
    const error = await rejection(
      mesh.mill.registry.uploadVersion({ model: 'digits', content: Buffer.from('not that'), sha256 }),
    );
    expect(error.code).toBe(status.INVALID_ARGUMENT);
    expect(error.message).toContain(sha256);
    expect((await mesh.mill.registry.getModel('digits')).versions).toHaveLength(1);
  });

  it('a model that is not ONNX', async () => {
    const error = await rejection(
      mesh.mill.registry.uploadVersion({ model: 'fresh', content: Buffer.from('<html>hello</html>') }),
    );
    expect(error.code).toBe(status.INVALID_ARGUMENT);
    expect((await mesh.mill.registry.listModels()).map(({ name }) => name)).toEqual(['digits']);
  });

  it('a missing key', async () => {
    const answer = await fetch(`${mesh.rest}/v2/models/digits`);
    expect(answer.status).toBe(401);
  });

  it('and the next valid request is served', async () => {
    const answer = await infer({ name: 'input', datatype: 'FP32', shape: [1, 64], data: zeros(64) });
    expect(answer.status).toBe(200);
  });
});
