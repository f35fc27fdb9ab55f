/** ONNX files for tests, field by field after the public onnx.proto: what a careful writer would refuse, too. */
type Field = readonly [number: number, value: number | bigint | string | Uint8Array];

export function varint(value: bigint): number[] {
  const bytes: number[] = [];
  for (let rest = BigInt.asUintN(64, value); ; rest >>= 7n) {
    if (rest < 128n) return [...bytes, Number(rest)];
    bytes.push(Number(rest & 127n) | 128);
  }
}

/** One protobuf message: numbers as varints, text and bytes behind their length. */
export const message = (...fields: readonly Field[]): Uint8Array => encode(fields);

function encode(fields: readonly Field[]): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const [number, value] of fields) {
    if (typeof value === 'number' || typeof value === 'bigint') {
      parts.push(Uint8Array.from([...varint(BigInt(number * 8)), ...varint(BigInt(value))]));
      continue;
    }
    const bytes = typeof value === 'string' ? Buffer.from(value) : value;
    parts.push(Uint8Array.from([...varint(BigInt(number * 8 + 2)), ...varint(BigInt(bytes.length))]), bytes);
  }
  return new Uint8Array(Buffer.concat(parts));
}

export const packed = (...values: readonly (number | bigint)[]) =>
  Uint8Array.from(values.flatMap((value) => varint(BigInt(value))));

/** A ValueInfoProto; a dimension is a size or a symbol. */
export function value(name: string, shape: readonly (number | string)[], type = 1): Uint8Array {
  const dims = shape.map((size): Field => [1, typeof size === 'string' ? message([2, size]) : message([1, size])]);
  return message([1, name], [2, message([1, message([1, type], [2, message(...dims)])])]);
}

export const tensor = (name: string, dims: readonly (number | bigint)[], ...data: readonly Field[]) =>
  message(...dims.map((size): Field => [1, size]), [8, name], ...data);

export const floats = (...values: readonly number[]) => new Uint8Array(Float32Array.from(values).buffer);

/** A float32 TensorProto with raw data. */
export const floatRaw = (name: string, dims: readonly (number | bigint)[], ...values: readonly number[]) =>
  tensor(name, dims, [2, 1], [9, floats(...values)]);

export const graphAttribute = (name: string, graph: Uint8Array) => message([1, name], [6, graph], [20, 5]);
export const tensorAttribute = (name: string, content: Uint8Array) => message([1, name], [5, content], [20, 4]);

export interface NodeParts {
  readonly name?: string;
  readonly domain?: string;
  readonly attributes?: readonly Uint8Array[];
}

export const node = (
  opType: string,
  inputs: readonly string[],
  outputs: readonly string[],
  { name = '', domain = '', attributes = [] }: NodeParts = {},
) =>
  message(
    ...inputs.map((input): Field => [1, input]),
    ...outputs.map((output): Field => [2, output]),
    [3, name],
    [4, opType],
    ...attributes.map((attribute): Field => [5, attribute]),
    [7, domain],
  );

export interface GraphParts {
  readonly nodes?: readonly Uint8Array[];
  readonly initializers?: readonly Uint8Array[];
  readonly sparse?: readonly Uint8Array[];
  readonly inputs?: readonly Uint8Array[];
  readonly outputs?: readonly Uint8Array[];
}

/** A GraphProto; without parts it is y = Relu(x) of [n, 2]. */
export function graph({
  nodes = [node('Relu', ['x'], ['y'], { name: 'relu' })],
  initializers = [],
  sparse = [],
  inputs = [value('x', ['n', 2])],
  outputs = [value('y', ['n', 2])],
}: GraphParts = {}): Uint8Array {
  const all = (number: number, parts: readonly Uint8Array[]) => parts.map((part): Field => [number, part]);
  return encode([
    ...all(1, nodes),
    [2, 'graph'],
    ...all(5, initializers),
    ...all(11, inputs),
    ...all(12, outputs),
    ...all(15, sparse),
  ]);
}

export interface ModelParts extends GraphParts {
  readonly opsets?: readonly (readonly [domain: string, version: number | bigint])[];
  readonly functions?: readonly Uint8Array[];
  readonly more?: readonly Field[];
}

/** A ModelProto around such a graph. */
export const model = ({ opsets = [['', 18]], functions = [], more = [], ...parts }: ModelParts = {}): Uint8Array =>
  message(
    [1, 9],
    [7, graph(parts)],
    ...opsets.map(([domain, version]): Field => [8, message([1, domain], [2, version])]),
    ...functions.map((def): Field => [25, def]),
    ...more,
  );

/** A FunctionProto of one input and one output. */
export const functionDef = (name: string, nodes: readonly Uint8Array[], domain = 'local') =>
  message([1, name], [4, 'x'], [5, 'y'], ...nodes.map((inner): Field => [7, inner]), [10, domain]);
