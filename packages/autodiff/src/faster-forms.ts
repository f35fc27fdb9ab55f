import { gemm, reshape } from './ops.js';
import { size } from './value.js';
import type { Operation, Value } from './value.js';
import { columnsPayForConvolution, examplesFirst, windowColumns } from './window-columns.js';
import { windowsOf } from './windows.js';
import { winograd, winogradPays } from './winograd.js';

/** A value that a step computes faster by other operators, from the same operands; undefined where there is no such way. */
export function fasterForm({ source }: Value): Value | undefined {
  return source.kind === 'operation' && source.operation.opType === 'Conv'
    ? fasterConvolution(source.operation)
    : undefined;
}

/** A convolution on small maps as few products over all examples. */
function fasterConvolution(convolution: Operation): Value | undefined {
  const { inputs, outputs } = convolution;
  const [x, weight, bias] = inputs as [Value, Value, Value | undefined];
  const [filters = 0, , ...kernel] = weight.shape;
  const windows = windowsOf(convolution, x.shape, kernel);
  const y = outputs[0]!.shape;
  const places = y.slice(2);
  if (winogradPays(x.shape, places, windows, filters)) return winograd(x, weight, places, windows, bias);
  if (!columnsPayForConvolution(x.shape, places, windows, filters)) return undefined;
  const rows = reshape(weight, [filters, size(weight.shape) / filters]);
  const offset = bias && reshape(bias, [filters, 1]);
  return examplesFirst(gemm(rows, windowColumns(x, places, windows), false, false, 1, offset), y);
}
