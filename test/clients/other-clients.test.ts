import { execFile, execFileSync } from 'node:child_process';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { Metadata, credentials, loadPackageDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { classifier, identity, serve } from '../identity-models.js';
import { apiKey, startMesh } from '../start-mesh.js';
import type { Mesh } from '../start-mesh.js';

jest.setTimeout(120_000);

const env = process.env;
const python = env['MILL_TEST_PYTHON'] ?? 'python3';
const kserve = env['MILL_TEST_KSERVE_PYTHON'] ?? 'python3';
const grpcurl = env['MILL_TEST_GRPCURL'] ?? 'grpcurl';
const perfAnalyzer = env['MILL_TEST_PERF_ANALYZER'] ?? 'perf_analyzer';

function works(command: string, ...args: string[]): boolean {
  try {
    execFileSync(command, args, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** A test of a client that may not be here. */
const where = (there: boolean, sentence: string, needs: string, test: () => Promise<void>) =>
  there ? it(sentence, test) : it.skip(`${sentence} (skipped: needs ${needs})`, test);

describe('published clients', () => {
  let mesh: Mesh;
  let wanted: number[];
  beforeAll(async () => {
    mesh = await startMesh();
    await serve(mesh, 'classes', classifier());
    await serve(mesh, 'same', identity('float'));
    await serve(mesh, 'texts', identity('string'));
    const inputs = [{ name: 'input', datatype: 'FP32', shape: [1, 4], data: [1, 2, 3, 4] }] as const;
    const { outputs } = await mesh.mill.inference.infer({ model: 'classes', inputs });
    wanted = Array.from(outputs[0]!.data as Float32Array);
  });
  afterAll(() => mesh[Symbol.asyncDispose]());

  const run = async (command: string, ...args: string[]) => (await promisify(execFile)(command, args)).stdout;

  where(
    works(python, '-c', 'import tritonclient.grpc.aio, tritonclient.http.aio, numpy'),
    'tritonclient does over gRPC, HTTP and asyncio what its samples do',
    'tritonclient[all]',
    async () => {
      const text = await run(python, join(__dirname, 'triton_client.py'), mesh.grpc, mesh.rest.slice(7), apiKey);
      const best = String(wanted.indexOf(Math.max(...wanted)));
      const each = { values: wanted, same: true, best, texts: ['', 'ä', 'text'], load: true, reloaded: true };
      const stream = ['0', '1', '2', '3', '4'];
      expect(JSON.parse(text)).toEqual({ grpc: each, http: each, stream, grpc_aio: wanted, http_aio: wanted });
    },
  );

  where(
    works(kserve, '-c', 'import kserve'),
    "KServe's client gets the same over REST V1, V2 and gRPC",
    'kserve',
    async () => {
      const text = await run(kserve, join(__dirname, 'kserve_client.py'), mesh.grpc, mesh.rest, apiKey);
      const found = JSON.parse(text) as Record<string, number[] | boolean>;
      expect(found['ready']).toBe(true);
      for (const door of ['json', 'binary', 'v1', 'grpc']) {
        expect({ door, values: (found[door] as number[]).map(Math.fround) }).toEqual({ door, values: wanted });
      }
    },
  );

  where(works(grpcurl, '-version'), 'grpcurl lists the services and asks them by reflection', 'grpcurl', async () => {
    const to = ['-plaintext', '-H', `authorization: Bearer ${apiKey}`];
    expect(await run(grpcurl, ...to, mesh.grpc, 'list')).toContain('inference.GRPCInferenceService');
    const inputs = [{ name: 'input', datatype: 'FP32', shape: [1, 4], contents: { fp32_contents: [1, 2, 3, 4] } }];
    const body = JSON.stringify({ model_name: 'classes', inputs, outputs: [{ name: 'probabilities' }] });
    const answer = await run(grpcurl, ...to, '-d', body, mesh.grpc, 'inference.GRPCInferenceService/ModelInfer');
    const [raw] = (JSON.parse(answer) as { rawOutputContents: string[] }).rawOutputContents;
    expect([...new Float32Array(new Uint8Array(Buffer.from(raw!, 'base64')).buffer)]).toEqual(wanted);
  });

  where(works(perfAnalyzer, '--version'), 'perf_analyzer measures it over both doors', 'perf_analyzer', async () => {
    for (const [kind, url] of [
      ['grpc', mesh.grpc],
      ['http', mesh.rest.slice(7)],
    ] as const) {
      const how = ['-i', kind, '-u', url, '-H', `authorization: Bearer ${apiKey}`];
      const text = await run(perfAnalyzer, '-m', 'classes', ...how, '--request-count', '50');
      expect(text).toMatch(/Throughput: \d+/);
    }
  });

  it("Triton's JavaScript client, which loads the protocol's files, asks with typed contents", async () => {
    const protos = resolve(__dirname, '../../protos');
    const definition = loadSync('inference/grpc_service.proto', { keepCase: true, includeDirs: [protos] });
    const { inference } = loadPackageDefinition(definition) as never as {
      inference: { GRPCInferenceService: new (address: string, how: unknown) => Record<string, Call> };
    };
    type Call = (request: object, key: Metadata, done: (error: Error | null, answer: unknown) => void) => void;
    const client = new inference.GRPCInferenceService(mesh.grpc, credentials.createInsecure());
    const key = new Metadata();
    key.set('authorization', `Bearer ${apiKey}`);
    const ask = (name: string, request: object) =>
      new Promise<Record<string, unknown>>((done, fail) =>
        client[name]!.call(client, request, key, (error, answer) => (error ? fail(error) : done(answer as never))),
      );
    expect(await ask('ServerLive', {})).toEqual({ live: true });
    expect(await ask('ServerReady', {})).toEqual({ ready: true });
    expect(await ask('ModelMetadata', { name: 'classes' })).toMatchObject({ name: 'classes' });
    const inputs = [{ name: 'input', datatype: 'FP32', shape: [1, 4], contents: { fp32_contents: [1, 2, 3, 4] } }];
    const answer = await ask('ModelInfer', { model_name: 'classes', inputs, outputs: [{ name: 'probabilities' }] });
    const [raw] = answer['raw_output_contents'] as Buffer[];
    expect(Array.from({ length: 3 }, (_, i) => raw!.readFloatLE(4 * i))).toEqual(wanted);
  });
});
