import { inferWhatIsKnown } from '@modelmill/onnx';
import type { DataType, InferredValues, Model, Tensor } from '@modelmill/onnx';

/** What is known of a graph's values whatever the sizes of its open axes are. */
export interface KnownValues {
  dataType(value: string): DataType | undefined;
  /** Undefined axes are open; undefined altogether where even the rank is unknown. */
  shape(value: string): readonly (number | undefined)[] | undefined;
  /** Whether both have one shape, open axes included. */
  isSameShape(a: string, b: string): boolean;
  /** Whether an axis of one has the size of an axis of another, open ones included. */
  isSameSize(a: string, axisOfA: number, b: string, axisOfB: number): boolean;
  /** The value itself, where it follows from constants and from sizes that are not open. */
  constant(value: string): Tensor | undefined;
}

/**
 * Sizes that every open axis is tried with, each axis with its own: what is the same at all of them does not depend on it,
 * also not beyond a limit such as the positions a language model has.
 */
const probes: readonly ((axis: number) => number)[] = [
  () => 1,
  (axis) => 2 + 3 * axis,
  (axis) => 61 + 13 * axis,
  (axis) => 65_537 + 1_001 * axis,
];

export function knownValues(model: Model): KnownValues {
  const opened = openAxes(model);
  const found = (opened.length === 0 ? probes.slice(0, 1) : probes).map((sizeOf) =>
    inferWhatIsKnown(model, sizesOf(model, opened, sizeOf)),
  );
  const typesOf = (value: string) => {
    const types = found.map(({ types: known }) => known.get(value));
    return types.every((type) => type !== undefined) ? types : undefined;
  };
  return {
    dataType: (value) => found.map(({ types }) => types.get(value)).find((type) => type !== undefined)?.dataType,
    shape(value) {
      const shapes = typesOf(value)?.map(({ shape }) => shape);
      const [first] = shapes ?? [];
      if (!shapes?.every(({ length }) => length === first!.length)) return undefined;
      return first!.map((size, axis) => (shapes.every((shape) => shape[axis] === size) ? size : undefined));
    },
    isSameShape(a, b) {
      const [ofA, ofB] = [typesOf(a), typesOf(b)];
      return ofA !== undefined && ofA.every(({ shape }, i) => shape.join() === ofB?.[i]?.shape.join());
    },
    isSameSize(a, axisOfA, b, axisOfB) {
      const [ofA, ofB] = [typesOf(a), typesOf(b)];
      return ofA !== undefined && ofA.every(({ shape }, i) => shape[axisOfA] === ofB?.[i]?.shape[axisOfB]);
    },
    constant: (value) => sameConstant(found, value),
  };
}

function sameConstant(found: readonly InferredValues[], value: string): Tensor | undefined {
  const tensors = found.map(({ constants }) => constants.get(value));
  const [first] = tensors;
  const isSame = (tensor: Tensor | undefined) =>
    tensor === first ||
    (tensor?.dims.join() === first?.dims.join() && Buffer.compare(tensor!.bytes, first!.bytes) === 0);
  return first && tensors.every(isSame) ? first : undefined;
}

/** Names of the open axes: those of one name have one size. */
function openAxes({ graph }: Model): string[] {
  const names = graph.inputs.flatMap((input) =>
    (input.shape ?? []).flatMap((size, axis) => (typeof size === 'number' ? [] : [axisName(input.name, size, axis)])),
  );
  return [...new Set(names)];
}

const axisName = (input: string, size: string | undefined, axis: number) => size ?? `${input}\u0000${axis}`;

const sizesOf = ({ graph }: Model, opened: readonly string[], sizeOf: (axis: number) => number) =>
  new Map(
    graph.inputs.flatMap(({ name, shape }) =>
      shape
        ? [
            [
              name,
              shape.map((size, axis) =>
                typeof size === 'number' ? size : sizeOf(opened.indexOf(axisName(name, size, axis))),
              ),
            ] as const,
          ]
        : [],
    ),
  );
