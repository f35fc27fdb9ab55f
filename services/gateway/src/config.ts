import { baseConfig, listenAddress, modelFileBytes } from '@modelmill/service-kit';
import { z } from 'zod';

const list = z.string().transform((text) => text.split(',').flatMap((item) => item.trim() || []));

export const configSchema = baseConfig.omit({ MILL_LISTEN: true, MILL_ADVERTISE: true }).extend({
  MILL_GRPC_LISTEN: listenAddress
    .default('127.0.0.1:8081')
    .describe('host:port of the gRPC door; port 0 takes a free one'),
  MILL_REST_LISTEN: listenAddress
    .default('127.0.0.1:8080')
    .describe('host:port of the REST door; port 0 takes a free one'),
  MILL_API_KEYS: list
    .pipe(z.array(z.string().min(16, 'each key wants at least 16 characters')))
    .prefault('')
    .describe('comma-separated keys that callers present; empty: open, and then only on loopback'),
  MILL_ALLOWED_HOSTS: list
    .prefault('')
    .describe('comma-separated names by which browsers may reach the REST door, beyond loopback'),
  MILL_MAX_UPLOAD_BYTES: z.coerce
    .number()
    .int()
    .min(1)
    .max(Number.MAX_SAFE_INTEGER)
    .default(2 * 2 ** 30)
    .describe('largest model or dataset that is taken'),
  MILL_MODEL_FILE_BYTES: modelFileBytes,
  MILL_MAX_JSON_BYTES: z.coerce
    .number()
    .int()
    .min(1024)
    .max(2 ** 29)
    .default(16 * 2 ** 20)
    .describe('largest JSON of an inference request that is taken, decompressed; binary tensors may be larger'),
});

export type Config = Readonly<z.output<typeof configSchema>>;
