import { inference } from '@modelmill/contracts';
import { readPredictRequest, writePredictAnswer } from './predict.js';

const tensor = (name: string, datatype = 'FP32') => ({ name, datatype, shape: [-1n, 2n] });
const one = inference.ModelMetadataResponse.fromPartial({ name: 'm', inputs: [tensor('x')] });
const two = inference.ModelMetadataResponse.fromPartial({ name: 'm', inputs: [tensor('x'), tensor('n', 'INT64')] });

const read = (metadata: inference.ModelMetadataResponse, body: string) => {
  const { message, form } = readPredictRequest(metadata, '', body, Buffer.from(body));
  return { form, shapes: message.inputs.map(({ shape }) => shape.map(Number)), raw: message.rawInputContents };
};
const floats = (...values: number[]) => Buffer.from(Float32Array.from(values).buffer);

describe('a predict request', () => {
  it.each([
    ['rows', '{"instances":[[1,2],[3,4]]}', 'rows'],
    ['rows by name', '{"instances":[{"x":[1,2]},{"x":[3,4]}]}', 'rows'],
    ['a column', '{"inputs":[[1,2],[3,4]]}', 'columns'],
    ['a column by name', '{"signature_name":"serving_default","inputs":{"x":[[1,2],[3,4]]}}', 'columns'],
  ])('reads %s', (_, body, form) =>
    expect(read(one, body)).toEqual({ form, shapes: [[2, 2]], raw: [floats(1, 2, 3, 4)] }),
  );

  it('reads rows of several inputs, each by the datatype of its own', () => {
    const { shapes, raw } = read(two, '{"instances":[{"x":[1,2],"n":[9007199254740993,0]},{"n":[-1,7],"x":[3,4]}]}');
    expect(shapes).toEqual([
      [2, 2],
      [2, 2],
    ]);
    expect(raw[0]).toEqual(floats(1, 2, 3, 4));
    expect(raw[1]!.readBigInt64LE(0)).toBe(9007199254740993n);
    expect(raw[1]!.readBigInt64LE(16)).toBe(-1n);
  });

  it.each([
    ['FP32', Float32Array],
    ['FP64', Float64Array],
    ['INT16', Int16Array],
    ['UINT64', BigUint64Array],
    ['INT64', BigInt64Array],
  ] as const)('reads numbers of %s alike in every form, from bytes or not', (datatype, array) => {
    const metadata = inference.ModelMetadataResponse.fromPartial({ name: 'm', inputs: [tensor('x', datatype)] });
    const [rows, columns] = [50, 100]; // a row is longer than what is at hand for short lists
    const numbers = Array.from({ length: rows }, (_, row) =>
      Array.from({ length: columns }, (_, i) => (datatype.startsWith('FP') ? Math.sin(row * columns + i) : row + i)),
    );
    const flat = numbers.flat();
    const values = datatype.endsWith('64') && !datatype.startsWith('FP') ? flat.map(BigInt) : flat;
    const want = Buffer.from((array as { from(of: readonly unknown[]): ArrayBufferView }).from(values).buffer);
    const forms = {
      instances: numbers,
      inputs: numbers,
      'instances by name': numbers.map((x) => ({ x })),
      'inputs by name': { x: numbers },
    };
    for (const [form, value] of Object.entries(forms)) {
      const key = form.split(' ')[0]!;
      for (const more of ['', ',"parameters":"ü"']) {
        const body = `{"${key}": ${JSON.stringify(value)}${more}}`;
        for (const bytes of [Buffer.from(body), undefined]) {
          const { message } = readPredictRequest(metadata, '', body, bytes);
          expect(message.inputs[0]!.shape).toEqual([50n, 100n]);
          expect(Buffer.compare(message.rawInputContents[0]!, want)).toBe(0);
        }
      }
    }
  });

  it('reads rows by name where some are plain and others are not', () => {
    const body = '{"instances":[{"x":[1,2]},{"x":["NaN", -0]},{"x":[ 3,4e0 ]}]}';
    expect(read(one, body)).toEqual({ form: 'rows', shapes: [[3, 2]], raw: [floats(1, 2, NaN, -0, 3, 4)] });
  });

  it.each([
    ['both forms', one, '{"instances":[],"inputs":[]}', /got both/],
    ['neither form', one, '{}', /got neither/],
    ['rows of different lengths', one, '{"instances":[[1,2],[3]]}', /input 'x': its rows differ in length/],
    ['rows of different lengths, by name', one, '{"instances":[{"x":[1,2]},{"x":[3]}]}', /rows differ in length/],
    [
      'an integer beyond the datatype, in a row by name',
      two,
      '{"instances":[{"x":[1,2],"n":[9223372036854775808,1]}]}',
      /input 'n': got 9223372036854775808, wanted an integer from -9223372036854775808/,
    ],
    ['a number behind the list', one, '{"instances":[[1,2]]5}', /invalid JSON at character/],
    ['a text for a number', one, '{"instances":[["one",2]]}', /input 'x': got "one"/],
    ['an unknown input', one, '{"inputs":{"x":[[1,2]],"z":[1]}}', /no field 'z'/],
    ['a missing input', two, '{"instances":[{"x":[1,2]}]}', /has no 'n'/],
    ['unnamed values for several inputs', two, '{"instances":[[1,2]]}', /has inputs 'x', 'n'/],
    ['an unknown signature', one, '{"signature_name":"other","instances":[[1,2]]}', /signature 'other'/],
    ['rows that are no list', one, '{"instances":7}', /'instances'/],
    ['an unknown field', one, '{"instance":[]}', /no field 'instance'/],
  ])('is refused for %s', (_, metadata, body, message) => expect(() => read(metadata, body)).toThrow(message));
});

