import { inference } from '@modelmill/contracts';
import { checkRequest } from './infer-request.js';
import type { Fitting } from './infer-request.js';

const tensor = (name: string, datatype: string, shape: number[]) => [name, { name, datatype, shape }] as const;

const fitting: Fitting = {
  model: 'm',
  batched: true,
  inputs: new Map([tensor('x', 'FP32', [-1, 2]), tensor('ids', 'INT64', [-1])]),
  outputs: new Map([tensor('y', 'FP32', [-1]), tensor('z', 'FP32', [-1])]),
};
const texts: Fitting = { ...fitting, inputs: new Map([tensor('t', 'BYTES', [-1])]) };
const bytes: Fitting = { ...fitting, inputs: new Map([tensor('b', 'UINT8', [-1])]) };
const halves: Fitting = { ...fitting, inputs: new Map([tensor('h', 'FP16', [-1])]) };

const floats = (...values: number[]) => Buffer.from(Float32Array.from(values).buffer);
const longs = (...values: bigint[]) => Buffer.from(BigInt64Array.from(values).buffer);

const parse = (json: unknown) => inference.ModelInferRequest.fromJSON(json);
const input = (name: string, datatype: string, shape: (number | string)[], rest: object = {}) => ({
  name,
  datatype,
  shape: shape.map(String),
  ...rest,
});
const x = (shape: (number | string)[] = [1, 2], rest: object = {}) => input('x', 'FP32', shape, rest);
const ids = (rest: object = {}) => input('ids', 'INT64', [1], rest);
const raw = (...pieces: Buffer[]) => pieces.map((piece) => piece.toString('base64'));
const good = { inputs: [x(), ids()], rawInputContents: raw(floats(1, 2), longs(3n)) };

