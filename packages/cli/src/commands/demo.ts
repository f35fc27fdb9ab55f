import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { connectMill } from '@modelmill/client';
import { CliError } from '../cli-error.js';
import type { Cli, Command } from '../command.js';
import { openEventFeed } from '../demo/event-feed.js';
import type { HeardEvent } from '../demo/event-feed.js';
import { asJson, brokenPromises, roles } from '../demo/outcome.js';
import type { Outcome } from '../demo/outcome.js';
import { turnTheMill } from '../demo/turn-the-mill.js';
import { holderOf } from '../mesh/mesh-file.js';
import { isFree, startMesh } from '../mesh/mesh.js';
import type { Mesh } from '../mesh/mesh.js';
import { readArgs, words } from '../read-args.js';
import { bytes, count } from '../terminal/format.js';
import type { Screen } from '../terminal/screen.js';
import { table } from '../terminal/table.js';
import { eventLine } from './events.js';
import { holdUntilInterrupted, tell } from './up.js';

export const demo: Command = {
  name: 'demo',
  summary: 'Data in, a trained, shrunk and served model out, in about a minute.',
  usage: `mill demo [--json] [--stay]

Starts a mesh of its own on free ports with an empty state folder, trains a small network on 1,797 handwritten digits,
makes it smaller in three ways, serves the best version and asks it through three doors. Exit code 0: all of it held.

  --json               one JSON object with the figures on stdout, progress on stderr
  --stay               leaves the mesh up until Ctrl-C`,

  async run(args, cli) {
    const { values, positionals } = readArgs(args, { json: { type: 'boolean' }, stay: { type: 'boolean' } });
    words(positionals);
    const screen = values.json ? cli.notes : cli.out;
    const began = performance.now();
    const state = await freshState(cli);
    try {
      await using mesh = await startMesh({
        root: cli.root,
        state,
        restPort: values.stay && (await isFree(8080)) ? 8080 : 0,
        grpcPort: values.stay && (await isFree(8081)) ? 8081 : 0,
        env: cli.env,
        onChange: (change) => tell(change, screen),
      });
      screen.print(`${screen.paint.bold('The mill is up')}: REST ${mesh.rest}, gRPC ${mesh.grpc}, NATS ${mesh.nats}`);
      const outcome = await turn(mesh, cli, screen, began);
      if (values.json) cli.stdout.write(`${JSON.stringify(asJson(outcome), null, 2)}\n`);
      else conclude(outcome, mesh, screen, values.stay ?? false);
      const broken = brokenPromises(outcome);
      if (values.stay) await holdUntilInterrupted(mesh, { ...cli, out: screen });
      if (broken.length > 0) throw new CliError(`demo: ${broken.join('; ')}`);
    } finally {
      await rm(state, { recursive: true, force: true });
    }
  },
};

async function turn(mesh: Mesh, { root, signal }: Cli, screen: Screen, began: number): Promise<Outcome> {
  await using mill = connectMill({ address: mesh.grpc, apiKey: mesh.apiKey });
  await using feed = await openEventFeed(mesh.nats, signal, (event) => printEvent(event, screen));
  const outcome = await turnTheMill({ root, mesh, mill, feed, screen, signal });
  return { ...outcome, seconds: Math.round((performance.now() - began) / 100) / 10 };
}

/** Progress is drawn as a bar; its events are too many to read. */
function printEvent(event: HeardEvent, screen: Screen): void {
  if (!event.subject.endsWith('.progress'))
    screen.print(`${screen.paint.dim('  event')} ${eventLine(event, screen.paint)}`);
}

function conclude({ versions, stable, example, seconds }: Outcome, mesh: Mesh, screen: Screen, stays: boolean): void {
  const rows = roles.map((role) => {
    const { version, method, accuracy, sizeBytes, parameters, sparsity, p50Ms, p99Ms } = versions[role];
    return [
      version,
      method,
      accuracy.toFixed(4),
      bytes(sizeBytes),
      count(parameters),
      `${(sparsity * 100).toFixed(0)} %`,
      p50Ms.toFixed(3),
      p99Ms.toFixed(3),
      version === stable.version ? 'stable' : '',
    ];
  });
  const header = ['version', 'made', 'accuracy', 'size', 'weights', 'zeros', 'p50 ms', 'p99 ms', ''];
  screen.print(`\n${table(header, rows, screen.paint.dim)}`);
  screen.print(
    screen.paint.dim(
      `\naccuracy on held-out digits; latency of one example, measured side by side; ${seconds} s in all`,
    ),
  );
  const door = stays ? mesh.rest : 'http://127.0.0.1:8080';
  screen.print(`\nTry it yourself${stays ? '' : `: './mill demo --stay' keeps the mesh up for`}:`);
  screen.print(
    `curl -H "authorization: Bearer $(cat ${mesh.state}/api-key)" ${door}/v1/models/digits:predict` +
      ` -d '{"instances": [[${example.pixels.join(',')}]]}'`,
  );
}

/** A folder beside a running mesh's, and beside that of another demo. */
async function freshState({ root }: Cli): Promise<string> {
  for (let number = 1; ; number++) {
    const state = join(root, '.mill', number === 1 ? 'demo' : `demo-${number}`);
    if ((await holderOf(state)) !== undefined) continue;
    await rm(state, { recursive: true, force: true });
    return state;
  }
}
