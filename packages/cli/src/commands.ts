import type { Command } from './command.js';
import { bench } from './commands/bench.js';
import { conformance } from './commands/conformance.js';
import { datasets } from './commands/datasets.js';
import { demo } from './commands/demo.js';
import { events } from './commands/events.js';
import { gpu } from './commands/gpu.js';
import { jobs } from './commands/jobs.js';
import { models } from './commands/models.js';
import { optimize } from './commands/optimize.js';
import { predict } from './commands/predict.js';
import { status } from './commands/status.js';
import { train } from './commands/train.js';
import { up } from './commands/up.js';

/** In the order a newcomer meets them. */
export const commands: readonly Command[] = [
  demo,
  up,
  status,
  datasets,
  train,
  optimize,
  models,
  predict,
  jobs,
  events,
  gpu,
  bench,
  conformance,
];
