import type { OutgoingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { status } from '@grpc/grpc-js';
import { SpanKind, context, trace } from '@opentelemetry/api';
import { AddressInUseError, RpcError, extractContext, hostAndPort } from '@modelmill/service-kit';
import type { Telemetry, Translate } from '@modelmill/service-kit';
import { fastify } from 'fastify';
import type { FastifyReply, FastifyRequest } from 'fastify';
import * as errors from './errors.js';
import type { HostCheck } from './host-check.js';
import { headersOf, httpStatusOf } from './http-status.js';
import type { KeyCheck } from './keys.js';
import { chunksOf, readBody } from './read-body.js';
import type { RestAnswer, RestRequest, RestRoute } from './rest-request.js';
import { createRouter } from './router.js';

export interface RestDoorOptions {
  /** host:port; port 0 takes a free one. */
  readonly listen: string;
  readonly drainMs: number;
  readonly telemetry: Telemetry;
  readonly translate: Translate;
  readonly checkKey: KeyCheck;
  readonly checkHost: HostCheck;
  /** Longest silence within a body. */
  readonly idleMs: number;
}

const limits = { urlLength: 4096, headersMs: 10_000, requestMs: 30 * 60_000, answerMs: 120_000 };
/** As nginx does: until nothing more has come for so long, and at most for so long. */
const linger = { silenceMs: 5_000, mostMs: 30_000 };

/** The REST door. It listens until disposed; then it takes no new requests and lets running ones finish for `drainMs`. */
export async function openRestDoor(
  options: RestDoorOptions,
  routes: readonly RestRoute[],
): Promise<AsyncDisposable & { readonly port: number }> {
  const { listen, drainMs, telemetry } = options;
  const find = createRouter(routes);
  const app = fastify({
    logger: false,
    bodyLimit: Number.MAX_SAFE_INTEGER, // every route has its own, and reads the body itself
    requestTimeout: limits.requestMs,
    keepAliveTimeout: 60_000,
    forceCloseConnections: 'idle',
    return503OnClosing: true,
    exposeHeadRoutes: false,
    http: { headersTimeout: limits.headersMs, connectionsCheckingInterval: 5_000 },
    frameworkErrors: (_error, _request, reply) => void refuse(reply, errors.badJson('the URL is not one')),
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, payload, done) => done(null, payload));
  app.setNotFoundHandler((request, reply) => answer(request, reply));
  app.setErrorHandler((error, request, reply) => fail(error, request, reply));
  app.all('*', (request, reply) => answer(request, reply));

  async function answer(request: FastifyRequest, reply: FastifyReply) {
    const began = performance.now();
    let path = 'unknown';
    try {
      const [pathname = '', search = ''] = split(request.url);
      options.checkHost(request.headers);
      const { route, params } = find(request.method, pathname);
      path = route.path;
      if (!route.open) options.checkKey(request.headers.authorization);
      const found = await inSpan(telemetry, request, route, () =>
        route.handle(asRestRequest(request, reply, params, search)),
      );
      await send(reply, found);
    } catch (error) {
      await fail(error, request, reply);
    } finally {
      const seconds = (performance.now() - began) / 1000;
      telemetry.calls.record(seconds, {
        service: 'rest',
        method: `${request.method} ${path}`,
        code: String(reply.statusCode),
      });
    }
    return reply;
  }

  async function fail(error: unknown, request: FastifyRequest, reply: FastifyReply) {
    const known = options.translate(error);
    if (known instanceof RpcError) return refuse(reply, known);
    telemetry.log.error({ err: error, method: `${request.method} ${request.url}` }, 'unexpected');
    return refuse(reply, new RpcError(status.INTERNAL, 'internal error'));
  }

  function asRestRequest(
    request: FastifyRequest,
    reply: FastifyReply,
    params: Match['params'],
    search: string,
  ): RestRequest {
    const gone = new AbortController();
    reply.raw.on('close', () => reply.raw.writableFinished || gone.abort());
    const { raw, headers } = request;
    return {
      params,
      query: queryOf(search),
      headers,
      caller: { signal: gone.signal, deadline: Date.now() + limits.answerMs },
      body: (maxBytes) => readBody(raw, maxBytes, options.idleMs),
      chunks: () => chunksOf(raw),
    };
  }

  await listenOn(app, listen);
  return {
    port: (app.server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      const late = setTimeout(() => app.server.closeAllConnections(), drainMs);
      await app.close();
      clearTimeout(late);
    },
  };
}

type Match = ReturnType<ReturnType<typeof createRouter>>;

async function listenOn(app: ReturnType<typeof fastify>, listen: string): Promise<void> {
  try {
    await app.listen(hostAndPort(listen));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE') {
      throw new AddressInUseError(listen, { cause: error });
    }
    throw error;
  }
}

