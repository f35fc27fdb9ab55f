import { Metadata } from '@grpc/grpc-js';
import { encodeHeaders } from '@modelmill/http2';
import type { HeaderField } from '@modelmill/http2';

/** As grpc-js has what a caller sent beside the message. */
export function metadataOf(fields: readonly HeaderField[]): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of fields) {
    if (name.startsWith(':')) continue;
    try {
      if (name.endsWith('-bin')) {
        for (const part of value.split(',')) metadata.add(name, Buffer.from(part.trim(), 'base64'));
      } else metadata.add(name, value);
    } catch {
      // what is no metadata is none: grpc-js leaves it out, too
    }
  }
  return metadata;
}

const answerHeaders: readonly HeaderField[] = [
  [':status', '200'],
  ['content-type', 'application/grpc+proto'],
];
export const answerBlock = encodeHeaders(answerHeaders);
export const okBlock = encodeHeaders([['grpc-status', '0']]);

/** Nine bytes each at most: with all other headers they have to fit into what clients take, 8 to 16 KiB. */
const mostDetails = 800;

/** The end of a call that failed, after an answer has begun. */
export const failureTrailers = (code: number, details: string): Buffer => encodeHeaders(failureFields(code, details));

/** The same where nothing was answered yet. */
export const failureBlock = (code: number, details: string): Buffer =>
  encodeHeaders([...answerHeaders, ...failureFields(code, details)]);

const failureFields = (code: number, details: string): HeaderField[] => [
  ['grpc-status', String(code)],
  ['grpc-message', escaped(details.length > mostDetails ? `${details.slice(0, mostDetails)}…` : details)],
];

/** As gRPC sends messages: what is not printable ASCII, and `%`, percent-encoded as UTF-8. */
const escaped = (details: string): string =>
  details.replace(/[^ -$&-~]+/g, (text) => Buffer.from(text).reduce((all, byte) => all + percent(byte), ''));

const percent = (byte: number) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;

const unitMs: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };

/** https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md: up to eight digits and a unit. */
export function timeoutMs(timeout: string): number | undefined {
  const [, digits, unit] = /^(\d{1,8})([HMSmun])$/.exec(timeout) ?? [];
  return digits === undefined || unit === undefined ? undefined : Number(digits) * unitMs[unit]!;
}
