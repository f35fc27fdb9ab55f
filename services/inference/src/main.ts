import { growHeapInLargeSteps, readConfig, runMain, shutdownSignal } from '@modelmill/service-kit';
import { configSchema } from './config.js';
import { run } from './run.js';

growHeapInLargeSteps();
await runMain(() => run(readConfig(configSchema, process.env), shutdownSignal()));
