import type { events } from '@modelmill/contracts';
import { z } from 'zod';
import type { NewEvent } from './event.js';
import { eventPrefix } from './subject-pattern.js';

const cloudEvent = z.object({
  specversion: z.literal('1.0'),
  id: z.string(),
  source: z.string(),
  type: z.string(),
  subject: z.string(),
  time: z.iso.datetime(),
  data: z.record(z.string(), z.unknown()),
});

/** CloudEvents 1.0 in JSON (github.com/cloudevents/spec, structured content mode). */
export function writeCloudEvent({ subject, data, msgId }: NewEvent, source: string, time: Date): string {
  return JSON.stringify({
    specversion: '1.0',
    id: msgId,
    source,
    type: typeOf(subject),
    subject: `${eventPrefix}${subject}`,
    time: time.toISOString(),
    datacontenttype: 'application/json',
    data,
  });
}

/** Throws on what is not a CloudEvent of ours. */
export function readCloudEvent(bytes: Uint8Array, sequence: number): events.Event {
  const { id, source, type, subject, time, data } = cloudEvent.parse(JSON.parse(Buffer.from(bytes).toString('utf8')));
  return { id, sequence: BigInt(sequence), subject, type, source, time: new Date(time), data };
}

const typeOf = (subject: string) => subject.slice(subject.lastIndexOf('.') + 1);
