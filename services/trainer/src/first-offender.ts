import { inferShapes, topologicallySorted, writeOnnx } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { openSession } from '@modelmill/runtime';
import type { TypedTensor } from '@modelmill/runtime';

/**
 * The first tensor of a step, in the graph's order, that holds a number which is none: in words, with the node that made it.
 * Undefined where the graph cannot be looked into.
 */
export async function firstOffender(
  model: Model,
  feeds: Readonly<Record<string, TypedTensor>>,
): Promise<string | undefined> {
  const fed = Object.entries(feeds).find(([, { data }]) => !isFinite(data));
  if (fed) return `input '${fed[0]}'`;
  try {
    const types = inferShapes(model);
    const nodes = topologicallySorted(model.graph);
    const floats = nodes.flatMap(({ outputs }) => outputs.filter((name) => types.get(name)?.dataType === 'float'));
    const open = {
      ...model,
      graph: { ...model.graph, outputs: floats.map((name) => ({ name, ...types.get(name)! })) },
    };
    await using session = await openSession(writeOnnx(open), {
      providers: ['cpu'],
      graphOptimization: 'disabled',
      flushDenormals: true,
    });
    const values = await session.run(feeds);
    for (const { name, opType, outputs } of nodes) {
      const bad = outputs.find((output) => values[output] !== undefined && !isFinite(values[output].data));
      if (bad !== undefined) return `'${bad}', made by node '${name}' (${opType})`;
    }
  } catch {
    // the failure that led here is what is told
  }
  return undefined;
}

/** Whether all numbers of a tensor are numbers. */
export function isFinite(data: TypedTensor['data']): boolean {
  return !(data instanceof Float32Array) || data.every(Number.isFinite);
}
