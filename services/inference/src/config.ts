import { baseConfig, listenAddress } from '@modelmill/service-kit';
import { z } from 'zod';

const providers = ['cuda', 'webgpu', 'cpu'] as const;

export const configSchema = baseConfig.extend({
  MILL_PROVIDERS: z
    .string()
    .default('')
    .transform((text) => text.split(',').flatMap((name) => name.trim() || []))
    .pipe(z.array(z.enum(providers)))
    .describe(
      'execution providers in order of preference, of cuda, webgpu, cpu; empty: cuda where installed, then cpu',
    ),
  MILL_RUNNERS: z.coerce
    .number()
    .int()
    .min(0)
    .max(64)
    .default(0)
    .describe('runner processes, each with every served version; 0: one per core, at most 4'),
  MILL_RUNNER_THREADS: z.coerce
    .number()
    .int()
    .min(0)
    .max(1024)
    .default(0)
    .describe('threads within one operator; 0: cores divided by runners'),
  MILL_RUNNER_MEMORY_BYTES: z.coerce
    .number()
    .int()
    .min(2 ** 28)
    .default(4 * 2 ** 30)
    .describe('memory a runner may hold before it is replaced'),
  MILL_MODEL_MEMORY_BYTES: z.coerce
    .number()
    .int()
    .min(0)
    .default(0)
    .describe('memory that loaded models may take in all runners together; 0: no bound'),
  MILL_REQUEST_TIMEOUT_MS: z.coerce
    .number()
    .int()
    .min(1)
    .default(30_000)
    .describe('milliseconds one execution may take before its runner is replaced'),
  MILL_PROBATION_MS: z.coerce
    .number()
    .int()
    .min(100)
    .default(5_000)
    .describe('milliseconds a new version may take to load, and again to run once, before it is rejected'),
  MILL_MAX_BATCH: z.coerce
    .number()
    .int()
    .min(1)
    .default(64)
    .describe('rows that requests are batched to at most; as many as pay off, by a measurement'),
  MILL_MAX_QUEUE: z.coerce
    .number()
    .int()
    .min(1)
    .default(1024)
    .describe('requests that may wait for one version before more are refused'),
  MILL_MAX_QUEUE_BYTES: z.coerce
    .number()
    .int()
    .min(1)
    .default(2 ** 30)
    .describe('bytes of inputs that may wait for one version before more are refused'),
  MILL_MAX_WAIT_MS: z.coerce
    .number()
    .int()
    .min(1)
    .default(30_000)
    .describe('milliseconds within which an answer must be expected, or the request is refused at once'),
  MILL_METRICS_LISTEN: listenAddress
    .default('127.0.0.1:0')
    .describe('host:port of the Prometheus metrics; port 0 takes a free one'),
  MILL_SERVER_NAME: z.string().default('modelmill').describe('name in ServerMetadata; some clients want triton'),
  LD_LIBRARY_PATH: z.string().default('').describe("where the system's loader finds CUDA libraries"),
  VK_DRIVER_FILES: z.string().default('').describe('the Vulkan drivers that webgpu may use'),
});

export type Config = Readonly<z.infer<typeof configSchema>>;
