import { toJson } from '@modelmill/client';
import type { datasets, registry } from '@modelmill/contracts';
import { describedMethod, schemaRef, summaryOf } from './described.js';
import type { DatasetsCalls } from './datasets-calls.js';
import * as errors from './errors.js';
import type { EventsCalls } from './events-calls.js';
import type { RegistryCalls } from './registry-calls.js';
import { json, jsonAnswer } from './rest-request.js';
import type { RestHandler, RestRequest, RestRoute } from './rest-request.js';
import { eventStream } from './server-sent-events.js';
import { impatient } from './uploads.js';

export interface ContentDeps {
  readonly registry: RegistryCalls;
  readonly datasets: DatasetsCalls;
  readonly events: EventsCalls;
  readonly idleMs: number;
}

const octets = { type: 'application/octet-stream', schema: { type: 'string', format: 'binary' } };
const digestHeader = { 'X-Content-Sha256': 'Digest of the body, lower-case hex; absent: not checked' };

/** What is no message in, message out: uploads as raw bodies, downloads, and events as they happen. */
export function contentRoutes({ registry, datasets, events, idleMs }: ContentDeps): RestRoute[] {
  const uploadVersion: RestHandler = async (request) => {
    onlyQuery(request, Object.keys(versionQuery));
    const header = {
      model: request.params['model'] ?? '',
      sha256: digestOf(request),
      onnxBytes: request.query.has('onnx_bytes') ? integerIn(request.query, 'onnx_bytes') : 0n,
      externalData: request.query.getAll('data').map(dataIn),
    };
    const answer = await registry.uploadChunks(header, impatient(request.chunks(), idleMs));
    return jsonAnswer(toJson('modelmill.v1.UploadVersionResponse', answer, { defaults: true }));
  };

  const downloadVersion =
    (externalData: boolean): RestHandler =>
    async ({ params: { model = '', version = '' } }) => ({
      type: octets.type,
      body: chunksOf(registry.downloadVersion({ model, version, externalData })),
    });

  const uploadDataset: RestHandler = async (request) => {
    onlyQuery(request, Object.keys(datasetQuery));
    const header: datasets.UploadDatasetHeader = {
      dataset: request.params['dataset'] ?? '',
      sha256: digestOf(request),
      format: formatIn(request.query),
      splits: splitsIn(request.query),
    };
    const answer = await datasets.uploadChunks(header, impatient(request.chunks(), idleMs));
    return jsonAnswer(toJson('modelmill.v1.UploadDatasetResponse', answer, { defaults: true }));
  };

  const subscribe: RestHandler = async (request) => {
    onlyQuery(request, Object.keys(eventsQuery));
    const filters = request.query.getAll('filter');
    const answers = events.subscribe({ filters, start: startIn(request) }, request.caller.signal);
    return eventStream(asEvents(answers));
  };

  const uploading = describedMethod('modelmill.v1.ModelRegistry/UploadVersion');
  const downloading = describedMethod('modelmill.v1.ModelRegistry/DownloadVersion');
  const storing = describedMethod('modelmill.v1.Datasets/UploadDataset');
  const subscribing = describedMethod('modelmill.v1.Events/Subscribe');
  return [
    {
      verb: 'PUT',
      path: '/mill/v1/models/{model}/versions',
      handle: uploadVersion,
      doc: {
        tag: 'ModelRegistry',
        summary: summaryOf(uploading),
        query: versionQuery,
        headers: digestHeader,
        request: octets,
        answer: json(schemaRef(uploading.output)),
      },
    },
    {
      verb: 'GET',
      path: '/mill/v1/models/{model}/versions/{version}/content',
      handle: downloadVersion(false),
      doc: { tag: 'ModelRegistry', summary: summaryOf(downloading), answer: octets },
    },
    {
      verb: 'GET',
      path: '/mill/v1/models/{model}/versions/{version}/external-data',
      handle: downloadVersion(true),
      doc: { tag: 'ModelRegistry', summary: 'The external data of one version, where it has any', answer: octets },
    },
    {
      verb: 'PUT',
      path: '/mill/v1/datasets/{dataset}/versions',
      handle: uploadDataset,
      doc: {
        tag: 'Datasets',
        summary: summaryOf(storing),
        query: datasetQuery,
        headers: digestHeader,
        request: octets,
        answer: json(schemaRef(storing.output)),
      },
    },
    {
      verb: 'GET',
      path: '/mill/v1/events',
      handle: subscribe,
      doc: {
        tag: 'Events',
        summary: summaryOf(subscribing),
        query: eventsQuery,
        headers: { 'Last-Event-ID': 'Sequence number of the last event seen: the stream goes on behind it' },
        answer: { type: 'text/event-stream', schema: schemaRef(subscribing.output) },
      },
    },
  ];
}

const versionQuery = {
  onnx_bytes: 'Bytes of the ONNX file, where files that it keeps weights in follow it in the body',
  data: 'Such a file as NAME:BYTES, in their order; may be given several times',
};

