import { inference } from '@modelmill/contracts';
import { readPredictRequest, writePredictAnswer } from './predict.js';

const tensor = (name: string, datatype = 'FP32') => ({ name, datatype, shape: [-1n, 2n] });
const one = inference.ModelMetadataResponse.fromPartial({ name: 'm', inputs: [tensor('x')] });
const two = inference.ModelMetadataResponse.fromPartial({ name: 'm', inputs: [tensor('x'), tensor('n', 'INT64')] });

const read = (metadata: inference.ModelMetadataResponse, body: string) => {
  const { message, form } = readPredictRequest(metadata, '', body);
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
    ['both forms', one, '{"instances":[],"inputs":[]}', /got both/],
    ['neither form', one, '{}', /got neither/],
    ['rows of different lengths', one, '{"instances":[[1,2],[3]]}', /input 'x': its rows differ in length/],
    ['rows of different lengths, by name', one, '{"instances":[{"x":[1,2]},{"x":[3]}]}', /rows differ in length/],
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

  it('has rows only where every output has', () =>
    expect(() => writePredictAnswer(answer([{ name: 'y', shape: [] }], floats(1)), 'rows')).toThrow(/output 'y'/));
});
