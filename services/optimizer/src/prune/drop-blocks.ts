import { elementCount, makeNode, removeUnused, replaceInput, topologicallySorted, uniqueName } from '@modelmill/onnx';
import type { Attribute, Graph, Model, Node, StaticType, Tensor } from '@modelmill/onnx';
import { JobFailedError } from '@modelmill/store';
import { typesOfOneExample } from '../analyze.js';
import { constantsAsInitializers } from './constants-as-initializers.js';
import { fixShapes } from './fixed-shapes.js';

export interface Thinner {
  readonly model: Model;
  readonly kept: number;
  /** Those that repeat. */
  readonly blocks: number;
}

/** A part of the graph that all of it goes through: one value in, one out. */
interface Stretch {
  readonly from: string;
  readonly to: string;
  readonly nodes: readonly Node[];
}

/** Blocks of the same nodes and sizes, one behind the other: each some stretches long. */
interface Run {
  readonly start: number;
  readonly length: number;
  readonly count: number;
}

/**
 * Keeps the first of every `every` blocks that repeat, such as a transformer's or the residual blocks of one width, in a
 * copy: what comes before a dropped block goes on behind it (DistilBERT begins so, Sanh et al. 2019). Throws JobFailedError where
 * no block repeats.
 */
export function dropBlocks(parent: Model, every: number): Thinner {
  const model = constantsAsInitializers(parent);
  fixShapes(model);
  const { graph } = model;
  const types = typesOfOneExample(model);
  const stretches = stretchesOf(graph);
  const runs = runsOf(
    stretches.map((stretch) => described(stretch, graph)),
    (start, length) => {
      const [from, to] = [stretches[start]!.from, stretches[start + length - 1]!.to].map((name) => types.get(name));
      const inside = stretches.slice(start, start + length).flatMap(({ nodes }) => nodes);
      return isSame(from, to) && inside.some(({ inputs }) => inputs.some((name) => isWeight(graph, name)));
    },
  );
  let [blocks, kept] = [0, 0];
  /** What stands for the output of a dropped block. */
  const before = new Map<string, string>();
  for (const { start, length, count } of runs) {
    blocks += count;
    for (let block = 0; block < count; block++) {
      if (block % every === 0) {
        kept++;
        continue;
      }
      const { from } = stretches[start + block * length]!;
      const last = stretches[start + (block + 1) * length - 1]!;
      before.set(last.to, before.get(from) ?? from);
      bypass(graph, last, before.get(from) ?? from);
    }
  }
  if (kept === blocks) {
    const repeated = 'of one value in and one out, with the same operators and sizes';
    throw new JobFailedError(`there are no blocks to drop: none ${repeated} is followed by another like it`);
  }
  removeUnused(graph);
  graph.valueInfo = [];
  return { model, kept, blocks };
}

/** Lets what reads behind a block read what comes before it. */
function bypass(graph: Graph, { nodes, to }: Stretch, before: string): void {
  replaceInput(graph, to, before);
  if (!graph.outputs.some(({ name }) => name === to)) return;
  // the graph's output keeps its name
  const maker = nodes.find(({ outputs }) => outputs.includes(to))!;
  maker.outputs = maker.outputs.map((name) => (name === to ? uniqueName(graph, `${to}.dropped`) : name));
  graph.nodes.push(makeNode('Identity', [before], [to]));
}

/** Between two values that are all there is of the input at their places. Constants count for nothing. */
function stretchesOf(graph: Graph): Stretch[] {
  const order = topologicallySorted(graph);
  const uses = new Map<string, number>();
  const isComputed = new Set(graph.inputs.map(({ name }) => name));
  const computed = order.filter(({ inputs, outputs }) => {
    const found = inputs.some((name) => isComputed.has(name));
    if (found) for (const output of outputs) isComputed.add(output);
    return found;
  });
  const read = [...computed.flatMap(({ inputs }) => inputs), ...graph.outputs.map(({ name }) => name)];
  for (const name of read) if (isComputed.has(name)) uses.set(name, (uses.get(name) ?? 0) + 1);
  const live = new Set(graph.inputs.flatMap(({ name }) => (uses.has(name) ? [name] : [])));
  const stretches: Stretch[] = [];
  let from = live.size === 1 ? [...live][0] : undefined;
  let nodes: Node[] = [];
  for (const node of computed) {
    nodes.push(node);
    for (const output of node.outputs) if (uses.has(output)) live.add(output);
    for (const name of node.inputs) {
      const left = uses.get(name);
      if (left === undefined) continue;
      uses.set(name, left - 1);
      if (left === 1) live.delete(name);
    }
    if (live.size !== 1) continue;
    const [to] = live as Iterable<string>;
    if (from !== undefined) stretches.push({ from, to: to!, nodes });
    from = to;
    nodes = [];
  }
  return stretches;
}

/** The longest rows of the same stretches, none of which overlap, in order. */
function runsOf(kinds: readonly string[], mayRepeat: (start: number, length: number) => boolean): Run[] {
  const found: Run[] = [];
  const search = (low: number, high: number): void => {
    let best: Run | undefined;
    for (let length = 1; 2 * length <= high - low; length++) {
      for (let start = low; start + 2 * length <= high; start++) {
        let end = start + length;
        while (end < high && kinds[end] === kinds[end - length]) end++;
        const count = Math.floor((end - start) / length);
        if (count < 2 || (best && count * length <= best.count * best.length)) continue;
        if (mayRepeat(start, length)) best = { start, length, count };
      }
    }
    if (!best) return;
    search(low, best.start);
    found.push(best);
    search(best.start + best.count * best.length, high);
  };
  search(0, kinds.length);
  return found;
}

/** Equal for stretches of the same nodes and sizes, whatever their weights are. */
function described({ from, nodes }: Stretch, graph: Graph): string {
  const places = new Map([[from, 'in']]);
  return nodes
    .map(({ opType, domain, attributes, inputs, outputs }, i) => {
      outputs.forEach((name, k) => places.set(name, `${i}.${k}`));
      const operands = inputs.map((name) => places.get(name) ?? constantInWords(name, graph));
      return [domain, opType, operands, [...attributes].map(([name, value]) => [name, attributeInWords(value)])];
    })
    .map((words) => JSON.stringify(words))
    .join();
}

/** Floats of an axis and more may differ; shapes, axes and factors may not. */
function constantInWords(name: string, { initializers }: Graph): unknown {
  const tensor = initializers.get(name);
  return tensor ? tensorInWords(tensor) : name;
}

function tensorInWords(tensor: Tensor): unknown {
  const { dataType, dims, bytes } = tensor;
  return isFloats(tensor) ? [dataType, dims] : [dataType, dims, Buffer.from(bytes).toString('base64')];
}

const attributeInWords = (attribute: Attribute): unknown =>
  attribute.kind === 'tensor' ? tensorInWords(attribute.value) : attribute;

const isFloats = ({ dataType, dims }: Tensor) => ['float', 'float16', 'double'].includes(dataType) && dims.length > 0;

function isWeight({ initializers }: Graph, name: string): boolean {
  const tensor = initializers.get(name);
  return tensor !== undefined && isFloats(tensor) && elementCount(tensor.dims) > 1;
}

function isSame(a: StaticType | undefined, b: StaticType | undefined): boolean {
  if (!a || !b || a.dataType !== b.dataType || a.shape.length !== b.shape.length) return false;
  return a.shape.every((size, axis) => size === b.shape[axis]);
}
