import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { RpcError } from '@modelmill/service-kit';
import { headersOf, httpStatusOf } from './http-status.js';
import type { RestAnswer } from './rest-request.js';

/** As nginx does: until nothing more has come for so long, and at most for so long. */
const linger = { silenceMs: 5_000, mostMs: 30_000 };

/** Sends an answer whole, or as it comes until its caller is gone. Throws what its body throws. */
export async function sendAnswer(reply: ServerResponse, answer: RestAnswer, gone: AbortSignal): Promise<void> {
  const { body } = answer;
  if (typeof body === 'string') return sendWhole(reply, answer, body, Buffer.byteLength(body));
  if (Buffer.isBuffer(body)) return sendWhole(reply, answer, body, body.length);
  if (!isList(body)) return sendPieces(reply, headOf(answer), answer.status ?? 200, body, gone);
  const length = body.reduce((sum, piece) => sum + piece.length, 0);
  const head = { ...headOf(answer), 'content-length': String(length) };
  return sendPieces(reply, head, answer.status ?? 200, body, gone);
}

function sendWhole(reply: ServerResponse, answer: RestAnswer, body: string | Buffer, length: number): void {
  const { status = 200, type, headers } = answer;
  const head = ['content-type', type, 'content-length', String(length)];
  for (const name in headers) head.push(name, headers[name]!);
  reply.writeHead(status, head);
  reply.end(body);
}

const headOf = ({ type, headers }: RestAnswer) => ({ ...headers, 'content-type': type });

/**
 * Its head goes with the first piece: where there is none because of an error, that is what the caller gets. The reply itself
 * does not tell that its caller is gone where it waits behind another on its connection.
 */
async function sendPieces(
  reply: ServerResponse,
  head: Readonly<Record<string, string>>,
  status: number,
  body: Iterable<Buffer> | AsyncIterable<string | Uint8Array>,
  gone: AbortSignal,
): Promise<void> {
  const begin = () => void (reply.headersSent || reply.writeHead(status, head));
  for await (const piece of body) {
    if (gone.aborted) return;
    begin();
    if (reply.req.method === 'HEAD') break;
    if (!reply.write(piece)) await once(reply, 'drain', { signal: gone }).catch(() => {});
  }
  if (gone.aborted) return;
  begin();
  reply.end();
}

const isList = (body: RestAnswer['body']): body is readonly Buffer[] => Array.isArray(body);

/** The same words and headers for every error. */
export async function sendRefusal(request: IncomingMessage, reply: ServerResponse, error: RpcError): Promise<void> {
  if (reply.headersSent) return void reply.destroy(); // the answer was under way: its end says that it broke
  const status = httpStatusOf(error);
  const body = JSON.stringify({ error: error.message });
  const endsUnread = !reply.shouldKeepAlive && !request.complete;
  if ((status === 413 || status === 408 || endsUnread) && !request.readableEnded)
    return sendAndLinger(request, reply, status, body, headersOf(error));
  const type = 'application/json; charset=utf-8';
  sendWhole(reply, { status, type, headers: headersOf(error), body }, body, Buffer.byteLength(body));
}

/**
 * Answers a request whose body is not wanted to its end, and drops what still comes of it for a while before the
 * connection closes: a socket closed with unread bytes resets, and the sender loses the answer it has not read yet.
 */
async function sendAndLinger(
  request: IncomingMessage,
  reply: ServerResponse,
  status: number,
  words: string,
  headers: Readonly<Record<string, string>>,
): Promise<void> {
  reply.writeHead(status, {
    ...headers,
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(words),
    connection: 'close',
  });
  reply.write(words);
  let silent: NodeJS.Timeout | undefined;
  let late: NodeJS.Timeout | undefined;
  const dropped = () => void silent?.refresh();
  await new Promise<void>((resolve) => {
    silent = setTimeout(resolve, linger.silenceMs);
    late = setTimeout(resolve, linger.mostMs);
    reply.once('close', resolve);
    request.on('data', dropped).once('close', resolve).once('end', resolve).resume();
  });
  clearTimeout(silent);
  clearTimeout(late);
  request.off('data', dropped);
  reply.end();
}
