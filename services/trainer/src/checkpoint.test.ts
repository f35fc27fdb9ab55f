import { CheckpointError, readCheckpoint, writeCheckpoint } from './checkpoint.js';
import type { Checkpoint } from './checkpoint.js';
import { standingAtStart } from './standing.js';

const checkpoint: Checkpoint = {
  standing: { ...standingAtStart, step: 12, lossSum: 0.1 + 0.2, history: [{ epoch: 1, accuracy: 0.5 }] },
  inputs: { datasetVersion: '3', baseSha256: 'ab', baseVersion: '1' },
  tensors: new Map([
    ['weight', Float32Array.of(1, -0, 1e-40, Number.MAX_VALUE)],
    ['adam.m/weight', new Float32Array(3)],
    ['empty', new Float32Array()],
  ]),
};

describe('a checkpoint', () => {
  it('reads back to the last bit, from any place in memory', () => {
    const bytes = writeCheckpoint(checkpoint);
    for (const at of [0, 1, 3]) {
      const moved = new Uint8Array(bytes.length + at);
      moved.set(bytes, at);
      const read = readCheckpoint(moved.subarray(at));
      expect({ ...read, tensors: [...read.tensors] }).toEqual({ ...checkpoint, tensors: [...checkpoint.tensors] });
      expect(Object.is(read.tensors.get('weight')![1], -0)).toBe(true);
    }
  });

  it('is refused when it is cut short, grown, or something else', () => {
    const bytes = writeCheckpoint(checkpoint);
    expect(() => readCheckpoint(bytes.subarray(0, -1))).toThrow(CheckpointError);
    expect(() => readCheckpoint(Buffer.concat([bytes, Buffer.alloc(1)]))).toThrow(CheckpointError);
    expect(() => readCheckpoint(bytes.subarray(0, 20))).toThrow(CheckpointError);
    expect(() => readCheckpoint(Buffer.from('not a checkpoint at all'))).toThrow(CheckpointError);
  });
});
