import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { status } from '@grpc/grpc-js';
import { SpanKind } from '@opentelemetry/api';
import { AddressInUseError, RpcError, hostAndPort, inSpan } from '@modelmill/service-kit';
import type { Telemetry, Translate } from '@modelmill/service-kit';
import * as errors from './errors.js';
import type { HostCheck } from './host-check.js';
import type { KeyCheck } from './keys.js';
import { chunksOf, readBody } from './read-body.js';
import { sendAnswer, sendRefusal } from './rest-answer.js';
import type { RestRequest, RestRoute } from './rest-request.js';
import { createRouter } from './router.js';
import type { Match } from './router.js';

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

const limits = { urlLength: 4096, headersMs: 10_000, requestMs: 30 * 60_000, answerMs: 120_000, keepAliveMs: 60_000 };
const checkEveryMs = 5_000;

/** The REST door. It listens until disposed; then it takes no new requests and lets running ones finish for `drainMs`. */
export async function openRestDoor(
  options: RestDoorOptions,
  routes: readonly RestRoute[],
): Promise<AsyncDisposable & { readonly port: number }> {
  const { listen, drainMs, telemetry } = options;
  const find = createRouter(routes);
  let closing = false;
  const server = createServer(
    {
      requestTimeout: limits.requestMs,
      headersTimeout: limits.headersMs,
      keepAliveTimeout: limits.keepAliveMs,
      connectionsCheckingInterval: checkEveryMs,
    },
    (request, reply) => void answer(request, reply),
  );
  server.on('clientError', refuseConnection);

  async function answer(request: IncomingMessage, reply: ServerResponse): Promise<void> {
    const began = performance.now();
    const { url = '', method = '', headers } = request;
    let path = 'unknown';
    try {
      if (closing) throw errors.doorCloses();
      const [pathname = '', search = ''] = split(url);
      options.checkHost(headers);
      const { route, params } = find(method, pathname);
      path = route.path;
      if (!route.open) options.checkKey(headers.authorization);
      const kind = SpanKind.SERVER;
      const attributes = { 'http.request.method': route.verb, 'http.route': path };
      const found = await inSpan(telemetry.tracer, `${route.verb} ${path}`, { kind, attributes }, headers, () =>
        route.handle(asRestRequest(request, reply, params, search)),
      );
      endWhereClosing(reply);
      await sendAnswer(reply, found);
    } catch (error) {
      endWhereClosing(reply);
      await fail(error, request, reply);
    } finally {
      const seconds = (performance.now() - began) / 1000;
      telemetry.calls.record(seconds, { service: 'rest', method: `${method} ${path}`, code: String(reply.statusCode) });
    }
  }

  /** Its connection has no next request. */
  function endWhereClosing(reply: ServerResponse): void {
    if (closing) reply.shouldKeepAlive = false;
  }

  async function fail(error: unknown, request: IncomingMessage, reply: ServerResponse): Promise<void> {
    let known = options.translate(error);
    if (!(known instanceof RpcError)) {
      telemetry.log.error({ err: error, method: `${request.method} ${request.url}` }, 'unexpected');
      known = new RpcError(status.INTERNAL, 'internal error');
    }
    await sendRefusal(request, reply, known as RpcError);
  }

  function asRestRequest(
    request: IncomingMessage,
    reply: ServerResponse,
    params: Match['params'],
    search: string,
  ): RestRequest {
    const gone = new AbortController();
    reply.on('close', () => reply.writableFinished || gone.abort());
    return {
      params,
      query: queryOf(search),
      headers: request.headers,
      caller: { signal: gone.signal, deadline: Date.now() + limits.answerMs },
      body: (maxBytes) => readBody(request, maxBytes, options.idleMs),
      chunks: () => chunksOf(request),
    };
  }

  await listenOn(server, listen);
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      closing = true;
      const late = setTimeout(() => server.closeAllConnections(), drainMs);
      await new Promise((resolve) => server.close(resolve)); // ends those that are idle, too
      clearTimeout(late);
    },
  };
}

const listenOn = (server: Server, listen: string) =>
  new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(error.code === 'EADDRINUSE' ? new AddressInUseError(listen, { cause: error }) : error),
    );
    server.listen(hostAndPort(listen), resolve);
  });

const brokenWords: Readonly<Record<string, readonly [line: string, words: string]>> = {
  ERR_HTTP_REQUEST_TIMEOUT: ['408 Request Timeout', 'the request did not come in time'],
  HPE_HEADER_OVERFLOW: ['431 Request Header Fields Too Large', 'the headers are larger than what is taken'],
};

/** What is no request in HTTP has no reply to answer by. */
function refuseConnection(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return;
  const [line, words] = brokenWords[error.code ?? ''] ?? ['400 Bad Request', 'this is not a request in HTTP/1.1'];
  const body = JSON.stringify({ error: words });
  const head = `HTTP/1.1 ${line}\r\nconnection: close\r\ncontent-type: application/json; charset=utf-8`;
  if (socket.writable) socket.write(`${head}\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
  socket.destroy(error);
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
