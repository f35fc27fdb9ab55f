import { inference } from '@modelmill/client';
import { SkippedCheck } from './check.js';
import { FailedCheck } from './failed-check.js';
import type { Check } from './check.js';
import { grpcChecks } from './grpc-checks.js';
import { grpcInferChecks } from './grpc-infer-checks.js';
import { restChecks } from './rest-checks.js';
import { restInferChecks } from './rest-infer-checks.js';
import { openDoors } from './server.js';
import type { Doors, Server } from './server.js';
import type { ServedModel } from './served-model.js';

const checks: readonly Check[] = [...grpcChecks, ...grpcInferChecks, ...restChecks, ...restInferChecks];

export interface Outcome extends Pick<Check, 'door' | 'area' | 'promise'> {
  readonly result: 'passed' | 'failed' | 'skipped';
  /** What was seen instead, or why it could not be tried. */
  readonly reason: string;
}

/** Every check of the doors that are named, one after the other, on the models that are named or else on all that are ready. */
export async function runChecks(doors: Doors, named: readonly string[], signal: AbortSignal): Promise<Outcome[]> {
  await using opened = openDoors(doors);
  const models = await findModels(opened, doors, named);
  const outcomes: Outcome[] = [];
  for (const { door, area, promise, run } of checks) {
    signal.throwIfAborted();
    if ((door === 'gRPC' ? doors.grpc : doors.rest) === undefined) continue;
    outcomes.push({ door, area, promise, ...(await outcomeOf(() => run({ ...opened, models }))) });
  }
  return outcomes;
}

async function outcomeOf(run: () => Promise<void>): Promise<Pick<Outcome, 'result' | 'reason'>> {
  try {
    await run();
    return { result: 'passed', reason: '' };
  } catch (error) {
    if (error instanceof SkippedCheck) return { result: 'skipped', reason: error.message };
    return { result: 'failed', reason: error instanceof Error ? error.message : String(error) };
  }
}

type Opened = Pick<Server, 'call' | 'rest' | 'post'>;

async function findModels(opened: Opened, doors: Doors, named: readonly string[]): Promise<ServedModel[]> {
  const names = named.length > 0 ? named : await readyModels(opened, doors);
  return Promise.all([...new Set(names)].map((name) => metadataOf(opened, doors, name)));
}

const { repositoryIndex, modelMetadata } = inference.GRPCInferenceServiceService;

async function readyModels({ call, post }: Opened, { grpc }: Doors): Promise<string[]> {
  if (grpc !== undefined) {
    const { models } = await call(repositoryIndex, { repositoryName: '', ready: true });
    return models.map(({ name }) => name);
  }
  const { status, json } = await post('/v2/repository/index', { ready: true });
  if (status !== 200) throw new FailedCheck(`the repository has no index (${status}): name a model`);
  return (json as { name: string }[]).map(({ name }) => name);
}

async function metadataOf({ call, rest }: Opened, { grpc }: Doors, name: string): Promise<ServedModel> {
  if (grpc !== undefined) return call(modelMetadata, { name, version: '' });
  const { status, json } = await rest(`/v2/models/${encodeURIComponent(name)}`);
  if (status !== 200) throw new FailedCheck(`model '${name}' has no metadata (${status})`);
  return inference.ModelMetadataResponse.fromJSON(json);
}
