import { gunzipSync } from 'node:zlib';
import { inference } from '@modelmill/contracts';
import { compressed } from './compress.js';
import { jsonLength, readInferRequest, writeInferAnswer } from './infer-json.js';

const input = { name: 'x', datatype: 'INT64', shape: [2], data: [1, 2] };
const body = (fields: object) => Buffer.from(JSON.stringify({ inputs: [input], ...fields }));
const read = (json: Buffer | string, binary?: Buffer) =>
  readInferRequest(
    'm',
    '',
    Buffer.concat([Buffer.from(json), binary ?? Buffer.alloc(0)]),
    binary && Buffer.byteLength(json),
  );

describe('an infer request in JSON', () => {
  it('keeps 64-bit integers exactly', () => {
    const { message } = read(`{"inputs":[{"name":"x","datatype":"INT64","shape":[2],
      "data":[9007199254740993, -9223372036854775808]}],"parameters":{"sequence_id":9007199254740993}}`);
    const [bytes] = message.rawInputContents;
    expect([bytes!.readBigInt64LE(0), bytes!.readBigInt64LE(8)]).toEqual([9007199254740993n, -(2n ** 63n)]);
    expect(message.parameters['sequence_id']?.parameterChoice).toEqual({
      $case: 'int64Param',
      int64Param: 9007199254740993n,
    });
  });

  it('takes nested and flat data alike', () => {
    const nested = read(body({ inputs: [{ ...input, shape: [1, 2], data: [[1, 2]] }] }));
    expect(nested.message.rawInputContents).toEqual(read(body({})).message.rawInputContents);
  });

  it('reads the same numbers beside names that are no ASCII', () => {
    const [plain, other] = ['x', 'grüße'].map((name) =>
      read(body({ inputs: [{ ...input, name, datatype: 'FP32', data: [0.1, -2e-7] }] })),
    );
    expect(other!.message.rawInputContents).toEqual(plain!.message.rawInputContents);
    expect(plain!.message.rawInputContents).toEqual([Buffer.from(Float32Array.of(0.1, -2e-7).buffer)]);
  });

  it('takes binary tensors behind the JSON in their order', () => {
    const tensor = (name: string, bytes: number) => ({
      name,
      datatype: 'UINT8',
      shape: [bytes],
      parameters: { binary_data_size: bytes, mine: 'x' },
    });
    const { message } = read(body({ inputs: [tensor('a', 3), tensor('b', 0), tensor('c', 2)] }), Buffer.from('abcde'));
    expect(message.rawInputContents.map(String)).toEqual(['abc', '', 'de']);
    expect(message.inputs[0]!.parameters).toEqual({
      mine: { parameterChoice: { $case: 'stringParam', stringParam: 'x' } },
    });
  });

  it.each([
    ['no JSON', '{', /invalid JSON/],
    ['a list', '[]', /not a JSON object/],
    ['no inputs', '{}', /has no 'inputs'/],
    ['an unknown field', body({ input: 1 }), /no field 'input'; wanted 'id'/],
    ['an id that is a number', body({ id: 7 }), /'id': got 7, wanted a string/],
    ['a negative size', body({ inputs: [{ ...input, shape: [-1] }] }), /attempt to access JSON non-unsigned-integer/],
    ['a size that is no integer', body({ inputs: [{ ...input, shape: [1.5] }] }), /'shape': got 1.5/],
    ['a shape that is no list', body({ inputs: [{ ...input, shape: 2 }] }), /'shape': got 2, wanted a list/],
    ['no data', body({ inputs: [{ ...input, data: undefined }] }), /But no field is set/],
    [
      'data twice',
      body({ inputs: [{ ...input, parameters: { binary_data_size: 1 } }] }),
      /But set 'data' and 'binary_data_size'/,
    ],
    ['a value of another type', body({ inputs: [{ ...input, data: [1, 'two'] }] }), /input 'x': got "two"/],
    ['a number beyond the type', body({ inputs: [{ ...input, datatype: 'INT8', data: [128, 1] }] }), /128/],
    [
      'half floats',
      body({ inputs: [{ ...input, datatype: 'FP16' }] }),
      /receiving FP16 data via JSON is not supported/,
    ],
    [
      'binary data without its header',
      body({ inputs: [{ ...input, data: undefined, parameters: { binary_data_size: 1 } }] }),
      /Inference-Header-Content-Length/,
    ],
  ])('is refused for %s', (_, json, message) => expect(() => read(json)).toThrow(message));

  it('is refused for bytes that are missing or left over', () => {
    const one = body({ inputs: [{ ...input, data: undefined, parameters: { binary_data_size: 4 } }] });
    expect(() => read(one, Buffer.alloc(3))).toThrow(/expecting 1 additional bytes for model 'm'/);
    expect(() => read(one, Buffer.alloc(5))).toThrow(/unexpected additional input data for model 'm'/);
  });

  it.each([
    ['-1', /Unable to parse Inference-Header-Content-Length, got: -1/],
    ['abc', /Unable to parse/],
    ['99999999999', /in range \(0, 10\), got: 99999999999/],
    ['11', /in range/],
  ])('is refused for the inference header %s', (header, message) =>
    expect(() => jsonLength(header, 10)).toThrow(message),
  );
});

