import { promisify } from 'node:util';
import { deflate, gzip } from 'node:zlib';
import type { RestAnswer, RestRequest } from './rest-request.js';

const encodings = { gzip: promisify(gzip), deflate: promisify(deflate) } as const;

/**
 * The answer as gzip or deflate where the caller asks for these alone, as Triton's clients do. Who takes other encodings, too,
 * takes them all by default, and tensors are rarely worth the work.
 */
export async function compressed(answer: RestAnswer, headers: RestRequest['headers']): Promise<RestAnswer> {
  const asked = String(headers['accept-encoding'] ?? '')
    .split(',')
    .map((part) => part.split(';', 1)[0]!.trim().toLowerCase())
    .filter((name) => name !== '' && name !== 'identity');
  const [first] = asked;
  const { body } = answer;
  const isOurs = (name: string): name is keyof typeof encodings => Object.hasOwn(encodings, name);
  if (first === undefined || !asked.every(isOurs)) return answer;
  const whole = Array.isArray(body) ? Buffer.concat(body) : body;
  if (!(typeof whole === 'string' || Buffer.isBuffer(whole))) return answer;
  const encoding = first as keyof typeof encodings;
  const headersWith = { ...answer.headers, 'content-encoding': encoding, vary: 'accept-encoding' };
  return { ...answer, headers: headersWith, body: await encodings[encoding](whole, { level: 1 }) };
}
