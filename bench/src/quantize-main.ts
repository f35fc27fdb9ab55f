import { readFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { elementCount, onnxPieces, readOnnx } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { calibrate, openModelFile, quantizableTensors } from '@modelmill/optimizer';
import { quantizeDynamic, quantizeStatic, quantizeWeights } from '@modelmill/optimizer';

/*
 * Quantizes a model and tells what it took, as bench/peers/ort_quantize.py does:
 * node quantize-main.js static|dynamic|nbits4|nbits8 MODEL RESULT INPUTS SIZES...
 */
const [form = '', source = '', target = '', inputs = '', ...sizes] = process.argv.slice(2);
const [, ...exampleShape] = sizes.map(Number);

/** The most memory of this process and its runners at the same time, MiB. */
let together = 0;

async function quantizeOnExamples(network: Model): Promise<void> {
  const data = new Uint8Array(await readFile(inputs));
  const bytes = 4 * elementCount(exampleShape);
  const ranges = await calibrate(network, quantizableTensors(network), {
    binding: { input: network.graph.inputs[0]!.name, exampleShape, output: network.graph.outputs[0]!.name },
    examples: {
      inputs: (some) => ({
        datatype: 'FP32',
        shape: [some.length, ...exampleShape],
        data: data.slice(some[0]! * bytes, (some.at(-1)! + 1) * bytes),
      }),
    },
    some: Uint32Array.from({ length: data.length / bytes }, (_, i) => i),
    method: 'minmax',
    signal: new AbortController().signal,
    onProgress: async () => notePeaks(),
  });
  quantizeStatic(network, ranges);
}

const inBlocks = (network: Model, bits: 4 | 8) =>
  quantizeWeights(network, { bits, block: 32, symmetric: false, method: 'nearest', onLayer: async () => {} });

/** While a runner is there: the most that it held, and this process until now. */
function notePeaks(): void {
  const children = readFileSync('/proc/thread-self/children', 'utf8').trim().split(' ');
  const all = ['self', ...children.filter((pid) => pid !== '')].map(heldBy);
  together = Math.max(together, all.reduce((sum, peak) => sum + peak, 0)); // prettier-ignore
}

/** The most memory a process held so far, MiB. */
function heldBy(pid: string): number {
  const found = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(found?.[1] ?? 0) / 1024;
}

const forms: Readonly<Record<string, (model: Model) => Promise<unknown> | number>> = {
  static: quantizeOnExamples,
  dynamic: (model) => quantizeDynamic(model),
  nbits4: (model) => inBlocks(model, 4),
  nbits8: (model) => inBlocks(model, 8),
};

const start = performance.now();
const model = readOnnx(openModelFile(source));
await forms[form]!(model);
await writeFile(target, onnxPieces(model));
const seconds = (performance.now() - start) / 1000;
console.log(JSON.stringify({ seconds, mebibytes: Math.max(together, heldBy('self')) }));
