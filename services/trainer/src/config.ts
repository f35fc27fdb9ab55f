import { baseConfig } from '@modelmill/service-kit';
import { z } from 'zod';

export const configSchema = baseConfig.extend({
  MILL_TRAINING_JOBS: z.coerce
    .number()
    .int()
    .min(1)
    .default(1)
    .describe('training jobs this replica works on at the same time'),
  MILL_TRAINING_THREADS: z.coerce
    .number()
    .int()
    .min(0)
    .default(0)
    .describe('threads of one training process; 0: one per core'),
  MILL_CHECKPOINT_MS: z.coerce
    .number()
    .int()
    .min(100)
    .default(5000)
    .describe('milliseconds between checkpoints of a running job'),
  MILL_JOB_ACK_MS: z.coerce
    .number()
    .int()
    .min(1000)
    .default(10_000)
    .describe('milliseconds of silence after which another replica takes over a job'),
  LD_LIBRARY_PATH: z.string().default('').describe("where the system's loader finds CUDA libraries"),
  VK_DRIVER_FILES: z.string().default('').describe('the Vulkan drivers that webgpu may use'),
});

export type Config = Readonly<z.infer<typeof configSchema>>;