const datasetQuery = {
  format: 'csv (default), ndjson, idx, npy or text',
  header: 'CSV: whether the first row names the columns: true or false (default)',
  target: 'CSV, NDJSON: name of the column to predict; absent: the last one',
  feature: 'CSV, NDJSON: column to learn from; may be given several times; absent: all but target and ignored ones',
  ignored: 'CSV, NDJSON: column to leave out; may be given several times',
  categorical: 'CSV, NDJSON: column whose numbers are names; may be given several times',
  missing: 'CSV, NDJSON: what missing numbers are taken for: refuse (default), mean, median or zero',
  images_bytes: 'IDX: bytes of the images file; the labels file starts there',
  features_bytes: 'NPY: bytes of the features file; the targets file starts there',
  train: 'Share of rows to fit on',
  validation: 'Share of rows to stop early on',
  test: 'Share of rows no training sees',
  seed: 'Seed of the shuffle that deals the rows',
};

const eventsQuery = {
  filter: 'Subject pattern below mill.event., such as model.digits.>; may be given several times; absent: all',
  after: 'Sequence number: events behind it; 0: from the first one kept',
  since: 'RFC 3339 time: events from then on',
};

function onlyQuery({ query }: RestRequest, known: readonly string[]): void {
  for (const name of query.keys()) if (!known.includes(name)) throw errors.unknownQuery(name, known);
}

function digestOf({ headers }: RestRequest): string {
  return String(headers['x-content-sha256'] ?? '').toLowerCase();
}

function formatIn(query: URLSearchParams): datasets.UploadDatasetHeader['format'] {
  const format = query.get('format') ?? 'csv';
  const target = query.get('target') ?? '';
  switch (format) {
    case 'csv': {
      const header = query.get('header') ?? 'false';
      if (header !== 'true' && header !== 'false') throw errors.badQuery('header', header, 'true or false');
      return { $case: 'csv', csv: { header: header === 'true', target, columns: columnsIn(query) } };
    }
    case 'ndjson':
      return { $case: 'ndjson', ndjson: { target, columns: columnsIn(query) } };
    case 'idx':
      return { $case: 'idx', idx: { imagesBytes: integerIn(query, 'images_bytes') } };
    case 'npy':
      return { $case: 'npy', npy: { featuresBytes: integerIn(query, 'features_bytes') } };
    case 'text':
      return { $case: 'text', text: {} };
    default:
      throw errors.badQuery('format', format, 'csv, ndjson, idx, npy or text');
  }
}

function dataIn(text: string): registry.UploadedData {
  const [, location = '', bytes = ''] = /^(.+):(\d{1,15})$/.exec(text) ?? [];
  if (location === '') throw errors.badQuery('data', text, 'a file as NAME:BYTES');
  return { location, sizeBytes: BigInt(bytes) };
}

function columnsIn(query: URLSearchParams): datasets.ColumnRoles | undefined {
  if (!['feature', 'ignored', 'categorical', 'missing'].some((name) => query.has(name))) return undefined;
  return {
    features: query.getAll('feature'),
    ignored: query.getAll('ignored'),
    categorical: query.getAll('categorical'),
    missing: query.get('missing') ?? '',
  };
}

function splitsIn(query: URLSearchParams): datasets.Splits | undefined {
  if (!['train', 'validation', 'test', 'seed'].some((name) => query.has(name))) return undefined;
  return {
    train: shareIn(query, 'train', 0.8),
    validation: shareIn(query, 'validation', 0),
    test: shareIn(query, 'test', 0.2),
    seed: query.has('seed') ? integerIn(query, 'seed') : 0n,
  };
}

function shareIn(query: URLSearchParams, name: string, absent: number): number {
  const text = query.get(name);
  if (text === null) return absent;
  if (!/^\d*\.?\d+$/.test(text)) throw errors.badQuery(name, text, 'a number from 0 to 1');
  return Number(text);
}

function integerIn(query: URLSearchParams, name: string): bigint {
  const text = query.get(name) ?? '';
  if (!/^\d{1,20}$/.test(text) || BigInt(text) >= 2n ** 64n) throw errors.badQuery(name, text, 'a whole number');
  return BigInt(text);
}

function startIn({ query, headers }: RestRequest) {
  const last = headers['last-event-id'];
  if (typeof last === 'string' && /^\d{1,19}$/.test(last)) {
    return { $case: 'afterSequence' as const, afterSequence: BigInt(last) };
  }
  if (query.has('after')) return { $case: 'afterSequence' as const, afterSequence: integerIn(query, 'after') };
  const since = query.get('since');
  if (since === null) return undefined;
  const time = new Date(since);
  if (Number.isNaN(time.getTime())) throw errors.badQuery('since', since, 'a time such as 2026-01-31T12:00:00Z');
  return { $case: 'since' as const, since: time };
}

async function* chunksOf(answers: AsyncIterable<registry.DownloadVersionResponse>) {
  for await (const { chunk } of answers) yield chunk;
}

async function* asEvents(answers: ReturnType<EventsCalls['subscribe']>) {
  for await (const { event } of answers) {
    if (!event) continue; // every answer has one
    const data = JSON.stringify(toJson('modelmill.v1.Event', event, { defaults: true }));
    yield { id: String(event.sequence), event: event.type, data };
  }
}