describe('a predict answer', () => {
  const answer = (outputs: { name: string; shape: bigint[] }[], ...raw: Buffer[]) =>
    inference.ModelInferResponse.fromPartial({
      outputs: outputs.map((output) => ({ datatype: 'FP32', ...output })),
      rawOutputContents: raw,
    });
  const single = answer([{ name: 'y', shape: [2n, 2n] }], floats(1, 2, 3, 0.1));
  const several = answer(
    [
      { name: 'y', shape: [2n, 2n] },
      { name: 'z', shape: [2n] },
    ],
    floats(1, 2, 3, 4),
    floats(5, Infinity),
  );

  it('is nested as the output is, and leaves out the name of a single one', () => {
    expect(writePredictAnswer(single, 'rows')).toBe('{"predictions":[[1,2],[3,0.1]]}');
    expect(writePredictAnswer(single, 'columns')).toBe('{"outputs":[[1,2],[3,0.1]]}');
  });

  it('names several outputs', () => {
    expect(JSON.parse(writePredictAnswer(several, 'rows'))).toEqual({
      predictions: [
        { y: [1, 2], z: 5 },
        { y: [3, 4], z: 'Infinity' },
      ],
    });
    expect(JSON.parse(writePredictAnswer(several, 'columns'))).toEqual({
      outputs: {
        y: [
          [1, 2],
          [3, 4],
        ],
        z: [5, 'Infinity'],
      },
    });
  });

  it.each([
    ['FP32', 4, [2n, 3n, 4n]],
    ['FP32', 4, [24n]],
    ['FP64', 8, [1n, 24n, 1n]],
    ['UINT8', 1, [2n, 1n, 3n, 4n]],
    ['INT64', 8, [24n, 1n]],
  ])('nests %s of %d bytes as %j says', (datatype, size, shape) => {
    const bytes = Buffer.alloc(24 * size);
    const numbers = Array.from({ length: 24 }, (_, i) => (datatype.startsWith('FP') ? (i - 5) / 8 : i * 9));
    for (const [i, value] of numbers.entries()) {
      if (datatype === 'FP32') bytes.writeFloatLE(value, 4 * i);
      if (datatype === 'FP64') bytes.writeDoubleLE(value, 8 * i);
      if (datatype === 'UINT8') bytes.writeUInt8(value, i);
      if (datatype === 'INT64') bytes.writeBigInt64LE(BigInt(value), 8 * i);
    }
    const nested = shape
      .slice(1)
      .reverse()
      .reduce<unknown[]>((rows, length) => {
        const each = Number(length);
        return Array.from({ length: rows.length / each }, (_, i) => rows.slice(i * each, (i + 1) * each));
      }, numbers);
    const told = inference.ModelInferResponse.fromPartial({
      outputs: [{ name: 'y', datatype, shape }],
      rawOutputContents: [bytes],
    });
    expect(writePredictAnswer(told, 'columns')).toBe(`{"outputs":${JSON.stringify(nested)}}`);
  });

  it('nests what has no numbers, or one, or some that JSON has none for', () => {
    const text = (shape: bigint[], ...values: number[]) =>
      writePredictAnswer(answer([{ name: 'y', shape }], floats(...values)), 'columns');
    expect(text([2n, 0n])).toBe('{"outputs":[[],[]]}');
    expect(text([0n, 2n])).toBe('{"outputs":[]}');
    expect(text([], 7)).toBe('{"outputs":7}');
    expect(text([1n, 1n, 1n], 7)).toBe('{"outputs":[[[7]]]}');
    expect(text([2n, 2n], NaN, -0, Infinity, 1e-10)).toBe('{"outputs":[["NaN",-0],["Infinity",1e-10]]}');
  });

  it('has rows only where every output has', () =>
    expect(() => writePredictAnswer(answer([{ name: 'y', shape: [] }], floats(1)), 'rows')).toThrow(/output 'y'/));
});
