import { hostname } from 'node:os';
import { z } from 'zod';

/** Settings that cannot be read; the message names every one of them. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly startup = true;
}

type Env = Readonly<Record<string, string | undefined>>;

/** Reads the schema's variables; one that is set to nothing counts as not set. Throws ConfigError with all problems. */
export function readConfig<Shape extends z.ZodRawShape>(
  schema: z.ZodObject<Shape>,
  env: Env,
): Readonly<z.output<z.ZodObject<Shape>>> {
  const given = Object.fromEntries(Object.keys(schema.shape).flatMap((name) => (env[name] ? [[name, env[name]]] : [])));
  const read = schema.safeParse(given);
  if (read.success) return Object.freeze(read.data);
  throw new ConfigError(read.error.issues.map((issue) => describeIssue(issue, given)).join('; '));
}

function describeIssue({ path, message }: z.core.$ZodIssue, given: Record<string, unknown>): string {
  const name = String(path[0] ?? 'the configuration');
  const got = given[name];
  if (got === undefined) return `${name} is not set: ${message}`;
  return `${name} is ${/KEY|SECRET|TOKEN|PASSWORD/.test(name) ? 'not readable' : `'${String(got)}'`}: ${message}`;
}

/** One row of the configuration's table. */
export interface ConfigRow {
  readonly name: string;
  readonly default: string;
  readonly meaning: string;
}

/** The schema's variables in order, for the documentation. */
export function describeConfig(schema: z.ZodObject): ConfigRow[] {
  return Object.entries(schema.shape).map(([name, field]) => {
    const { default: value, description } = z.toJSONSchema(field, { io: 'input', unrepresentable: 'any' });
    return { name, default: value === undefined ? '' : String(value), meaning: description ?? '' };
  });
}

/** host:port as a server takes it; IPv6 hosts in brackets. */
export const listenAddress = z.string().regex(/^(\[[0-9a-fA-F:]+\]|[^:\s]+):\d{1,5}$/, 'wanted host:port');

const wholeNumber = (least: number) => z.coerce.number().int().min(least).max(Number.MAX_SAFE_INTEGER);

/** Of services that store models. */
export const modelFileBytes = wholeNumber(1024)
  .max(2 ** 31 - 1)
  .default(1_800_000_000)
  .describe('largest ONNX file that is stored; the weights of a larger model lie in a file beside it');

/** What every service is configured by. */
export const baseConfig = z.object({
  MILL_NATS_URL: z.string().min(1).default('nats://127.0.0.1:4222').describe('where NATS with JetStream listens'),
  MILL_NATS_WAIT_MS: wholeNumber(0)
    .default(30_000)
    .describe('milliseconds to go on trying to reach NATS at start before giving up'),
  MILL_LISTEN: listenAddress.default('127.0.0.1:0').describe('host:port of the gRPC server; port 0 takes a free one'),
  MILL_ADVERTISE: z
    .string()
    .default('')
    .describe('host:port where the other services reach this one; empty: 127.0.0.1 and the port'),
  MILL_REPLICA: z
    .string()
    .regex(/^[a-zA-Z0-9_-]{0,64}$/, 'wanted at most 64 of a-z, A-Z, 0-9, _ and -')
    .default('')
    .transform((name) => name || `${hostname()}-${process.pid}`.replaceAll(/[^a-zA-Z0-9_-]/g, '-').slice(-64))
    .describe('name of this replica, unique in the mesh; empty: host and process id'),
  MILL_ARTIFACTS_DIR: z
    .string()
    .min(1)
    .default('.mill/artifacts')
    .describe('folder of models, datasets and reports; one for all services'),
  MILL_DRAIN_MS: wholeNumber(0).default(10_000).describe('milliseconds that running calls get to finish at shutdown'),
  MILL_MAX_MESSAGE_BYTES: wholeNumber(1024)
    .default(64 * 1024 * 1024)
    .describe('largest gRPC message that is taken'),
  MILL_MAX_STREAMS: wholeNumber(1).default(1000).describe('calls under way at a time on one connection'),
  MILL_LOG_LEVEL: z
    .enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'])
    .default('info')
    .describe('least severe log lines that are written: trace, debug, info, warn, error, fatal or silent'),
  OTEL_EXPORTER_OTLP_ENDPOINT: z
    .union([z.literal(''), z.url({ protocol: /^https?$/ })])
    .default('')
    .describe('OpenTelemetry collector (OTLP over HTTP) for traces and metrics; empty: none'),
});

export type BaseConfig = Readonly<z.output<typeof baseConfig>>;
