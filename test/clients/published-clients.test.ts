import { execFile, execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { firstDigit, smallSpec, uploadDigits } from '../digits.js';
import { listen, succeeded } from '../jobs.js';
import { startMesh } from '../start-mesh.js';

jest.setTimeout(120_000);

/** A Python that has tritonclient: MILL_TEST_PYTHON, or the one on PATH. */
const python = process.env['MILL_TEST_PYTHON'] ?? 'python3';
const there = canImport('tritonclient.grpc, tritonclient.http, numpy');

function canImport(modules: string): boolean {
  try {
    execFileSync(python, ['-c', `import ${modules}`], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

const whereInstalled = there ? it : it.skip;

whereInstalled(
  `Triton's Python clients get the mesh's own answers${there ? '' : ' (skipped: needs tritonclient[all])'}`,
  async () => {
    await using mesh = await startMesh();
    await using events = await listen(mesh.natsUrl);
    await uploadDigits(mesh.mill);
    const { status } = await mesh.mill.trainer.submit(smallSpec({ label: 'stable', epochs: 3 }));
    await succeeded(mesh.mill.trainer.watch(status!.jobId));
    await events.heard(/model\.digits\.1\.ready$/);

    const pixels = firstDigit();
    const own = await mesh.mill.inference.infer({
      model: 'digits',
      inputs: [{ name: 'input', datatype: 'FP32', shape: [1, 64], data: pixels }],
    });
    const { stdout } = await promisify(execFile)(python, [
      join(__dirname, 'ask.py'),
      mesh.grpc,
      mesh.rest.replace('http://', ''),
      'a-key-of-this-test',
      JSON.stringify(pixels),
    ]);
    const theirs = JSON.parse(stdout) as Record<string, number[]>;
    const wanted = Array.from(own.outputs[0]!.data as Float32Array);
    expect(Object.keys(theirs)).toEqual(['grpc', 'binary', 'json']);
    for (const [door, answer] of Object.entries(theirs)) {
      expect({ door, answer: answer.map(Math.fround) }).toEqual({ door, answer: wanted });
    }
  },
);
