import { firstDigit, smallSpec, uploadDigits } from './digits.js';
import { listen, succeeded } from './jobs.js';
import { childrenOf } from './processes.js';
import { startMesh } from './start-mesh.js';
import type { Mesh } from './start-mesh.js';

jest.setTimeout(120_000);

it('a served model answers again within a second after its runner was killed', async () => {
  await using mesh = await startMesh();
  await using events = await listen(mesh.natsUrl);
  await uploadDigits(mesh.mill);
  const { status } = await mesh.mill.trainer.submit(smallSpec({ label: 'stable' }));
  await succeeded(mesh.mill.trainer.watch(status!.jobId));
  await events.heard(/model\.digits\.1\.ready$/);
  const before = await probabilities(mesh);

  const runners = childrenOf(mesh.service('inference').pid);
  expect(runners.length).toBeGreaterThan(0);
  for (const pid of runners) process.kill(pid, 'SIGKILL');
  const killedAt = Date.now();

  expect(await probabilities(mesh)).toEqual(before);
  expect(Date.now() - killedAt).toBeLessThan(5000);
  expect(childrenOf(mesh.service('inference').pid)).not.toEqual(runners);
});

async function probabilities(mesh: Mesh): Promise<number[]> {
  const { outputs } = await mesh.mill.inference.infer({
    model: 'digits',
    inputs: [{ name: 'input', datatype: 'FP32', shape: [1, 64], data: firstDigit() }],
  });
  return Array.from(outputs[0]!.data as Float32Array);
}