describe('a request', () => {
  it('is taken with raw contents, not copied', () => {
    const request = parse(good);
    const { inputs, rows, outputs } = checkRequest(fitting, request);
    expect(rows).toBe(1);
    expect(outputs).toBeUndefined();
    expect(inputs.get('x')!.data).toBe(request.rawInputContents[0]);
    expect(inputs.get('ids')).toMatchObject({ shape: [1], datatype: 'INT64' });
  });

  it('is taken with typed contents, which become the same bytes', () => {
    const typed = parse({
      inputs: [
        x([1, 2], { contents: { fp32Contents: [1, 2] } }),
        ids({ contents: { int64Contents: ['-9007199254740993'] } }),
      ],
    });
    const { inputs } = checkRequest(fitting, typed);
    expect(Buffer.from(inputs.get('x')!.data)).toEqual(floats(1, 2));
    expect(Buffer.from(inputs.get('ids')!.data)).toEqual(longs(-9007199254740993n));
  });

  it('may have no rows', () => {
    const empty = { inputs: [x([0, 2]), input('ids', 'INT64', [0])] };
    expect(checkRequest(fitting, parse(empty)).rows).toBe(0);
    expect(checkRequest(fitting, parse({ ...empty, rawInputContents: ['', ''] })).rows).toBe(0);
  });

  it('names its outputs in the order it wants them', () => {
    const request = parse({ ...good, outputs: [{ name: 'z' }, { name: 'y' }] });
    expect(checkRequest(fitting, request).outputs).toEqual(['z', 'y']);
  });

  it.each([
    ['int64Param', '1500'],
    ['uint64Param', '1500'],
  ])('carries its timeout in microseconds as %s', (field, value) => {
    const request = parse({ ...good, parameters: { timeout: { [field]: value } } });
    expect(checkRequest(fitting, request).queueTimeoutMs).toBe(1.5);
  });

  it.each<[string, Fitting, object, string]>([
    [
      'of an unknown input',
      fitting,
      { inputs: [input('q', 'FP32', [1])] },
      "unexpected inference input 'q' for model 'm'",
    ],
    [
      'without an input',
      fitting,
      { inputs: [x()], rawInputContents: raw(floats(1, 2)) },
      "expected 2 inputs but got 1 inputs for model 'm'. Got input(s) ['x'], but missing required input(s) ['ids']. " +
        'Please provide all required input(s).',
    ],
    [
      'with an input twice',
      fitting,
      { inputs: [x(), x()], rawInputContents: raw(floats(1, 2), floats(1, 2)) },
      "input 'x' already exists in request",
    ],
    [
      'of the wrong datatype',
      fitting,
      { inputs: [input('x', 'FP64', [1, 2])] },
      "inference input 'x' data-type is 'FP64', but model 'm' expects 'FP32'",
    ],
    ...[[1, 3], [2], [1, 2, 1], [1, -2], ['9223372036854775807', 2]].map((shape): [string, Fitting, object, string] => [
      `of shape [${shape}]`,
      fitting,
      { inputs: [x(shape)], rawInputContents: raw(floats(1)) },
      "unexpected shape for input 'x' for model 'm'. Expected [-1,2], got [",
    ]),
    [
      'whose shape would hold more than any message',
      fitting,
      { inputs: [x([2 ** 40, 2])], rawInputContents: raw(floats(1)) },
      "byte size overflow for input 'x'",
    ],
    [
      'with too few bytes',
      fitting,
      { inputs: [x()], rawInputContents: raw(floats(1)) },
      "input byte size mismatch for input 'x' for model 'm'. Expected 8, got 4",
    ],
    [
      'with fewer raw entries than inputs',
      fitting,
      { inputs: [x(), ids()], rawInputContents: raw(floats(1, 2)) },
      "unable to find data for input tensor 'ids' for model 'm' in request.",
    ],
    [
      'with more raw entries than inputs',
      fitting,
      { ...good, rawInputContents: raw(floats(1, 2), longs(3n), longs(4n)) },
      "expected 2 entries of raw_input_contents for model 'm', got 3",
    ],
    [
      'without any data',
      fitting,
      { inputs: [x()] },
      "unable to find data for input tensor 'x' for model 'm' in request.",
    ],
    [
      'with raw and typed contents',
      fitting,
      { inputs: [x([1, 2], { contents: { fp32Contents: [1, 2] } })], rawInputContents: raw(floats(1, 2)) },
      "contents field must not be specified when using raw_input_contents for 'x' for model 'm'",
    ],
    [
      'with contents of another type',
      fitting,
      { inputs: [x([1, 2], { contents: { intContents: [1, 2] } })] },
      "unexpected explicit tensor data for input tensor 'x' for model 'm' of type 'INT32', expected datatype 'FP32'",
    ],
    [
      'with too few typed elements',
      fitting,
      { inputs: [x([1, 2], { contents: { fp32Contents: [1] } })] },
      "input byte size mismatch for input 'x' for model 'm'. Expected 8, got 4",
    ],
    [
      'with different numbers of rows',
      fitting,
      { inputs: [x([2, 2]), ids()], rawInputContents: raw(floats(1, 2, 3, 4), longs(1n)) },
      "input 'ids' batch size does not match other inputs for 'm'",
    ],
    [
      'with an unknown output',
      fitting,
      { ...good, outputs: [{ name: 'q' }] },
      "unexpected inference output 'q' for model 'm'",
    ],
    [
      'with an output twice',
      fitting,
      { ...good, outputs: [{ name: 'y' }, { name: 'y' }] },
      "output 'y' already exists in request",
    ],
    [
      'with a reserved parameter',
      fitting,
      { ...good, parameters: { triton_x: { boolParam: true } } },
      "parameter keys starting with 'triton_' are reserved",
    ],
    [
      'with an output in shared memory',
      fitting,
      { ...good, outputs: [{ name: 'y', parameters: { shared_memory_region: { stringParam: 'r' } } }] },
      'Client shared memory is disabled',
    ],
    [
      'with a string cut short',
      texts,
      { inputs: [input('t', 'BYTES', [1])], rawInputContents: raw(Buffer.of(9, 0, 0, 0, 65)) },
      'incomplete string length indicator',
    ],
    [
      'with half a length of a string',
      texts,
      { inputs: [input('t', 'BYTES', [1])], rawInputContents: raw(Buffer.of(9, 0)) },
      'incomplete string length indicator',
    ],
    [
      'with another number of strings',
      texts,
      { inputs: [input('t', 'BYTES', [2])], rawInputContents: raw(Buffer.of(1, 0, 0, 0, 65)) },
      "expected 2 string elements for inference input 't' for model 'm', got 1",
    ],
    [
      'with a number its datatype cannot hold',
      bytes,
      { inputs: [input('b', 'UINT8', [1], { contents: { uintContents: [256] } })] },
      "value 256 of input 'b' for model 'm' is outside of UINT8",
    ],
    [
      'with typed half floats, which have no field',
      halves,
      { inputs: [input('h', 'FP16', [1], { contents: { fp32Contents: [1] } })] },
      "expected datatype 'FP16'",
    ],
  ])('%s is refused', (_, to, json, message) => {
    expect(() => checkRequest(to, parse(json))).toThrow(message);
  });
});
