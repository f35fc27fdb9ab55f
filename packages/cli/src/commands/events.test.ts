import { createPaint } from '../terminal/paint.js';
import { eventLine, startOf } from './events.js';

const now = new Date('2026-11-23T12:00:00Z');

describe('where events start', () => {
  it.each([
    [{}, undefined],
    [{ all: true }, { $case: 'afterSequence', afterSequence: 0n }],
    [{ after: '12' }, { $case: 'afterSequence', afterSequence: 12n }],
    [{ since: '10m' }, { $case: 'since', since: new Date('2026-11-23T11:50:00Z') }],
    [{ since: '2026-11-23T10:00:00Z' }, { $case: 'since', since: new Date('2026-11-23T10:00:00Z') }],
  ])('%j', (flags, wanted) => expect(startOf(flags, now)).toEqual(wanted));

  it.each([
    [{ since: 'yesterday' }, "--since is 'yesterday', wanted 10m or 2026-11-23T12:00:00Z"],
    [{ all: true, after: '1' }, '--all, --after and --since exclude one another'],
  ])('%j is refused', (flags, message) => expect(() => startOf(flags, now)).toThrow(message));
});

it('an event is one line: time, subject, data', () =>
  expect(
    eventLine(
      {
        time: now,
        subject: 'mill.event.model.digits.3.ready',
        data: { replicas: 1, accuracy: 0.98333333, note: 'ok' },
      },
      createPaint(false),
    ),
  ).toBe('12:00:00.000 model.digits.3.ready replicas=1 accuracy=0.98333 note=ok'));
