import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** A server to be compared with, in a process of its own. */
export interface Side extends AsyncDisposable {
  readonly address: string;
}

/** Starts a script of this folder that prints its port and ends with its standard input. */
export async function openSide(script: 'echo-main.js' | 'json-echo-main.js'): Promise<Side> {
  const path = fileURLToPath(new URL(script, import.meta.url));
  const child = spawn(process.execPath, [path], { stdio: ['pipe', 'pipe', 'inherit'] });
  const [port] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  return {
    address: `127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      const exited = once(child, 'exit');
      child.stdin.end();
      await exited;
    },
  };
}
