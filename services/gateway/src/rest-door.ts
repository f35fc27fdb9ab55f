import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { Server as TcpServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { setImmediate } from 'node:timers/promises';
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
  /** What is under way on each connection, and what tells it that its caller is gone. */
  const open = new Map<Socket, Map<ServerResponse, AbortController>>();
  server.on('connection', (socket) => {
    const under = new Map<ServerResponse, AbortController>();
    open.set(socket, under);
    socket.once('close', () => {
      open.delete(socket);
      for (const gone of under.values()) gone.abort(); // Node tells the reply whose turn it is, and not those behind it
    });
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    const replies = [...(open.get(socket)?.keys() ?? [])];
    refuseConnection(
      error,
      socket,
      replies.some(({ headersSent }) => headersSent),
    );
  });

  /** Aborted when its caller is gone. */
  function underWay({ socket }: IncomingMessage, reply: ServerResponse): AbortController {
    const gone = new AbortController();
    const under = open.get(socket);
    under?.set(reply, gone);
    reply.once('close', () => {
      if (!reply.writableFinished) gone.abort();
      under?.delete(reply);
      if (closing && under?.size === 0) socket.destroySoon();
    });
    return gone;
  }

  async function answer(request: IncomingMessage, reply: ServerResponse): Promise<void> {
    const began = performance.now();
    const { url = '', method = '', headers } = request;
    const { signal } = underWay(request, reply);
    let path = 'unknown';
    try {
      if (closing) throw errors.doorCloses();
      const { host = headers.host, path: pathname, search } = targetOf(url);
      options.checkHost(host === headers.host ? headers : { ...headers, host });
      const { route, params } = find(method, pathname);
      path = route.path;
      if (!route.open) options.checkKey(headers.authorization);
      const kind = SpanKind.SERVER;
      const attributes = { 'http.request.method': route.verb, 'http.route': path };
      const found = await inSpan(telemetry.tracer, `${route.verb} ${path}`, { kind, attributes }, headers, async () =>
        route.handle(asRestRequest(request, signal, params, search)),
      );
      endWhereClosing(request, reply);
      await sendAnswer(reply, found, signal);
    } catch (error) {
      endWhereClosing(request, reply);
      await fail(error, request, reply);
    } finally {
      const seconds = (performance.now() - began) / 1000;
      telemetry.calls.record(seconds, { service: 'rest', method: `${method} ${path}`, code: String(reply.statusCode) });
    }
  }

  /** Says that its connection has no next request, where none has come behind it. */
  function endWhereClosing({ socket }: IncomingMessage, reply: ServerResponse): void {
    if (closing && open.get(socket)?.size === 1) reply.shouldKeepAlive = false;
  }

  async function fail(error: unknown, request: IncomingMessage, reply: ServerResponse): Promise<void> {
    const told = options.translate(error);
    const isKnown = told instanceof RpcError;
    if (!isKnown) telemetry.log.error({ err: error, method: `${request.method} ${request.url}` }, 'unexpected');
    request.resume(); // what nobody reads any more must not stand before the connection's next request
    await sendRefusal(request, reply, isKnown ? told : new RpcError(status.INTERNAL, 'internal error'));
  }

  function asRestRequest(
    request: IncomingMessage,
    signal: AbortSignal,
    params: Match['params'],
    search: string,
  ): RestRequest {
    return {
      params,
      query: queryOf(search),
      headers: request.headers,
      caller: { signal, deadline: Date.now() + limits.answerMs },
      body: (maxBytes) => readBody(request, maxBytes, options.idleMs),
      chunks: () => chunksOf(request),
    };
  }

  await listenOn(server, listen);
  server.on('error', (error) => telemetry.log.error({ err: error }, 'unexpected'));
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      closing = true;
      const late = setTimeout(() => server.closeAllConnections(), drainMs);
      // HTTP's own close would cut off what is answered and not yet written
      const closed = new Promise((resolve) => TcpServer.prototype.close.call(server, resolve));
      await setImmediate(); // what has come is read first
      for (const [socket, under] of open) if (under.size === 0) socket.destroySoon();
      await closed;
      clearTimeout(late);
    },
  };
}

const listenOn = (server: Server, listen: string) =>
  new Promise<void>((resolve, reject) => {
    const refused = (error: NodeJS.ErrnoException) =>
      reject(error.code === 'EADDRINUSE' ? new AddressInUseError(listen, { cause: error }) : error);
    server.once('error', refused);
    server.listen(hostAndPort(listen), () => {
      server.off('error', refused);
      resolve();
    });
  });

const brokenWords: Readonly<Record<string, readonly [line: string, words: string]>> = {
  ERR_HTTP_REQUEST_TIMEOUT: ['408 Request Timeout', 'the request did not come in time'],
  HPE_HEADER_OVERFLOW: ['431 Request Header Fields Too Large', 'the headers are larger than what is taken'],
};

/** What is no request in HTTP has no reply to answer by; between the pieces of another answer it gets no words at all. */
function refuseConnection(error: NodeJS.ErrnoException, socket: Socket, answering: boolean): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return;
  if (answering) return void socket.destroy(error);
  const [line, words] = brokenWords[error.code ?? ''] ?? ['400 Bad Request', 'this is not a request in HTTP/1.1'];
  const body = JSON.stringify({ error: words });
  const head = `HTTP/1.1 ${line}\r\nconnection: close\r\ncontent-type: application/json; charset=utf-8`;
  if (socket.writable) socket.write(`${head}\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
  socket.destroy(error);
}

/** What is asked for: a path, or all of a URL, as proxies ask, whose host goes before the header (RFC 9112, 3.2.2). */
function targetOf(url: string): { readonly host?: string | undefined; readonly path: string; readonly search: string } {
  if (url.length > limits.urlLength) throw errors.urlTooLong(url.length, limits.urlLength);
  const [, host, rest = url] = url.startsWith('/') ? [] : (/^http:\/\/([^/?]*)(.*)$/i.exec(url) ?? []);
  const mark = rest.indexOf('?');
  const path = mark < 0 ? rest : rest.slice(0, mark);
  return { host, path: path || '/', search: mark < 0 ? '' : rest.slice(mark + 1) };
}

function queryOf(search: string): URLSearchParams {
  const query = new URLSearchParams(search);
  if (query.size > 100) throw errors.badQuery('…', `${query.size} of them`, 'at most 100');
  return query;
}
