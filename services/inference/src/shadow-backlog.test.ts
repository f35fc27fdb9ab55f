import { inference } from '@modelmill/contracts';
import { createShadowBacklog } from './shadow-backlog.js';
import type { Answered } from './shadow-backlog.js';

const mega = 2 ** 20;
const answered = (data: Uint8Array, contents?: Partial<inference.InferTensorContents>): Answered => ({
  request: inference.ModelInferRequest.fromPartial({
    inputs: [{ name: 'x', datatype: 'FP32', shape: [1n], ...(contents === undefined ? {} : { contents }) }],
  }),
  outputs: new Map([['y', { datatype: 'UINT8', shape: [1, data.length], data }]]),
  batched: true,
  answerMs: 1,
  executionMs: 1,
});

describe('a backlog of shadow requests', () => {
  it('keeps rows of a shared execution without the whole of it', () => {
    const whole = new Uint8Array(100 * mega).fill(7);
    const backlog = createShadowBacklog();
    for (let row = 0; row < 10; row++) expect(backlog.add(answered(whole.subarray(row, row + 1)))).toBe(true);
    const { data } = backlog.take(1)[0]!.outputs.get('y')!;
    expect([...data]).toEqual([7]);
    expect(data.buffer.byteLength).toBe(1);
  });

  it('counts strings by their lengths, and has room again when they are taken', () => {
    const text = { bytesContents: [Buffer.alloc(40 * mega)] };
    const backlog = createShadowBacklog();
    expect(backlog.add(answered(new Uint8Array(1), text))).toBe(true);
    expect(backlog.add(answered(new Uint8Array(1), text))).toBe(false);
    backlog.take(1);
    expect(backlog.add(answered(new Uint8Array(1), text))).toBe(true);
  });
});
