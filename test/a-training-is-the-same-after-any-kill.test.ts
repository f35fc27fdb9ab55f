import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { smallSpec, uploadDigits } from './digits.js';
import { succeeded } from './jobs.js';
import { startMesh } from './start-mesh.js';
import type { Mesh } from './start-mesh.js';

const runs = 20;
jest.setTimeout(600_000);

/** Ends the process a training runs in, where there is one at this moment. */
function killTraining(mesh: Mesh): void {
  const { pid } = mesh.service('trainer');
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean);
  for (const child of children) process.kill(Number(child), 'SIGKILL');
}

const kills: Readonly<Record<string, (mesh: Mesh) => void | Promise<void>>> = {
  'the training process': killTraining,
  'the trainer': (mesh) => mesh.restart('trainer'),
  'nats-server': (mesh) => mesh.restart('nats'),
};

/** A fixed sequence of moments, so that a failure can be had again. */
function moments(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

it(`${runs} trainings killed at any moment end once each, with the weights of one that was left alone`, async () => {
  await using mesh = await startMesh({ MILL_CHECKPOINT_MS: '150' });
  await uploadDigits(mesh.mill);
  const layers = [{ dense: { units: 256, activation: 'relu' } }, { dropout: { rate: 0.2 } }, { dense: { units: 10 } }];
  const spec = () => smallSpec({ epochs: 40, layers, seed: 7 });
  const train = async (kill: () => Promise<void>) => {
    const { status } = await mesh.mill.trainer.submit(spec());
    const [end] = await Promise.all([succeeded(mesh.mill.trainer.watch(status!.jobId)), kill()]);
    return end;
  };
  const undisturbed = await train(async () => {});

  const random = moments(2026);
  const ends: { killed: string; sameWeights: boolean }[] = [];
  for (let run = 0; run < runs; run++) {
    const names = Object.keys(kills);
    const killed = names[run % names.length]!;
    const end = await train(async () => {
      await pause(100 + 2_000 * random());
      await kills[killed]!(mesh);
    });
    ends.push({ killed, sameWeights: end.artifactSha256 === undisturbed.artifactSha256 });
  }
  expect(ends.filter(({ sameWeights }) => !sameWeights)).toEqual([]);
  const { versions } = await mesh.mill.registry.getModel('digits');
  expect(versions.map(({ version }) => version)).toEqual(Array.from({ length: runs + 1 }, (_, i) => String(i + 1)));
});
