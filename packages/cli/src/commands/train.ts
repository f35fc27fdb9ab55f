import { parseTrainingSpec, toJson } from '@modelmill/client';
import type { trainer } from '@modelmill/client';
import type { Command } from '../command.js';
import { connectionUsage } from '../connection.js';
import { runSpecs } from '../run-specs.js';
import type { SpecKind } from '../run-specs.js';

const training: SpecKind<trainer.TrainingSpec, trainer.TrainingJob> = {
  parse: parseTrainingSpec,
  titleOf: ({ model }) => `train ${model}`,
  submit: (mill, spec) => mill.trainer.submit(spec),
  watch: (mill, jobId, { signal }) => mill.trainer.watch(jobId, { signal }),
  toJson: (job) => toJson('modelmill.v1.TrainingJob', job),
};

export const train: Command = {
  name: 'train',
  summary: 'Trains what a spec describes, and shows how it goes.',
  usage: `mill train SPEC.yaml [--detach] [--json]

  SPEC.yaml            a TrainingSpec (protos/modelmill/v1/trainer.proto); several documents are several jobs
  --detach             print the job's id and leave it running; Ctrl-C leaves it running, too
  --json               the jobs as JSON when they have ended
${connectionUsage}`,

  run: (args, cli) => runSpecs(training, args, cli),
};
