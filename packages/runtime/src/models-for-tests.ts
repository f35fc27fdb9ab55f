/**
 * ONNX files for tests, byte by byte after the public onnx.proto: hostile ones among them, which a careful writer would
 * refuse to write.
 */
type Field = readonly [number: number, value: number | bigint | string | Uint8Array];

function varint(value: bigint): number[] {
  const bytes: number[] = [];
  for (let rest = BigInt.asUintN(64, value); ; rest >>= 7n) {
    if (rest < 128n) return [...bytes, Number(rest)];
    bytes.push(Number(rest & 127n) | 128);
  }
}

/** One protobuf message: numbers as varints, text and bytes with their length. */
export function message(...fields: readonly Field[]): Uint8Array {
  return Buffer.concat(
    fields.flatMap(([number, value]) => {
      if (typeof value === 'number' || typeof value === 'bigint') {
        return [Buffer.from([...varint(BigInt(number << 3)), ...varint(BigInt(value))])];
      }
      const bytes = typeof value === 'string' ? Buffer.from(value) : value;
      return [Buffer.from([...varint(BigInt((number << 3) | 2)), ...varint(BigInt(bytes.length))]), bytes];
    }),
  );
}

export const float = 1;
export const int64 = 7;
export const string = 8;
export const bool = 9;
export const half = 10;

/** A dimension is a size or a symbol. */
export function value(name: string, type: number, shape: readonly (number | string)[]): Uint8Array {
  const dims = shape.map((size): Field => [1, typeof size === 'number' ? message([1, size]) : message([2, size])]);
  return message([1, name], [2, message([1, message([1, type], [2, message(...dims)])])]);
}

export const node = (
  op: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes: readonly Uint8Array[] = [],
  domain = '',
) =>
  message(
    ...inputs.map((name): Field => [1, name]),
    ...outputs.map((name): Field => [2, name]),
    [4, op],
    ...attributes.map((attribute): Field => [5, attribute]),
    ...(domain === '' ? [] : [[7, domain] as const]),
  );

export const graphAttribute = (name: string, graph: Uint8Array) => message([1, name], [6, graph], [20, 5]);
export const intAttribute = (name: string, number: number) => message([1, name], [3, number], [20, 2]);

export const tensor = (name: string, type: number, dims: readonly number[], raw: Uint8Array) =>
  message(...dims.map((size): Field => [1, size]), [2, type], [8, name], [9, raw]);

export interface GraphParts {
  readonly nodes: readonly Uint8Array[];
  readonly inputs: readonly Uint8Array[];
  readonly outputs: readonly Uint8Array[];
  readonly initializers?: readonly Uint8Array[];
}

export const graph = ({ nodes, inputs, outputs, initializers = [] }: GraphParts) =>
  message(
    ...nodes.map((of): Field => [1, of]),
    [2, 'graph'],
    ...initializers.map((of): Field => [5, of]),
    ...inputs.map((of): Field => [11, of]),
    ...outputs.map((of): Field => [12, of]),
  );

export const model = (parts: GraphParts, functions: readonly Uint8Array[] = [], opset = 18) =>
  message(
    [1, opset < 18 ? 4 : 9],
    [7, graph(parts)],
    [8, message([1, ''], [2, opset])],
    [8, message([1, 'local'], [2, 1])],
    ...functions.map((of): Field => [25, of]),
  );

/** y = x + x, for any number of rows of any type ONNX can add. */
export const doubling = (type = float, row: readonly (number | string)[] = [2]) =>
  model({
    nodes: [node('Add', ['x', 'x'], ['y'])],
    inputs: [value('x', type, ['n', ...row])],
    outputs: [value('y', type, ['n', ...row])],
  });

/** y = x, after as many turns of a loop as input `trips` says. */
export function looping(): Uint8Array {
  const body = graph({
    nodes: [node('Identity', ['go'], ['go_on']), node('Identity', ['carried'], ['carried_on'])],
    inputs: [value('turn', int64, []), value('go', bool, []), value('carried', float, [1])],
    outputs: [value('go_on', bool, []), value('carried_on', float, [1])],
  });
  return model({
    nodes: [node('Loop', ['trips', '', 'x'], ['y'], [graphAttribute('body', body)])],
    inputs: [value('trips', int64, []), value('x', float, [1])],
    outputs: [value('y', float, [1])],
  });
}

/** Functions that call one another, so deep that ONNX Runtime's recursion leaves the stack. */
export function functionChain(depth: number): Uint8Array {
  const functions = Array.from({ length: depth }, (_, index) => {
    const body =
      index === depth - 1 ? node('Identity', ['a'], ['b']) : node(`f${index + 1}`, ['a'], ['b'], [], 'local');
    return message(
      [1, `f${index}`],
      [4, 'a'],
      [5, 'b'],
      [7, body],
      [9, message([1, ''], [2, 18])],
      [9, message([1, 'local'], [2, 1])],
      [10, 'local'],
    );
  });
  const parts = {
    nodes: [node('f0', ['x'], ['y'], [], 'local')],
    inputs: [value('x', float, [1])],
    outputs: [value('y', float, [1])],
  };
  return model(parts, functions);
}

/** y = an initializer kept in another file. */
export function externalData(location: string, bytes: number): Uint8Array {
  const outside = message(
    [1, bytes],
    [2, 2],
    [8, 'w'],
    [13, message([1, 'location'], [2, location])],
    [13, message([1, 'length'], [2, String(bytes)])],
    [14, 1],
  );
  return model({
    nodes: [node('Identity', ['w'], ['y'])],
    inputs: [],
    outputs: [value('y', 2, [bytes])],
    initializers: [outside],
  });
}

/** As many float32 zeros as the input says. */
export const allocating = () =>
  model({
    nodes: [node('ConstantOfShape', ['sizes'], ['y'])],
    inputs: [value('sizes', int64, [1])],
    outputs: [value('y', float, ['n'])],
  });
