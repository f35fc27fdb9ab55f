import { baseConfig, modelFileBytes } from '@modelmill/service-kit';
import { z } from 'zod';

export const configSchema = baseConfig.extend({
  MILL_OPTIMIZATION_JOBS: z.coerce
    .number()
    .int()
    .min(1)
    .default(4)
    .describe('optimization jobs this replica works on at the same time: most of them wait for the trainer'),
  MILL_PASS_MEMORY_BYTES: z.coerce
    .number()
    .int()
    .min(2 ** 28)
    .default(4 * 2 ** 30)
    .describe('memory the process that makes the passes of a job may hold before it is ended and the job fails'),
  MILL_MODEL_FILE_BYTES: modelFileBytes,
  MILL_JOB_ACK_MS: z.coerce
    .number()
    .int()
    .min(1000)
    .default(10_000)
    .describe('milliseconds of silence after which another replica takes over a job'),
});

export type Config = Readonly<z.infer<typeof configSchema>>;
