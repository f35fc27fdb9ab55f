import { status } from '@grpc/grpc-js';
import type { DatasetUpload } from '@modelmill/client';
import { startMesh } from './start-for-tests.js';
import type { Mesh } from './start-for-tests.js';

const csv = (columns: { missing?: string; ignored?: string[] } = {}): NonNullable<DatasetUpload['format']> => ({
  $case: 'csv',
  csv: { header: true, target: 'price', columns },
});

describe('a dataset', () => {
  let mesh: Mesh;
  beforeAll(async () => void (mesh = await startMesh()));
  afterAll(() => mesh[Symbol.asyncDispose]());
  const upload = (content: string | Uint8Array, format: NonNullable<DatasetUpload['format']>) =>
    mesh.mill.datasets.upload({ dataset: 'd', content: Buffer.from(content), format });
  const homes = 'rooms,place,price\n3,inland,1.5\n,coast,9.25\n5,inland,2.5\n';

  it('keeps how its columns are read, and what they became', async () => {
    const stored = await upload(homes, csv({ missing: 'mean' }));
    expect(stored.rows).toBe(3n);
    expect(stored.schema).toEqual({
      featureShape: [3n],
      featureNames: ['rooms', 'place=coast', 'place=inland'],
      target: 'price',
      classes: [],
      columns: [
        { name: 'rooms', categories: [], missing: 1n, fill: 4 },
        { name: 'place', categories: ['coast', 'inland'], missing: 0n, fill: undefined },
      ],
    });
    expect(await mesh.mill.datasets.get('d')).toMatchObject({ versions: [{ format: stored.format }] });
    const rows = await mesh.mill.datasets.preview('d', { rows: 2 });
    expect(rows).toEqual([
      { features: [3, 0, 1], target: '1.5', text: '' },
      { features: [4, 1, 0], target: '9.25', text: '' },
    ]);
  });

  it.each([
    [csv(), "row 3, column 'rooms': got '', wanted a value, or a rule for missing ones: mean, median or zero"],
    [csv({ missing: 'guess' }), "columns.missing is 'guess', wanted one of refuse, mean, median, zero"],
    [csv({ missing: 'zero', ignored: ['nowhere'] }), "there is no column 'nowhere'"],
    [{ $case: 'ndjson', ndjson: { target: 'price', columns: undefined } } as const, 'row 1: got '],
    [
      { $case: 'npy', npy: { featuresBytes: 10n } } as const,
      'features: got 726f6f6d732c at the start, wanted an NPY file',
    ],
  ])('that is not as stated is refused: %#', async (format, reason) => {
    const before = await mesh.mill.datasets.list();
    const refused = upload(homes, format);
    await expect(refused).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
    await expect(refused).rejects.toThrow(reason);
    expect(await mesh.mill.datasets.list()).toEqual(before);
  });

  it('of text shows its lines and counts its characters', async () => {
    const stored = await upload('To be, or not\nto be 🙂\n', { $case: 'text', text: {} });
    expect([stored.rows, stored.schema]).toMatchObject([22n, { featureShape: [], target: '' }]);
    const rows = await mesh.mill.datasets.preview('d', { version: stored.version, rows: 1 });
    expect(rows).toEqual([{ features: [], target: '', text: 'To be, or not' }]);
  });

  const put = (query: string, body: string) =>
    mesh.json(`/mill/v1/datasets/r/versions?${query}`, { method: 'PUT', body });

  it('comes over REST with its columns in the query', async () => {
    const query = 'format=csv&header=true&target=price&feature=place&feature=rooms&categorical=rooms&missing=mean';
    const { status: code, body } = await put(query, homes);
    expect(code).toBe(200);
    expect(body).toMatchObject({
      version: {
        csv: { columns: { features: ['place', 'rooms'], categorical: ['rooms'], missing: 'mean' } },
        schema: { feature_names: ['place=coast', 'place=inland', 'rooms=3', 'rooms=5'] },
      },
    });
    const lines = '{"a":1,"y":"no"}\n{"a":2,"y":"yes"}\n';
    expect(await put('format=ndjson', lines)).toMatchObject({
      status: 200,
      body: { version: { rows: '2', schema: { classes: ['no', 'yes'] } } },
    });
    expect(await put('format=text', 'words')).toMatchObject({ status: 200, body: { version: { rows: '5' } } });
    expect(await put('format=parquet', '')).toMatchObject({
      status: 400,
      body: { error: "query parameter 'format' is 'parquet', wanted csv, ndjson, idx, npy or text" },
    });
  });
});
