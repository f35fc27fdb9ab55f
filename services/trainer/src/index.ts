export { run } from './run.js';
export { configSchema } from './config.js';
// the bench
export { shares } from './prepared-training.js';
export { openSteps } from './step-session.js';
