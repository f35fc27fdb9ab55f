import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { promisify } from 'node:util';

jest.setTimeout(400_000);

const root = resolve(__dirname, '..');

it("the first command of the README ends well: none of the demo's promises is broken", async () => {
  const { stdout } = await promisify(execFile)(resolve(root, 'mill'), ['demo', '--json'], { cwd: root });
  const { accuracy, ready, answersEqual, stable } = JSON.parse(stdout) as Record<string, unknown>;
  expect({ ready, answersEqual }).toEqual({ ready: true, answersEqual: true });
  expect(accuracy).toMatchObject({ trained: expect.any(Number) as number });
  expect(stable).toMatchObject({ version: expect.any(String) as string });
});
