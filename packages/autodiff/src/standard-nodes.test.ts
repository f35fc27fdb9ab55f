import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { judge } from './standard-node-for-tests.js';
import type { StandardNode, Verdict } from './standard-node-for-tests.js';

/** A Python that has onnx: MILL_TEST_PYTHON, or the one on PATH. */
const python = process.env['MILL_TEST_PYTHON'] ?? 'python3';
const hasOnnx = spawnSync(python, ['-c', 'import onnx.backend.test.case.node']).status === 0;
const writer = fileURLToPath(new URL('../../../bench/peers/write_node_models.py', import.meta.url));

(hasOnnx ? describe : describe.skip)(`the node tests of ONNX${hasOnnx ? '' : ' (skipped: needs onnx)'}`, () => {
  let nodes: StandardNode[] = [];
  beforeAll(() => {
    const folder = mkdtempSync(join(tmpdir(), 'mill-nodes-'));
    try {
      const file = join(folder, 'nodes.jsonl');
      const { status, stderr } = spawnSync(python, [writer, file], { encoding: 'utf8' });
      if (status !== 0) throw new Error(stderr);
      const lines = readFileSync(file, 'utf8').trim().split('\n').slice(0, -1);
      nodes = lines.map((line) => JSON.parse(line) as StandardNode);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }, 120_000);

  it('have the gradients that differences of the outputs say, or are refused by name', async () => {
    const verdicts: (Verdict & { readonly name: string })[] = [];
    for (const node of nodes) for (const verdict of await judge(node)) verdicts.push({ name: node.name, ...verdict });
    const ofKind = (kind: Verdict['kind']) => verdicts.filter((one) => one.kind === kind);
    const wrong = ofKind('compared').filter(({ worst = Infinity, double }) => !(worst < (double ? 1e-4 : 5e-3)));
    expect(wrong).toEqual([]);
    expect(ofKind('compared').length).toBeGreaterThan(900);
    expect(ofKind('compared').filter(({ double }) => double).length).toBeGreaterThan(850);
    // what ONNX Runtime itself does not run, and what is refused, say why
    for (const { why } of [...ofKind('refused'), ...ofKind('not run')]) expect(why).toMatch(/\w{4}/);
    expect(ofKind('refused').filter(({ why }) => /TypeError|RangeError/.test(why!))).toEqual([]);
  }, 400_000);
});
