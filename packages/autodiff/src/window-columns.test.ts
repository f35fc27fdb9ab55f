import { emit } from './emit.js';
import { fasterForm } from './faster-forms.js';
import { gradients } from './gradients.js';
import * as op from './ops.js';
import { numbers, runnable } from './run-for-tests.js';
import { input, size } from './value.js';

const [batch, channels, filters, kernel] = [16, 16, 17, 3];
const cases = [
  { size: 5, stride: 1, dilation: 1, before: 1, after: 1 },
  { size: 6, stride: 1, dilation: 2, before: 3, after: 0 },
  { size: 9, stride: 2, dilation: 1, before: 1, after: 0 },
  { size: 10, stride: 1, dilation: 1, before: 0, after: 0 },
];

it.each(cases)('a convolution of many small maps has the values and gradients of its definition: %j', async (sizes) => {
  const { stride, dilation, before, after } = sizes;
  const places = Math.floor((sizes.size + before + after - dilation * (kernel - 1) - 1) / stride) + 1;
  const shapes = {
    x: [batch, channels, sizes.size, sizes.size],
    w: [filters, channels, kernel, kernel],
    g: [batch, filters, places, places],
    b: [filters],
  };
  const [x, w] = [input('x', shapes.x), input('w', shapes.w)];
  const [g, b] = [input('g', shapes.g), input('b', shapes.b)];
  const y = op.make('Conv', [x, w, b], shapes.g, 'float', {
    kernel_shape: op.intList([kernel, kernel]),
    strides: op.intList([stride, stride]),
    dilations: op.intList([dilation, dilation]),
    pads: op.intList([before, before, after, after]),
  });
  const found = gradients(op.sum(op.mul(y, g)), [x, w]);
  const outputs = new Map([
    ['y', y],
    ['toX', found.get(x)!],
    ['toW', found.get(w)!],
  ]);
  const model = emit({ name: 'columns', inputs: [x, w, g, b], outputs, formOf: fasterForm });
  expect(model.graph.nodes.filter(({ opType }) => opType === 'Gather')).not.toHaveLength(0);

  const [xs, ws, gs, bs] = Object.values(shapes).map((shape, seed) => numbers(size(shape), { seed: seed + 1 }));
  const [toX, toW] = [new Float64Array(xs!.length), new Float64Array(ws!.length)];
  const ys = Float64Array.from(gs!, (_, i) => bs![Math.floor(i / (places * places)) % filters]!);
  const at = (i: number, row: number, column: number, length: number) => (i * length + row) * length + column;
  for (let image = 0; image < batch; image++)
    for (let filter = 0; filter < filters; filter++)
      for (let place = 0; place < places * places; place++) {
        const to = (image * filters + filter) * places * places + place;
        const dy = gs![to]!;
        for (let channel = 0; channel < channels; channel++)
          for (let tap = 0; tap < kernel * kernel; tap++) {
            const row = Math.floor(place / places) * stride + Math.floor(tap / kernel) * dilation - before;
            const column = (place % places) * stride + (tap % kernel) * dilation - before;
            if (Math.min(row, column) < 0 || Math.max(row, column) >= sizes.size) continue;
            const from = at(image * channels + channel, row, column, sizes.size);
            const by = (filter * channels + channel) * kernel * kernel + tap;
            ys[to]! += xs![from]! * ws![by]!;
            toX[from]! += dy * ws![by]!;
            toW[by]! += dy * xs![from]!;
          }
      }
  const feeds = {
    x: { dims: shapes.x, data: xs! },
    w: { dims: shapes.w, data: ws! },
    g: { dims: shapes.g, data: gs! },
    b: { dims: shapes.b, data: bs! },
  };
  const got = await (await runnable(model))(feeds);
  const furthest = (a: Float64Array, b: Float32Array) => Math.max(...a.map((value, i) => Math.abs(value - b[i]!)));
  expect(furthest(ys, got['y']!)).toBeLessThan(1e-4);
  expect(furthest(toX, got['toX']!)).toBeLessThan(1e-4);
  expect(furthest(toW, got['toW']!)).toBeLessThan(2e-4);
});
