import { spawn } from 'node:child_process';
import { once } from 'node:events';

jest.setTimeout(30_000);

const kit = new URL('../dist/index.js', import.meta.url).href;

/** A process that runs these statements with its `log`, and ends. */
function logging(statements: string) {
  const code = `
    import { once } from 'node:events';
    import { runMain, startTelemetry } from '${kit}';
    await runMain(async () => {
      const config = { MILL_LOG_LEVEL: 'info', MILL_REPLICA: 'one', OTEL_EXPORTER_OTLP_ENDPOINT: '' };
      const telemetry = await startTelemetry('test', config);
      const { log } = telemetry;
      ${statements}
      await telemetry[Symbol.asyncDispose]();
    });`;
  return spawn(process.execPath, ['--input-type=module', '--eval', code], { stdio: ['pipe', 'pipe', 'inherit'] });
}

describe('what a process logs', () => {
  it('does not keep it from ending where nobody reads it any more', async () => {
    const child = logging(`
      log.info('ready');
      await once(process.stdin, 'data');
      for (let i = 0; i < 10; i++) log.info({ i }, 'nobody reads this');`);
    try {
      const signal = AbortSignal.timeout(20_000);
      await once(child.stdout, 'data', { signal });
      child.stdout.destroy();
      await once(child.stdout, 'close', { signal });
      const ended = once(child, 'exit', { signal });
      child.stdin.write('go\n');
      expect(await ended).toEqual([0, null]);
    } finally {
      child.kill('SIGKILL');
    }
  });

  it('does not keep it from ending where its reader has stopped reading', async () => {
    const child = logging(`for (let i = 0; i < 20_000; i++) log.info({ i }, 'a line that stays in the pipe');`);
    try {
      child.stdout.pause();
      expect(await once(child, 'exit', { signal: AbortSignal.timeout(20_000) })).toEqual([0, null]);
    } finally {
      child.kill('SIGKILL');
      child.stdout.destroy();
    }
  });

  it('is there to the last line when it ends', async () => {
    const child = logging(`for (let i = 1; i <= 2_000; i++) log.info({ i }, 'line');`);
    const parts: Buffer[] = [];
    for await (const part of child.stdout) parts.push(part as Buffer);
    const lines = Buffer.concat(parts).toString().trim().split('\n');
    expect(lines).toHaveLength(2_000);
    expect(JSON.parse(lines.at(-1)!)).toMatchObject({ i: 2_000, event: 'line' });
  });
});
