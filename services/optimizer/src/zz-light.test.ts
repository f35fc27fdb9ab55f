import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readOnnx, writeOnnx, intsOf, floatTensor, removeUnused, cloneModel, elementCount, densify } from '@modelmill/onnx';
import { openSession } from '@modelmill/runtime';
import { quantizableTensors, quantizeStatic } from './quantize-static.js';
import { foldBatchNorm } from './fold-batch-norm.js';
import { createRanges } from './quantization-ranges.js';

function gauss(n: number, s0: number) { let s = s0 >>> 0; const u = () => ((s = (Math.imul(s, 1664525) + 1013904223) >>> 0) / 2 ** 32 + 1e-9); return Float32Array.from({ length: n }, () => Math.sqrt(-2 * Math.log(u())) * Math.cos(6.283185 * u())); }
for (const name of (process.env['LIGHT'] ?? 'squeezenet').split(',')) it(name, async () => {
  const t0 = Date.now();
  let model = readOnnx(await readFile(`/work/shared/data/onnx-models/light/light_${name}.onnx`));
  const g = model.graph;
  let seed = 1;
  for (const node of g.nodes.filter((n) => n.opType === 'ConstantOfShape')) {
    const user = g.nodes.find((n) => n.inputs.includes(node.outputs[0]!))!;
    const dims = intsOf(g.initializers.get(node.inputs[0]!)!);
    const n = elementCount(dims); const z = gauss(n, seed++);
    const at = user.inputs.indexOf(node.outputs[0]!);
    let v = z.map((x) => 0.1 * x);
    if (user.opType === 'BatchNormalization' && (at === 1 || at === 4)) v = z.map((x) => 1 + 0.2 * Math.tanh(x));
    if (user.opType === 'Unsqueeze') v = z.map((x) => 1 + 0.2*Math.tanh(x));
    if (dims.length >= 2) { const fan = n / dims[0]!; v = z.map((x) => x * Math.sqrt(2 / fan)); }
    g.initializers.set(node.outputs[0]!, floatTensor(node.outputs[0]!, dims, v));
  }
  g.nodes = g.nodes.filter((n) => n.opType !== 'ConstantOfShape');
  removeUnused(g); g.inputs = g.inputs.filter((i) => !i.name.startsWith('__') && (!g.initializers.has(i.name))).slice(0,1);
  model.irVersion = 7;
  const input = g.inputs[0]!; const dims = input.shape as number[];
  const x = { [input.name]: { dims, data: gauss(elementCount(dims), 99).map((v) => v) } };
  const before = cloneModel(model);
  console.log('made', Date.now() - t0, g.inputs, g.outputs);
  const folded = foldBatchNorm(model);
  console.log({ folded }, Date.now() - t0);
  const bytes = writeOnnx(before);
  await using a = await openSession(bytes, { providers: ['cpu'] });
  const out = a.outputs[0]!.name;
  const ya = (await a.run(x))[out]!.data as Float32Array;
  await using b = await openSession(writeOnnx(model), { providers: ['cpu'] });
  const yb = (await b.run(x))[out]!.data as Float32Array;
  console.log('fold diff', Math.max(...ya.map((v, i) => Math.abs(v - yb[i]!))), 'max', Math.max(...ya));
  const tensors = quantizableTensors(model);
  const probe = cloneModel(model);
  for (const n of tensors) if (n !== input.name) probe.graph.outputs.push({ name: n, dataType: 'float', shape: undefined });
  await using p = await openSession(writeOnnx(probe), { providers: ['cpu'] });
  const rs = createRanges((process.env['METHOD'] ?? 'minmax') as 'minmax');
  rs.add(input.name, x[input.name]!.data);
  const yp = await p.run(x);
  for (const n of tensors) if (n !== input.name) rs.add(n, yp[n]!.data as Float32Array);
  console.log('calibrated', Date.now() - t0);
  const r = quantizeStatic(model, rs.finish());
  console.log(r, tensors.length, Date.now() - t0);
  const q = writeOnnx(model);
  const folder = await mkdtemp(join(tmpdir(), 'x-')); const path = join(folder, 'o.onnx');
  await using c = await openSession(q, { optimizedModelPath: path, providers: ['cpu'] });
  const yc = (await c.run(x))[out]!.data as Float32Array;
  const count = new Map<string, number>();
  for (const n of readOnnx(await readFile(path)).graph.nodes) count.set(n.opType, (count.get(n.opType) ?? 0) + 1);
  const db = 10 * Math.log10(ya.reduce((s, v) => s + v * v, 0) / ya.reduce((s, v, i) => s + (v - yc[i]!) ** 2, 0));
  const am = (v: Float32Array) => v.indexOf(v.reduce((m, w) => Math.max(m, w)));
  const time = async (s: typeof a) => { const ts = []; for (let i = 0; i < 7; i++) { const t = performance.now(); await s.run(x, [out]); ts.push(performance.now() - t); } return ts.sort((m, n) => m - n)[3]!.toFixed(1); };
  console.log(Object.fromEntries(count), 'bytes', bytes.length, q.length, 'SQNR dB', db, am(ya), am(yc), 'ms', await time(b), await time(c));
  await rm(folder, { recursive: true });
}, 120000);
