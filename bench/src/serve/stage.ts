import { Metadata } from '@grpc/grpc-js';
import { inferenceModel } from '@modelmill/autodiff';
import { connectMill } from '@modelmill/client';
import type { Mill } from '@modelmill/client';
import { inference, registry } from '@modelmill/contracts';
import { writeOnnx } from '@modelmill/onnx';
import type { Closing } from '../closing.js';
import type { BenchMesh } from '../open-mesh.js';
import { build } from '../networks.js';
import { warm } from './load.js';
import { openPostLoad } from './post-load.js';
import { openUnaryLoad } from './unary-load.js';

const inferPath = '/inference.GRPCInferenceService/ModelInfer';

/** What the cases are measured on: a mesh, and what must be closed when they are done. */
export interface Stage {
  readonly mesh: BenchMesh;
  /** host:port of the inference service. */
  readonly inference: string;
  readonly opened: Closing;
}

/** One tensor of floats to ask a model with. */
export interface Row {
  readonly model: string;
  /** Its name. Default: input. */
  readonly input?: string;
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** Uploads a model and waits until it answers. */
export async function serveModel({ mesh: { mill } }: Stage, model: string, content: Uint8Array): Promise<void> {
  const { version } = await mill.registry.uploadVersion({ model, content });
  while ((await mill.registry.getVersion(model, version)).state !== registry.VersionState.VERSION_STATE_ADMITTED)
    await pause();
  await mill.registry.setLabel(model, { name: 'stable', targets: [{ version, weight: 1 }] });
  while (!(await mill.inference.modelReady(model))) await pause();
}

const pause = () => new Promise((resolve) => setTimeout(resolve, 50));

/** Has every door work for a while. */
export async function warmDoors(stage: Stage): Promise<void> {
  const model = 'warm';
  await serveModel(
    stage,
    model,
    writeOnnx(inferenceModel(build('mlp-64-128-10').forward, new Map(), { softmax: true })),
  );
  const row = { model, shape: [1, 64], data: new Float32Array(64) };
  const ways = [callStraight, callThroughGateway, inferStraight, inferThroughGateway, postJson];
  for (const way of ways) await warm(way(stage, row));
}

/** A request in the protocol's bytes. */
export function requestOf({ model, input = 'input', shape, data }: Row): Buffer {
  const request = inference.ModelInferRequest.fromPartial({
    modelName: model,
    inputs: [{ name: input, datatype: 'FP32', shape: shape.map(BigInt) }],
    rawInputContents: [Buffer.from(data.buffer, data.byteOffset, data.byteLength)],
  });
  return Buffer.from(inference.ModelInferRequest.encode(request).finish());
}

export function callStraight({ inference: address, opened }: Stage, row: Row) {
  return opened.use(openUnaryLoad(address, inferPath, requestOf(row), new Metadata())).call;
}

export function callThroughGateway({ mesh, opened }: Stage, row: Row) {
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${mesh.apiKey}`);
  return opened.use(openUnaryLoad(mesh.gateway, inferPath, requestOf(row), metadata)).call;
}

/** Our own client, whole: from an array of floats to arrays of floats. */
export function inferStraight({ inference: address, opened }: Stage, row: Row) {
  return inferBy(opened.use(connectMill({ address })), row);
}

export function inferThroughGateway({ mesh: { gateway: address, apiKey }, opened }: Stage, row: Row) {
  return inferBy(opened.use(connectMill({ address, apiKey })), row);
}

function inferBy({ inference }: Mill, { model, input = 'input', shape, data }: Row) {
  const request = { model, inputs: [{ name: input, datatype: 'FP32', shape, data: Float32Array.from(data) }] } as const;
  return () => inference.infer(request);
}

export function callEcho({ opened }: Stage, address: string, row: Row) {
  return opened.use(openUnaryLoad(address, '/bench.Echo/Echo', requestOf(row), new Metadata())).call;
}

/** The REST door with a body of JSON. */
export function postJson({ mesh, opened }: Stage, row: Row) {
  const headers = { authorization: `Bearer ${mesh.apiKey}`, 'content-type': 'application/json' };
  const path = `/v2/models/${row.model}/infer`;
  return opened.use(openPostLoad({ address: mesh.rest, path, headers, body: jsonOf(row) })).call;
}

export function jsonOf({ shape, data }: Row): Buffer {
  const input = { name: 'input', datatype: 'FP32', shape, data: [...data] };
  return Buffer.from(JSON.stringify({ inputs: [input] }));
}

/** The REST door with the tensor's bytes behind a header of JSON, and all outputs likewise. */
export function postBinary({ mesh, opened }: Stage, { model, shape, data }: Row) {
  const parameters = { binary_data_size: data.byteLength };
  const header = Buffer.from(
    JSON.stringify({
      parameters: { binary_data_output: true },
      inputs: [{ name: 'input', datatype: 'FP32', shape, parameters }],
    }),
  );
  const headers = {
    authorization: `Bearer ${mesh.apiKey}`,
    'content-type': 'application/octet-stream',
    'inference-header-content-length': String(header.length),
  };
  const body = Buffer.concat([header, Buffer.from(data.buffer, data.byteOffset, data.byteLength)]);
  return opened.use(openPostLoad({ address: mesh.rest, path: `/v2/models/${model}/infer`, headers, body })).call;
}
