import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseTrainingSpec } from '@modelmill/client';
import { listen, succeeded } from './jobs.js';
import { startMesh } from './start-mesh.js';

jest.setTimeout(120_000);

const housing = resolve(__dirname, '../../shared/data/california-housing/housing.csv');
const whereItIs = existsSync(housing) ? it : it.skip;

/** The eight numbers of a district and its median house value in 100,000 dollars; districts with a hole are left out. */
function districts(): string {
  const [, ...rows] = readFileSync(housing, 'utf8').trim().split('\n');
  const numbers = rows.map((row) => row.split(',').slice(0, 9)).filter((row) => !row.includes(''));
  return numbers.map((row) => [...row.slice(0, 8), Number(row[8]) / 100_000].join(',')).join('\n');
}

whereItIs(
  'a network learns house prices, and is asked for them (needs ../shared/data/california-housing)',
  async () => {
    await using mesh = await startMesh();
    await using events = await listen(mesh.natsUrl);
    const rows = districts();
    const dataset = await mesh.mill.datasets.upload({ dataset: 'housing', content: Buffer.from(rows) });
    expect([dataset.rows, dataset.schema?.classes]).toEqual([20_433n, []]);

    const spec = parseTrainingSpec({
      model: 'prices',
      label: 'stable',
      data: { dataset: 'housing', normalize: 'standard' },
      layers: [
        { dense: { units: 64, activation: 'relu' } },
        { dense: { units: 64, activation: 'relu' } },
        { dense: { units: 1 } },
      ],
      optimizer: { adam: { learning_rate: 0.003 }, schedule: 'cosine' },
      epochs: 15,
      batch_size: 128,
      seed: 1,
    });
    const { status } = await mesh.mill.trainer.submit(spec);
    const { metrics } = await succeeded(mesh.mill.trainer.watch(status!.jobId));
    expect(metrics['r2']).toBeGreaterThan(0.75); // a linear model reaches 0.6
    await events.heard(/model\.prices\.1\.ready$/);

    const first = rows.split('\n', 1)[0]!.split(',').map(Number);
    const { outputs } = await mesh.mill.inference.infer({
      model: 'prices',
      inputs: [{ name: 'input', datatype: 'FP32', shape: [1, 8], data: first.slice(0, 8) }],
    });
    expect(outputs.map(({ name, shape }) => [name, shape])).toEqual([['output', [1, 1]]]);
    expect(Math.abs(Number(outputs[0]!.data[0]) - first[8]!)).toBeLessThan(1.5);
  },
);
