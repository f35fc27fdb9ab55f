import { datasets, events, optimizer, registry, serving, trainer } from '@modelmill/contracts';
import { openApi } from './openapi.js';
import { transcodings } from './mill-routes.js';
import type { RestRoute } from './rest-request.js';

const route: RestRoute = {
  verb: 'PUT',
  path: '/mill/v1/models/{model}/labels/{label}',
  handle: async () => ({ type: 'text/plain', body: '' }),
  doc: {
    tag: 'ModelRegistry',
    summary: 'Points a label',
    query: { deep: 'How deep' },
    request: { type: 'application/json', schema: { $ref: '#/components/schemas/modelmill.v1.Label' } },
    answer: { type: 'application/json', schema: {} },
  },
};

interface Document {
  paths: Record<string, Record<string, { operationId: string; parameters: { in: string; name: string }[] }>>;
  components: {
    schemas: Record<string, { description?: string; properties?: Record<string, { description?: string }> }>;
  };
}

describe('the OpenAPI document', () => {
  const document = openApi([route], '1.2.3') as Document;
  const { schemas } = document.components;

  it('names the parameters of every route', () =>
    expect(document.paths[route.path]!['put']!.parameters.map((p) => `${p.in} ${p.name}`)).toEqual([
      'path model',
      'path label',
      'query deep',
    ]));

  it('says what the contracts’ comments say', () => {
    expect(schemas['modelmill.v1.Label']!.description).toBe('A movable name on a model.');
    expect(schemas['modelmill.v1.Version']!.properties!['artifact_sha256']!.description).toBe(
      'Digest of the ONNX file, lower-case hex.',
    );
  });

  it('refers to nothing that it does not have', () => {
    const refs = [...JSON.stringify(document).matchAll(/"#\/components\/schemas\/([^"]+)"/g)].map(([, name]) => name!);
    expect(refs.length).toBeGreaterThan(50);
    expect(refs.filter((name) => !(name in schemas))).toEqual([]);
  });

  it('has every rpc of modelmill.v1: those that stream bytes or events by routes of their own', () => {
    const rpcs = Object.values({
      ...registry.ModelRegistryService,
      ...serving.ServingService,
      ...datasets.DatasetsService,
      ...trainer.TrainerService,
      ...optimizer.OptimizerService,
      ...events.EventsService,
    }).map(({ path }) => path.replace('/modelmill.v1.', ''));
    const without = rpcs.filter((rpc) => !transcodings.some((transcoding) => transcoding.rpc === rpc));
    expect(without.sort()).toEqual([
      'Datasets/UploadDataset',
      'Events/Subscribe',
      'ModelRegistry/DownloadVersion',
      'ModelRegistry/UploadVersion',
    ]);
  });
});