describe('an infer answer', () => {
  const floats = Buffer.from(Float32Array.of(0.1, NaN).buffer);
  const answer = inference.ModelInferResponse.fromPartial({
    modelName: 'm',
    modelVersion: '3',
    outputs: [
      { name: 'y', datatype: 'FP32', shape: [1n, 2n] },
      { name: 'n', datatype: 'INT64', shape: [1n] },
    ],
    rawOutputContents: [floats, Buffer.from(BigInt64Array.of(9007199254740993n).buffer)],
  });

  it('is valid JSON with every digit of every value', () => {
    const { body: text } = writeInferAnswer(answer, { id: 'q', binary: () => false });
    expect(String(text)).toContain('"data":[9007199254740993]');
    expect(JSON.parse(String(text))).toMatchObject({
      id: 'q',
      model_name: 'm',
      model_version: '3',
      outputs: [{ name: 'y', shape: [1, 2], data: [0.1, 'NaN'] }, { name: 'n' }],
    });
  });

  it('has the binary tensors behind the JSON, which the header measures', () => {
    const { body: pieces, headers, type } = writeInferAnswer(answer, { id: undefined, binary: (name) => name === 'y' });
    const bytes = pieces as Buffer;
    const length = Number(headers!['inference-header-content-length']);
    const head = JSON.parse(bytes.subarray(0, length).toString()) as { outputs: unknown[] };
    expect(type).toBe('application/octet-stream');
    expect(head.outputs[0]).toEqual({
      name: 'y',
      datatype: 'FP32',
      shape: [1, 2],
      parameters: { binary_data_size: 8 },
    });
    expect(bytes.subarray(length)).toEqual(floats);
    expect(head).not.toHaveProperty('id');
  });

  it('is not copied where it is large', async () => {
    const large = Buffer.alloc(2 ** 17, 7);
    const { outputs } = inference.ModelInferResponse.fromPartial({ outputs: [{ name: 'y', datatype: 'UINT8' }] });
    const written = writeInferAnswer(
      { ...answer, outputs, rawOutputContents: [large] },
      { id: undefined, binary: () => true },
    );
    expect((await compressed(written, {})).body).toEqual([expect.any(Buffer), large]);
    expect(((await compressed(written, {})).body as Buffer[])[1]).toBe(large);
    const zipped = await compressed(written, { 'accept-encoding': 'gzip' });
    expect(
      gunzipSync(zipped.body as Buffer)
        .subarray(-large.length)
        .equals(large),
    ).toBe(true);
  });

  it('follows what the request wished for, output by output', () => {
    const { wish } = read(
      body({
        parameters: { binary_data_output: true },
        outputs: [{ name: 'y', parameters: { binary_data: false } }, { name: 'n' }],
      }),
    );
    expect([wish.binary('y'), wish.binary('n')]).toEqual([false, true]);
  });
});
