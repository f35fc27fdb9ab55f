import { inference } from '@modelmill/contracts';
import { memoryWithRoom } from '@modelmill/runtime';
import { encodeInferResponse } from './encode-infer-response.js';

const cases: [name: string, response: Partial<inference.ModelInferResponse>][] = [
  ['nothing', {}],
  [
    'an answer',
    {
      modelName: 'digits',
      modelVersion: '12',
      id: 'Grüße, 世界',
      outputs: [
        { name: 'y', datatype: 'FP32', shape: [1n, 300n, 2n ** 40n], parameters: {}, contents: undefined },
        { name: 'scalar', datatype: 'INT64', shape: [], parameters: {}, contents: undefined },
        { name: 'empty', datatype: 'BYTES', shape: [0n, 0n], parameters: {}, contents: undefined },
      ],
      rawOutputContents: [Buffer.from([1, 2, 3]), Buffer.alloc(70_000, 7), Buffer.alloc(0)],
    },
  ],
  ['a long name', { modelName: 'n'.repeat(100_000) }],
];

describe('the encoder of answers', () => {
  it.each(cases)('writes %s byte for byte as the generated one does', (_, fields) => {
    const response = inference.ModelInferResponse.fromPartial(fields);
    const want = Buffer.from(inference.ModelInferResponse.encode(response).finish());
    expect(encodeInferResponse(response).equals(want)).toBe(true);
  });

  it.each([
    ['a name that fits before it', 'digits', true],
    ['a name that does not', 'd'.repeat(1100), false],
  ])('writes a tensor with room before it the same, with %s', (_, modelName, inPlace) => {
    const tensor = memoryWithRoom(70_000).fill(7);
    const response = inference.ModelInferResponse.fromPartial({
      modelName,
      outputs: [{ name: 'y', datatype: 'UINT8', shape: [70_000n] }],
      rawOutputContents: [tensor],
    });
    const want = Buffer.from(inference.ModelInferResponse.encode(response).finish());
    const written = encodeInferResponse(response);
    expect(written.equals(want)).toBe(true);
    expect(written.buffer === tensor.buffer).toBe(inPlace);
    expect(encodeInferResponse(response).equals(want)).toBe(true);
  });

  it('does not keep the memory of a batch for one of its rows', () => {
    const batch = memoryWithRoom(700_000).fill(7);
    const response = inference.ModelInferResponse.fromPartial({ rawOutputContents: [batch.subarray(0, 70_000)] });
    expect(encodeInferResponse(response).buffer).not.toBe(batch.buffer);
    const whole = inference.ModelInferResponse.fromPartial({ rawOutputContents: [batch] });
    expect(encodeInferResponse(whole).buffer).toBe(batch.buffer);
  });
});
