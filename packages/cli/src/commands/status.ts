import { hasEnded } from '@modelmill/client';
import type { Command } from '../command.js';
import { connectionFlags, connectionUsage, findMesh } from '../connection.js';
import { printJson } from '../print-json.js';
import { connectMill } from '@modelmill/client';
import { readArgs, words } from '../read-args.js';
import { age } from '../terminal/format.js';
import { table } from '../terminal/table.js';

export const status: Command = {
  name: 'status',
  summary: 'What is up, what is loaded and what is being worked on.',
  usage: `mill status [--json]

${connectionUsage}`,

  async run(args, cli) {
    const { values, positionals } = readArgs(args, { ...connectionFlags, json: { type: 'boolean' } });
    words(positionals);
    const target = await findMesh(values, cli);
    await using mill = connectMill(target);
    const [ready, models, datasets, index, training, optimizing] = await Promise.all([
      mill.inference.serverReady(),
      mill.registry.listModels(),
      mill.datasets.list(),
      mill.inference.repositoryIndex(),
      mill.trainer.list(),
      mill.optimizer.list(),
    ]);
    const loaded = index.filter(({ state }) => state === 'READY');
    const open = [...training, ...optimizing].filter((job) => !hasEnded(job.status));
    const { mesh } = target;

    if (values.json) {
      printJson(cli, {
        address: target.address,
        ready,
        ...(mesh && { rest: mesh.rest, nats: mesh.nats, pid: mesh.pid, processes: mesh.processes }),
        models: models.length,
        datasets: datasets.length,
        loaded: loaded.map(({ name, version }) => ({ model: name, version })),
        openJobs: open.map((job) => job.status?.jobId),
      });
      return;
    }
    const { out } = cli;
    const state = ready ? out.paint.green('ready') : out.paint.red('not ready');
    out.print(`gRPC ${target.address}  ${mesh?.rest ? `REST ${mesh.rest}  ` : ''}${state}`);
    out.print([counted(models, 'model'), counted(datasets, 'dataset'), counted(open, 'open job')].join(', '));
    if (mesh) {
      const rows = Object.entries(mesh.processes).map(([name, { pid, restarts }]) => [name, pid ?? 'down', restarts]);
      out.print(`\n${table(['process', 'pid', 'restarts'], rows, out.paint.dim)}`);
    }
    if (loaded.length > 0) {
      const rows = loaded.map(({ name, version, state: at }) => [name, version, at.toLowerCase()]);
      out.print(`\n${table(['model', 'version', 'state'], rows, out.paint.dim)}`);
    }
    if (open.length > 0) {
      const rows = open.map(({ status: job, spec }) => [
        job?.jobId,
        spec?.model,
        job?.state?.$case,
        age(job?.createdAt, new Date()),
      ]);
      out.print(`\n${table(['job', 'model', 'state', 'age'], rows, out.paint.dim)}`);
    }
  },
};

const counted = ({ length }: readonly unknown[], what: string) => `${length} ${what}${length === 1 ? '' : 's'}`;
