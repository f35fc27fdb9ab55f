import { inference } from '@modelmill/contracts';
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
});
