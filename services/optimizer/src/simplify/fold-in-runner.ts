import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { elementCount, emptyGraph, oipDatatype, writeOnnx } from '@modelmill/onnx';
import type { DataType, Model, Node, Tensor } from '@modelmill/onnx';
import { elementBytes, startRunner } from '@modelmill/runtime';
import { holdsGraph } from '../constant-of.js';
import { isStored } from './channel-layers.js';
import { mayBeFolded } from './fold-known.js';
import type { KnownValues } from './known-values.js';
import { inScope, isOperator } from './scope.js';
import type { Scope } from './scope.js';

/** Nodes that stay as they are: what they read is stored in few bytes on purpose. */
const unpacking = ['DequantizeLinear', 'QuantizeLinear', 'DynamicQuantizeLinear', 'ConstantOfShape', 'Constant'];

/**
 * Computes in a runner, once, what follows from constants alone. `mostBytes` bounds what the file may grow by: nodes whose
 * results would take more than what they are made from stay. The number of nodes folded.
 */
export async function foldInRunner(
  model: Model,
  known: KnownValues,
  { mostBytes, signal }: { readonly mostBytes: number; readonly signal: AbortSignal },
): Promise<number> {
  let folded: Node[] = [];
  let wanted: string[] = [];
  inScope(model, known, (scope) => {
    folded = foldableNodes(scope, mostBytes);
    const inner = new Set(folded);
    wanted = folded
      .flatMap(({ outputs }) => outputs)
      .filter((name) => name !== '' && scope.readers(name).some((reader) => !inner.has(reader)));
    return 0;
  });
  if (wanted.length === 0) return 0;
  const values = await valuesIn(constantModel(model, folded, wanted, known), wanted, signal);
  inScope(model, known, (scope) => {
    const trained = trainedOf(scope, folded);
    const inner = new Set(folded);
    for (const [name, value] of values) {
      const constant = scope.addConstant(value, trained.has(name));
      for (const reader of scope.readers(name)) {
        if (inner.has(reader)) continue;
        scope.change(reader, (one) => (one.inputs = one.inputs.map((input) => (input === name ? constant : input))));
      }
    }
    return values.size;
  });
  return folded.length;
}

function foldableNodes(scope: Scope, mostBytes: number): Node[] {
  const { known } = scope;
  const made = new Map<string, number>();
  const folded: Node[] = [];
  let grown = 0;
  for (const node of scope.nodes()) {
    const isConstant = node.inputs.every((name) => name === '' || made.has(name) || isStored(scope, name));
    if (node.domain !== '' || node.inputs.length === 0 || !isConstant || !mayBeFolded(scope, node)) continue;
    if (holdsGraph(node) || unpacking.includes(node.opType) || node.outputs.some(scope.isHeld)) continue;
    const sizes = node.outputs.map((name) => (name === '' ? 0 : bytesOf(known, name)));
    if (!sizes.every((size) => size !== undefined)) continue;
    const freed = [...new Set(node.inputs)].map((name) =>
      scope.readers(name).length > 1 ? 0 : (made.get(name) ?? scope.constant(name)?.bytes.byteLength ?? 0),
    );
    const growth = sum(sizes) - sum(freed);
    if (grown + growth > mostBytes) continue;
    grown += growth;
    folded.push(node);
    node.outputs.forEach((name, i) => made.set(name, sizes[i]!));
  }
  return folded;
}

/** Undefined where type or size are unknown, or the type is none that a runner answers with. */
function bytesOf(known: KnownValues, name: string): number | undefined {
  const shape = known.shape(name);
  const bytes = elementBytes(oipDatatype(known.dataType(name) ?? 'complex128') ?? '');
  if (!shape?.every((size) => size !== undefined) || !bytes) return undefined;
  return elementCount(shape) * bytes;
}

/** What is made of trained weights is trained in their place. */
function trainedOf(scope: Scope, folded: readonly Node[]): ReadonlySet<string> {
  const trained = new Set<string>();
  for (const { inputs, outputs } of folded) {
    if (inputs.some((name) => trained.has(name) || scope.isTrained(name)))
      for (const name of outputs) trained.add(name);
  }
  return trained;
}

/** The nodes that are folded, as a model without inputs. */
function constantModel(model: Model, folded: readonly Node[], wanted: readonly string[], known: KnownValues): Model {
  const needed = new Set(folded.flatMap(({ inputs }) => inputs));
  const constants = model.graph.nodes.filter((node) => isOperator(node, 'Constant') && needed.has(node.outputs[0]!));
  return {
    ...model,
    functions: [],
    graph: {
      ...emptyGraph('constants'),
      nodes: [...constants, ...folded],
      initializers: new Map([...model.graph.initializers].filter(([name]) => needed.has(name))),
      outputs: wanted.map((name) => ({ name, dataType: known.dataType(name)!, shape: undefined })),
    },
  };
}

async function valuesIn(model: Model, wanted: readonly string[], signal: AbortSignal): Promise<Map<string, Tensor>> {
  const types = new Map(model.graph.outputs.map(({ name, dataType }) => [name, dataType as DataType]));
  const folder = await mkdtemp(join(tmpdir(), 'mill-constants-'));
  try {
    const path = join(folder, 'constants.onnx');
    await writeFile(path, writeOnnx(model));
    await using runner = await startRunner({ providers: ['cpu'], requestTimeoutMs: 120_000 });
    await runner.load('constants', path);
    const { outputs } = await runner.run('constants', new Map(), [...wanted], signal);
    return new Map(
      [...outputs].map(([name, { shape, data }]) => [
        name,
        { name, dataType: types.get(name)!, dims: shape, bytes: Uint8Array.from(data) },
      ]),
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const sum = (sizes: readonly number[]) => sizes.reduce((all, size) => all + size, 0);
