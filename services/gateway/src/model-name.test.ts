import { inference } from '@modelmill/contracts';
import { readNamed } from './model-name.js';

const request = (fields: Parameters<typeof inference.ModelInferRequest.fromPartial>[0]) =>
  inference.ModelInferRequest.encode(inference.ModelInferRequest.fromPartial(fields)).finish();

describe('readNamed', () => {
  it('reads what the generated code wrote', () => {
    const bytes = request({
      modelName: 'digits',
      modelVersion: '12',
      id: 'x'.repeat(300),
      inputs: [{ name: 'input', datatype: 'FP32', shape: [1n, 64n] }],
      rawInputContents: [Buffer.alloc(100_000)],
    });
    expect(readNamed(bytes, 1, 2)).toEqual({ model: 'digits', version: '12' });
  });

  it('reads names in any place, and the last of several, as protobuf does', () => {
    const bytes = Buffer.concat([request({ modelName: 'a', id: 'z' }), request({ modelVersion: '2', modelName: 'b' })]);
    expect(readNamed(bytes, 1, 2)).toEqual({ model: 'b', version: '2' });
  });

  it('reads any UTF-8', () => expect(readNamed(request({ modelName: 'Größe' }), 1, 2).model).toBe('Größe'));

  it.each([
    ['nothing', ''],
    ['a tag without a value', '0a'],
    ['a length beyond the end', '0aff01ff'],
    ['a length beyond any message', '0affffffffffffffffff01'],
    ['an endless varint', 'ffffffffffffffffffffffffffffff'],
    ['a group', '0b'],
    ['noise', '9b8d3f11a0cc7e'],
  ])('ends on %s', (_, hex) => expect(readNamed(Buffer.from(hex, 'hex'), 1, 2)).toEqual({ model: '', version: '' }));
});
