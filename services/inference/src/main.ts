import { readConfig, shutdownSignal } from '@modelmill/service-kit';
import { configSchema } from './config.js';
import { run } from './run.js';

await run(readConfig(configSchema, process.env), shutdownSignal());
