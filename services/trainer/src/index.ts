export { run } from './run.js';
export { configSchema } from './config.js';
