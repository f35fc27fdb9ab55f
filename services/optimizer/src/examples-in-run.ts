import { elementCount } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { multiplyAddsOf } from './analyze.js';
import { sum } from './weighted-layers.js';

/** On one busy core these take some ten seconds in floats, and a runner is given two minutes for a run. */
const mostMultiplyAdds = 5e10;

/** How many examples one run takes: at most `atOnce`, and fewer where a model is large. The same every time. */
export function examplesInRun(model: Model, atOnce: number): number {
  const numbers = sum([...model.graph.initializers.values()].map(({ dims }) => elementCount(dims)));
  // where shapes are not known, each number is taken for one multiplication
  const each = Math.max(multiplyAddsOf(model), numbers, 1);
  return Math.max(1, Math.min(atOnce, Math.floor(mostMultiplyAdds / each)));
}