function split(url: string): string[] {
  if (url.length > limits.urlLength) throw errors.urlTooLong(url.length, limits.urlLength);
  const mark = url.indexOf('?');
  return mark < 0 ? [url, ''] : [url.slice(0, mark), url.slice(mark + 1)];
}

function queryOf(search: string): URLSearchParams {
  const query = new URLSearchParams(search);
  if (query.size > 100) throw errors.badQuery('…', `${query.size} of them`, 'at most 100');
  return query;
}

function inSpan<T>(
  { tracer }: Telemetry,
  request: FastifyRequest,
  route: RestRoute,
  work: () => Promise<T>,
): Promise<T> {
  const headers = Object.fromEntries(
    Object.entries(request.headers).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
  const parent = extractContext(headers);
  const attributes = { 'http.request.method': route.verb, 'http.route': route.path };
  const span = tracer.startSpan(`${route.verb} ${route.path}`, { kind: SpanKind.SERVER, attributes }, parent);
  return context.with(trace.setSpan(parent, span), work).finally(() => span.end());
}

async function send(reply: FastifyReply, { status: code = 200, type, headers = {}, body }: RestAnswer): Promise<void> {
  reply.code(code).headers(headers).type(type);
  if (typeof body === 'string' || Buffer.isBuffer(body)) return void (await reply.send(body));
  if (Array.isArray(body))
    reply.header(
      'content-length',
      body.reduce((sum: number, { length }) => sum + length, 0),
    );
  await reply.send(Readable.from(body));
}

async function refuse(reply: FastifyReply, error: RpcError): Promise<void> {
  if (reply.raw.headersSent) return void reply.raw.destroy(); // the answer was under way: its end says that it broke
  reply.code(httpStatusOf(error)).headers(headersOf(error)).type('application/json');
  const words = JSON.stringify({ error: error.message });
  const cutShort = httpStatusOf(error) === 413 || httpStatusOf(error) === 408;
  await (cutShort ? sendAndLinger(reply, words) : reply.send(words));
}

/**
 * Answers a request whose body is not wanted to its end, and drops what still comes of it for a while before the
 * connection closes: a socket closed with unread bytes resets, and the sender loses the answer it has not read yet.
 */
async function sendAndLinger(reply: FastifyReply, words: string): Promise<void> {
  const { request, raw } = reply;
  reply.hijack();
  raw.writeHead(reply.statusCode, {
    ...(reply.getHeaders() as OutgoingHttpHeaders),
    'content-length': Buffer.byteLength(words),
    connection: 'close',
  });
  raw.write(words);
  let silent: NodeJS.Timeout | undefined;
  let late: NodeJS.Timeout | undefined;
  const dropped = () => void silent?.refresh();
  await new Promise<void>((resolve) => {
    silent = setTimeout(resolve, linger.silenceMs);
    late = setTimeout(resolve, linger.mostMs);
    raw.once('close', resolve);
    request.raw.on('data', dropped).once('close', resolve).once('end', resolve).resume();
  });
  clearTimeout(silent);
  clearTimeout(late);
  request.raw.off('data', dropped);
  raw.end();
}
