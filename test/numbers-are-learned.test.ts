import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseTrainingSpec } from '@modelmill/client';
import { listen, succeeded } from './jobs.js';
import { startMesh } from './start-mesh.js';

jest.setTimeout(120_000);

const housing = resolve(__dirname, '../../shared/data/california-housing/housing.csv');
const whereItIs = existsSync(housing) ? it : it.skip;

/** The districts as they are published, with holes and a column of names, but for prices in 100,000 dollars. */
function districts(): string {
  const [names, ...rows] = readFileSync(housing, 'utf8').trim().split('\n');
  const cheaper = rows.map((row) =>
    row
      .split(',')
      .map((cell, at) => (at === 8 ? Number(cell) / 100_000 : cell))
      .join(','),
  );
  return [names, ...cheaper].join('\n');
}

whereItIs(
  'a network learns house prices, and is asked for them (needs ../shared/data/california-housing)',
  async () => {
    await using mesh = await startMesh();
    await using events = await listen(mesh.natsUrl);
    const rows = districts();
    const dataset = await mesh.mill.datasets.upload({
      dataset: 'housing',
      content: Buffer.from(rows),
      format: { $case: 'csv', csv: { header: true, target: 'median_house_value', columns: { missing: 'median' } } },
    });
    expect([dataset.rows, dataset.schema?.featureShape, dataset.schema?.classes]).toEqual([20_640n, [13n], []]);
    const known = Object.fromEntries(dataset.schema!.columns.map((column) => [column.name, column]));
    expect(known['total_bedrooms']).toMatchObject({ missing: 207n, fill: 435 });
    const places = ['<1H OCEAN', 'INLAND', 'ISLAND', 'NEAR BAY', 'NEAR OCEAN'];
    expect(known['ocean_proximity']!.categories).toEqual(places);

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

    const first = rows.split('\n')[1]!.split(',');
    const features = [...first.slice(0, 8).map(Number), ...places.map((place) => Number(place === first[9]))];
    const { outputs } = await mesh.mill.inference.infer({
      model: 'prices',
      inputs: [{ name: 'input', datatype: 'FP32', shape: [1, 13], data: features }],
    });
    expect(outputs.map(({ name, shape }) => [name, shape])).toEqual([['output', [1, 1]]]);
    expect(Math.abs(Number(outputs[0]!.data[0]) - Number(first[8]))).toBeLessThan(1.5);
  },
);
