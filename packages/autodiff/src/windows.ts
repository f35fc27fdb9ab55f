import { ShapeError } from '@modelmill/onnx';
import type { Attribute } from '@modelmill/onnx';
import type { Operation, Shape } from './value.js';

/** The sliding window of a convolution or pooling; one number per spatial axis. */
export interface Windows {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  /** Zeros before and after each axis. */
  readonly before: readonly number[];
  readonly after: readonly number[];
  readonly groups: number;
}

const list = (attribute: Attribute | undefined) => (attribute?.kind === 'ints' ? attribute.value : undefined);

/** Reads the attributes as ONNX defines them, `auto_pad` resolved for the static sizes there are. */
export function windowsOf({ attributes, opType, node }: Operation, x: Shape, kernelOfWeight?: Shape): Windows {
  const spatial = x.slice(2);
  const ones = spatial.map(() => 1);
  const kernel = list(attributes.get('kernel_shape')) ?? kernelOfWeight;
  if (!kernel) throw new ShapeError(`node '${node}' (${opType}) has no kernel_shape`);
  const strides = list(attributes.get('strides')) ?? ones;
  const dilations = list(attributes.get('dilations')) ?? ones;
  const groups = attributes.get('group');
  const word = attributes.get('auto_pad');
  const auto = word?.kind === 'string' ? word.value : 'NOTSET';
  const pads = list(attributes.get('pads')) ?? [...ones, ...ones].map(() => 0);
  const sides = spatial.map((size, i): readonly [number, number] => {
    if (auto === 'VALID') return [0, 0];
    if (!auto.startsWith('SAME')) return [pads[i]!, pads[spatial.length + i]!];
    return samePadding(size, kernel[i]!, strides[i]!, dilations[i]!, auto === 'SAME_LOWER');
  });
  return {
    kernel,
    strides,
    dilations,
    before: sides.map(([before]) => before),
    after: sides.map(([, after]) => after),
    groups: groups?.kind === 'int' ? groups.value : 1,
  };
}

/** Zeros such that there are ceil(size / stride) outputs; the odd one at the end, or at the start for `lower`. */
export function samePadding(
  size: number,
  kernel: number,
  stride: number,
  dilation = 1,
  lower = false,
): readonly [before: number, after: number] {
  const outputs = Math.ceil(size / stride);
  const all = Math.max(0, (outputs - 1) * stride + dilation * (kernel - 1) + 1 - size);
  const half = Math.floor(all / 2);
  return lower ? [all - half, half] : [half, all - half];
}

/** What the last window leaves over at the end of each axis. */
export const leftOver = (spatial: Shape, { kernel, strides, dilations, before, after }: Windows): number[] =>
  spatial.map((size, i) => (size + before[i]! + after[i]! - dilations[i]! * (kernel[i]! - 1) - 1) % strides[i]!);

/**
 * What padding after each axis makes a transposed convolution give `spatial` from `outputs`, and what it has to add:
 * where sizes are rounded up, the last window reaches further than the padding stated.
 */
export function reachOf(
  spatial: Shape,
  outputs: Shape,
  { kernel, strides, dilations, before }: Windows,
): { readonly after: number[]; readonly missing: number[] } {
  const beyond = spatial.map(
    (size, i) => strides[i]! * (outputs[i]! - 1) + dilations[i]! * (kernel[i]! - 1) + 1 - before[i]! - size,
  );
  return { after: beyond.map((n) => Math.max(n, 0)), missing: beyond.map((n) => Math.max(-n, 0)) };
}
