import type { Cli, Command } from '../command.js';
import { stateFolder } from '../connection.js';
import { startMesh } from '../mesh/mesh.js';
import type { Mesh } from '../mesh/mesh.js';
import type { MemberChange } from '../mesh/supervisor.js';
import { numberFlag, readArgs, words } from '../read-args.js';
import type { Screen } from '../terminal/screen.js';

const anyPort = { min: 0, max: 65_535 };

export const up: Command = {
  name: 'up',
  summary: 'Starts NATS and the four services here; Ctrl-C drains them.',
  usage: `mill up [--rest-port 8080] [--grpc-port 8081] [--state .mill]

  --rest-port PORT   REST door on 127.0.0.1; 0 takes a free port
  --grpc-port PORT   gRPC door on 127.0.0.1; 0 takes a free port
  --state FOLDER     where models, datasets, jobs, logs and the API key are kept; may be deleted when the mesh is down

MILL_NATS_URL names a NATS server to use instead of starting one. Every other MILL_ variable reaches the services.`,

  async run(args, cli) {
    const { values, positionals } = readArgs(args, {
      'rest-port': { type: 'string', default: '8080' },
      'grpc-port': { type: 'string', default: '8081' },
      state: { type: 'string' },
    });
    words(positionals);
    const began = Date.now();
    cli.out.live('starting …');
    await using mesh = await startMesh({
      root: cli.root,
      state: stateFolder(values, cli),
      restPort: numberFlag('rest-port', values['rest-port'], anyPort),
      grpcPort: numberFlag('grpc-port', values['grpc-port'], anyPort),
      env: cli.env,
      onChange: (change) => tell(change, cli.out),
    });
    cli.out.clear();
    cli.out.print(banner(mesh, (Date.now() - began) / 1000, cli));
    await holdUntilInterrupted(mesh, cli);
  },
};

/** Waits for Ctrl-C, then drains and stops the mesh. */
export async function holdUntilInterrupted(mesh: Mesh, { out, signal }: Cli): Promise<void> {
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  out.print(out.paint.dim('\ndraining; Ctrl-C again ends everything at once'));
  await mesh.stop((name) => out.print(out.paint.dim(`  stopping ${name}`)));
}

/** A member's death and return; its first start is the banner's news. */
export function tell(change: MemberChange, { print, paint }: Pick<Screen, 'print' | 'paint'>): void {
  switch (change.kind) {
    case 'serving':
      if (change.restarts > 0) print(paint.green(`${change.name} is back (process ${change.pid})`));
      return;
    case 'ended':
      print(paint.red(`${change.name} ended (${change.ending}), starts again in ${change.againInMs / 1000} s`));
      return;
  }
}

export function banner(mesh: Mesh, seconds: number, { out: { paint }, cwd }: Cli): string {
  const state = mesh.state.startsWith(`${cwd}/`) ? mesh.state.slice(cwd.length + 1) : mesh.state;
  const rows = [
    ['REST', mesh.rest],
    ['gRPC', mesh.grpc],
    ['NATS', mesh.nats],
    ['API key', `${mesh.apiKey}${mesh.apiKeyIsNew ? paint.dim('  (new)') : ''}`],
    ['state', state],
  ] as const;
  return [
    `${paint.bold(paint.green('The mill is up'))} ${paint.dim(`after ${seconds.toFixed(1)} s`)}`,
    ...rows.map(([name, value]) => `  ${paint.dim(name.padEnd(8))} ${value}`),
    '',
    `  curl -H "authorization: Bearer $(cat ${state}/api-key)" ${mesh.rest}/v2`,
    '',
    paint.dim('Ctrl-C drains and stops it.'),
  ].join('\n');
}
