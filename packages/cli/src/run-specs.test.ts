import { trainer } from '@modelmill/client';
import { endLine, notesOf } from './run-specs.js';

const ended = (metrics: Record<string, number>, notes: string[] = []) => ({
  title: 'train prices',
  seconds: 12,
  curve: [],
  job: trainer.TrainingJob.fromPartial({
    spec: { model: 'prices' },
    status: { state: { $case: 'succeeded', succeeded: { version: '3', metrics, notes } } },
  }),
});

describe('the end of a job', () => {
  it('is told with its version, the figure that says most, and its time', () => {
    expect(endLine(ended({ loss: 0.2, r2: 0.81234 }))).toBe('train prices: prices version 3, r2 0.8123 in 12.0 s');
    expect(endLine(ended({ loss: 0.2, accuracy: 0.9 }))).toBe(
      'train prices: prices version 3, accuracy 0.9000 in 12.0 s',
    );
  });

  it('comes with what was decided on the way', () => {
    expect(notesOf(ended({}, ['stopped early at step 40']))).toEqual(['stopped early at step 40']);
  });
});
