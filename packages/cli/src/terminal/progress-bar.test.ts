import { trainer } from '@modelmill/client';
import { createPaint, widthOf } from './paint.js';
import { jobsLine, progressLine } from './progress-bar.js';

const plain = createPaint(false);
const training = trainer.TrainingProgress.fromPartial({
  epoch: 12,
  epochs: 30,
  loss: 0.12345,
  metrics: { accuracy: 0.9777 },
  examplesPerSecond: 12_345.6,
  secondsLeft: 7.2,
});

describe('the progress of a training', () => {
  it('has bar, loss, accuracy, speed and time left', () =>
    expect(progressLine({ title: 'train', stage: 'training', done: 0.4, training }, 120, plain)).toBe(
      'train  █████████▋░░░░░░░░░░░░░░   40 %  epoch 12/30  loss 0.1235  accuracy 0.9777  12,346 examples/s  0:07 left',
    ));

  it.each([120, 80, 60, 40])('fits %d columns', (columns) =>
    expect(
      widthOf(progressLine({ title: 'train', stage: 'training', done: 0.4, training }, columns, plain)),
    ).toBeLessThanOrEqual(columns),
  );

  it('leaves out what does not fit, last first', () =>
    expect(progressLine({ title: 'train', stage: 'training', done: 0.4, training }, 60, plain)).toMatch(
      /^train {2}[█▏▎▍▌▋▊▉░]+ {3}40 % {2}epoch 12\/30 {2}loss 0\.1235$/,
    ));

  it('is a full bar at the end, and none at the start', () => {
    const barOf = (done: number) => progressLine({ title: 't', stage: '', done }, 80, plain);
    expect(barOf(1)).not.toContain('░');
    expect(barOf(0)).not.toContain('█');
  });
});

describe('several jobs share one line', () => {
  const jobs = [
    { title: 'quantize', stage: 'calibrating', done: 0.5 },
    { title: 'prune', stage: '', done: 1 },
  ];
  it.each([
    [80, 'quantize ███░░░ 50 % calibrating   prune ██████ done'],
    [40, 'quantize 50 % calibrating   prune done'],
  ])('of %d columns', (columns, line) => expect(jobsLine(jobs, columns, plain)).toBe(line));
});
