import * as inference from './gen/inference/grpc_service.js';
import { decodeInferRequest, decodeInferResponse, encodeInferRequest, inferRequestPieces } from './infer-messages.js';

const large = Buffer.alloc(2 ** 17, 7);

function requestOf(fields: Parameters<typeof inference.ModelInferRequest.fromPartial>[0]): Buffer {
  return Buffer.from(inference.ModelInferRequest.encode(inference.ModelInferRequest.fromPartial(fields)).finish());
}

const whole = requestOf({
  modelName: 'digits',
  modelVersion: 'stable',
  id: 'Grüße',
  parameters: { priority: { parameterChoice: { $case: 'int64Param', int64Param: 2n } } },
  inputs: [{ name: 'a', datatype: 'FP32', shape: [32n, 1024n] }, { name: 'b' }],
  outputs: [{ name: 'y' }],
  rawInputContents: [large, Buffer.from([1, 2, 3]), Buffer.alloc(0)],
});

/** What becomes of bytes, failures included. */
function outcomeOf(decode: (bytes: Buffer) => inference.ModelInferRequest, bytes: Buffer): unknown {
  try {
    const { rawInputContents, ...rest } = decode(bytes);
    return { ...rest, raw: rawInputContents.map((raw) => raw.toString('latin1')) };
  } catch {
    return 'refused';
  }
}

const like = (bytes: Buffer) =>
  expect(outcomeOf(decodeInferRequest, bytes)).toEqual(
    outcomeOf((message) => inference.ModelInferRequest.decode(message), bytes),
  );

describe('the decoder of requests', () => {
  it('reads as the generated one does', () => {
    like(whole);
    like(requestOf({ modelName: 'small', rawInputContents: [Buffer.from([1])] }));
    like(requestOf({ inputs: [{ contents: { fp32Contents: Array(8192).fill(0.5) } }] }));
    like(Buffer.alloc(0));
  });

  it('does not copy a large tensor', () => {
    expect(decodeInferRequest(whole).rawInputContents[0]!.buffer).toBe(whole.buffer);
  });

  it.each([
    ['ends early', whole.subarray(0, 2 ** 16)],
    ['has a field that nobody knows', Buffer.concat([whole, Buffer.from([0xfa, 1, 1, 9])])],
    ['has a number that nobody knows', Buffer.concat([whole, Buffer.from([0x40, 5])])],
    ['begins a group', Buffer.concat([whole, Buffer.from([0x43, 0x44])])],
    ['ends a group', Buffer.concat([Buffer.from([0x44]), whole])],
    ['has a tag of zero', Buffer.concat([whole, Buffer.from([0, 0])])],
    ['writes a tag in more bytes than it needs', Buffer.concat([whole, Buffer.from([0xba, 0, 1, 5])])],
    ['has a length beyond what a message has', Buffer.concat([whole, Buffer.from([58, 255, 255, 255, 255, 15])])],
    ['has a length without an end', Buffer.concat([whole, Buffer.alloc(12, 255)])],
    ['names a field twice', Buffer.concat([whole, requestOf({ modelName: 'other', rawInputContents: [large] })])],
  ])('treats a message that %s as the generated one does', (_, bytes) => like(bytes));
});

describe('the decoder of answers', () => {
  const answer = inference.ModelInferResponse.fromPartial({
    modelName: 'digits',
    parameters: { late: { parameterChoice: { $case: 'boolParam', boolParam: true } } },
    outputs: [{ name: 'a', datatype: 'UINT8', shape: [2n ** 17n] }, { name: 'b' }],
    rawOutputContents: [large, Buffer.from([1, 2, 3])],
  });
  const bytes = Buffer.from(inference.ModelInferResponse.encode(answer).finish());

  it('reads as the generated one does, and does not copy a large tensor', () => {
    const read = decodeInferResponse(bytes);
    expect(read).toEqual(inference.ModelInferResponse.decode(bytes));
    expect(read.rawOutputContents[0]!.buffer).toBe(bytes.buffer);
  });

  it('refuses what the generated one refuses', () => {
    expect(() => decodeInferResponse(bytes.subarray(0, 2 ** 16))).toThrow();
  });
});

describe('the encoder of requests', () => {
  const request = (rawInputContents: Buffer[], modelName = 'digits') =>
    inference.ModelInferRequest.fromPartial({
      modelName,
      parameters: { priority: { parameterChoice: { $case: 'int64Param', int64Param: 2n } } },
      inputs: [{ name: 'a', datatype: 'UINT8', shape: [2n ** 17n] }],
      outputs: [{ name: 'y' }],
      rawInputContents,
    });
  const generated = (message: inference.ModelInferRequest) =>
    Buffer.from(inference.ModelInferRequest.encode(message).finish());

  it.each([
    ['no tensors', []],
    ['an empty one', [Buffer.alloc(0)]],
    ['several', [large, Buffer.alloc(0), Buffer.from([1])]],
    ['one', [large]],
  ])('writes %s byte for byte as the generated one does', (_, tensors) => {
    expect(encodeInferRequest(request(tensors)).equals(generated(request(tensors)))).toBe(true);
  });

  it.each([
    ['as much room as it takes', 200, 'digits', true],
    ['too little room', 200, 'd'.repeat(200), false],
  ])('writes before a tensor with %s, and nowhere else', (_, room, modelName, inPlace) => {
    const memory = Buffer.alloc(1000 + 2 ** 17, 9);
    const tensor = memory.subarray(1000);
    const message = request([tensor], modelName);
    const want = generated(message);
    const written = encodeInferRequest(message, room);
    expect(written.equals(want)).toBe(true);
    expect(written.buffer === memory.buffer).toBe(inPlace);
    expect(memory.subarray(0, 1000 - room).every((byte) => byte === 9)).toBe(true);
  });
});

it('writes requests in pieces as the generated encoder does in one, and copies no tensor', () => {
  const request = inference.ModelInferRequest.decode(whole);
  const pieces = inferRequestPieces(request);
  expect(Buffer.concat(pieces).equals(whole)).toBe(true);
  for (const tensor of request.rawInputContents) expect(pieces).toContain(tensor);
  expect(Buffer.concat(inferRequestPieces(inference.ModelInferRequest.fromPartial({}))).length).toBe(0);
});
