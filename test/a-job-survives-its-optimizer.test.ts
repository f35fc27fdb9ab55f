import { parseOptimizationSpec } from '@modelmill/client';
import type { Mill } from '@modelmill/client';
import { smallSpec, uploadDigits } from './digits.js';
import { listen, succeeded } from './jobs.js';
import { startMesh } from './start-mesh.js';

jest.setTimeout(180_000);

it('an optimization job survives its optimizer being killed: one fine-tuning, one version', async () => {
  await using mesh = await startMesh();
  await using events = await listen(mesh.natsUrl);
  await uploadDigits(mesh.mill);
  const training = await mesh.mill.trainer.submit(smallSpec());
  const { version } = await succeeded(mesh.mill.trainer.watch(training.status!.jobId));
  await events.heard(/\.admitted$/);

  const spec = parseOptimizationSpec({
    model: 'digits',
    version,
    data: { dataset: 'digits' },
    passes: [{ prune_magnitude: { sparsity: 0.5, finetune_epochs: 60 } }],
    max_accuracy_drop: 0.2,
  });
  const { status } = await mesh.mill.optimizer.submit(spec);
  // its fine-tuning is under way on the trainer
  await events.heard(new RegExp(`job\\.${status!.jobId}-pass0\\.(progress|checkpointed|started)$`));
  await mesh.restart('optimizer');

  const result = await succeeded(mesh.mill.optimizer.watch(status!.jobId));
  expect(result.version).toBe('2');
  const [digits] = await mesh.mill.registry.listModels();
  expect(digits!.versions.map((v) => v.version)).toEqual(['1', '2']);
  expect(digits!.versions[1]!.lineage).toMatchObject({ parentVersion: '1', jobId: status!.jobId });
  const trainings = await mesh.mill.trainer.list();
  expect(trainings.map((job) => job.status!.jobId).sort()).toEqual(
    [training.status!.jobId, `${status!.jobId}-pass0`].sort(),
  );
});

it('a search survives its optimizer being killed: no candidate is tried twice, and nothing is trained twice', async () => {
  await using mesh = await startMesh();
  await using events = await listen(mesh.natsUrl);
  await uploadDigits(mesh.mill);
  const training = await mesh.mill.trainer.submit(smallSpec());
  await succeeded(mesh.mill.trainer.watch(training.status!.jobId));
  await events.heard(/\.admitted$/);

  const spec = parseOptimizationSpec({
    model: 'digits',
    version: '1',
    data: { dataset: 'digits' },
    goal: { optimize: 'smallest', time_budget_seconds: 90 },
    max_accuracy_drop: 0.05,
  });
  const { status } = await mesh.mill.optimizer.submit(spec);
  const searchId = status!.jobId;
  const before = toldOf(mesh.mill.optimizer.watch(searchId));
  // it is fine-tuning one of its candidates; those before it are kept with the job
  await Promise.race([
    events.heard(new RegExp(`job\\.${searchId}-c\\d+-pass0\\.(progress|checkpointed|started)$`)),
    before.ended.then(() => Promise.reject(new Error('the search ended without a training'))),
  ]);
  const made = before.told.slice(0, -1);
  await mesh.restart('optimizer');

  const after = toldOf(mesh.mill.optimizer.watch(searchId));
  const { version } = await after.ended;
  const { json } = await mesh.mill.registry.getReport('digits', version);
  const { search } = JSON.parse(json) as { search: { name: string; outcome: string }[] };
  const names = search.map(({ name }) => name);
  expect(made).toContain('16 shared weights');
  expect(after.told.filter((name) => names.includes(name) && made.includes(name))).toEqual([]);
  expect(search.find(({ name }) => name === '90 % zeros')!.outcome).not.toContain('not tried');
  const trainings = (await mesh.mill.trainer.list()).filter((job) => job.status!.jobId.startsWith(searchId));
  expect(trainings.length).toBeGreaterThan(0);
  expect(new Set(trainings.map((job) => JSON.stringify(job.spec, exact))).size).toBe(trainings.length);
});

/** The candidates that a search tells of, each once in a row. */
function toldOf(watched: ReturnType<Mill['optimizer']['watch']>) {
  const told: string[] = [];
  const ended = succeeded(watched, ({ status }) => {
    if (status?.state?.$case !== 'running') return;
    const [name] = status.state.running.stage.split(': ');
    if (name !== told.at(-1)) told.push(name!);
  });
  ended.catch(() => {}); // who waits for it is told
  return { told, ended };
}

const exact = (_: string, value: unknown) => (typeof value === 'bigint' ? String(value) : value);
