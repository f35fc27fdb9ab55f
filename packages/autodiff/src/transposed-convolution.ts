import { int, intList, make, pad } from './ops.js';
import type { Operation, Shape, Value } from './value.js';
import { windowsOf } from './windows.js';
import type { Windows } from './windows.js';

/** A ConvTranspose's windows over its output, with the padding that follows from the output's size. */
export function transposedWindows(operation: Operation, x: Shape, kernel: Shape, y: Shape): Windows {
  const { attributes } = operation;
  const stated = windowsOf(
    { ...operation, attributes: new Map([...attributes].filter(([n]) => n !== 'auto_pad')) },
    x,
    kernel,
  );
  const word = attributes.get('auto_pad');
  const auto = word?.kind === 'string' ? word.value : 'NOTSET';
  if (auto === 'NOTSET' && !attributes.has('output_shape')) return stated;
  const added = attributes.get('output_padding');
  const sides = kernel.map((taps, i): readonly [number, number] => {
    const extra = added?.kind === 'ints' ? added.value[i]! : 0;
    const full = stated.strides[i]! * (x[i + 2]! - 1) + extra + stated.dilations[i]! * (taps - 1) + 1;
    const all = full - y[i + 2]!;
    const half = Math.floor(all / 2);
    return auto === 'SAME_UPPER' ? [half, all - half] : [all - half, half];
  });
  return { ...stated, before: sides.map(([before]) => before), after: sides.map(([, after]) => after) };
}

/** Gradient of the input [n, c, …] from that of the output: a convolution with the same kernel [c, o/groups, …]. */
export function transposedInput(g: Value, weight: Value, x: Shape, windows: Windows): Value {
  const { kernel, strides, dilations, before, after, groups } = windows;
  const most = (counts: readonly number[]) => counts.map((count) => Math.max(count, 0));
  const least = (counts: readonly number[]) => [0, 0, ...counts.map((count) => Math.min(count, 0))];
  return make('Conv', [pad(g, least(before), least(after)), weight], x, g.dataType, {
    kernel_shape: intList(kernel),
    strides: intList(strides),
    dilations: intList(dilations),
    pads: intList([...most(before), ...most(after)]),
    ...(groups === 1 ? {} : { group: int(groups) }),
  });
}
