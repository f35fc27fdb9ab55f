import { doubling, externalData, half } from './models-for-tests.js';
import { openSession } from './session.js';

describe('openSession', () => {
  it('runs a model in this process, and tells its inputs and outputs', async () => {
    await using session = await openSession(doubling());
    expect(session.inputs).toEqual([{ name: 'x', datatype: 'FP32', shape: [-1, 2] }]);
    expect(session.outputs).toEqual([{ name: 'y', datatype: 'FP32', shape: [-1, 2] }]);
    expect(session.provider).toBe('cpu');
    const { y } = await session.run({ x: { dims: [1, 2], data: Float32Array.of(1.5, -2) } });
    expect(y).toEqual({ dims: [1, 2], data: Float32Array.of(3, -4), datatype: 'FP32' });
  });

  it('takes and gives half floats as their bits', async () => {
    await using session = await openSession(doubling(half));
    const { y } = await session.run({ x: { dims: [1, 2], data: Uint16Array.of(0x3c00, 0xc000), datatype: 'FP16' } });
    expect(y?.data).toEqual(Uint16Array.of(0x4000, 0xc400));
  });

  it('rejects what is not a model', async () => {
    await expect(openSession(Buffer.from('PK not a model'))).rejects.toThrow();
    await expect(openSession(externalData('../no-such-file', 4))).rejects.toThrow();
  });
});
