import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { duplexPair } from 'node:stream';
import type { Duplex } from 'node:stream';
import {
  Http2Error,
  encodeHeaders,
  errorCode,
  keepAlive,
  openClientConnection,
  openServerConnection,
} from '@modelmill/http2';
import type { Connection, HeaderField, Stream, StreamListener } from '@modelmill/http2';
import type { AdapterOptions } from './adapters.js';
import { RpcError } from './rpc-error.js';
import { UnaryCall } from './unary-call.js';
import type { UnaryMethod } from './unary-call.js';
import { StreamCall } from './stream-call.js';
import type { StreamMethod } from './stream-call.js';

/** Throws RpcError where a call of this path, with this `authorization`, is not wanted: before anything of it is read. */
export type Admit = (path: string, authorization: string | undefined) => void;

export interface DoorOptions {
  readonly host: string;
  readonly port: number;
  readonly methods: ReadonlyMap<string, UnaryMethod | StreamMethod>;
  readonly admit: Admit;
  readonly log: AdapterOptions['log'];
  readonly maxMessageBytes: number;
  readonly maxConcurrentStreams: number;
  /** Takes the connections for whatever is not a plain call: an HTTP/2 server. */
  readonly others: (connection: Duplex) => void;
}

export interface Door {
  readonly port: number;
  /** Takes no new connections and calls; resolves when those under way have ended. */
  drain(): Promise<void>;
  destroy(): void;
}

/** A connection of whoever is here, too, sends large frames: they cost less than many small ones. */
const frameBytes = 2 ** 20;
const headerBytes = 2 ** 14;

/**
 * Listens, and answers plain calls by itself: those whose messages are not compressed. What is unusual or wrong goes on to
 * `others`, over one connection in memory for each that came in.
 */
export async function openDoor(options: DoorOptions): Promise<Door> {
  const connections = new Set<Connection>();
  const server = createServer({ noDelay: true }, (socket) => accept(socket, options, connections));
  const port = await listen(server, options);
  return {
    port,
    async drain() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const connection of connections) connection.drain();
      await closed;
    },
    destroy() {
      server.close();
      for (const connection of connections) connection.destroy();
    },
  };
}

const listen = (server: Server, { host, port }: DoorOptions) =>
  new Promise<number>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      const address = server.address();
      resolve(typeof address === 'object' && address ? address.port : port);
    });
  });

function accept(socket: Socket, options: DoorOptions, connections: Set<Connection>): void {
  const { methods, admit, maxMessageBytes, maxConcurrentStreams, others, log } = options;
  const peer = `${socket.remoteAddress}:${socket.remotePort}`;
  let further: Connection | undefined;

  const connection = openServerConnection(socket, {
    mostStreams: maxConcurrentStreams,
    frameBytes,
    headerBytes,
    onStream(stream, fields, end) {
      const asked = readAsked(fields);
      const method = end || !asked.isPlain ? undefined : methods.get(asked.path);
      if (!method) return passOn(stream, fields, end);
      const call =
        method.kind === 'unary'
          ? new UnaryCall(connection, stream, method, fields, maxMessageBytes, peer)
          : new StreamCall(connection, stream, method, fields, maxMessageBytes, peer);
      try {
        admit(asked.path, asked.authorization);
        if (asked.timeout !== undefined) call.limitTo(asked.timeout);
        call.begin();
      } catch (error) {
        if (!(error instanceof RpcError)) throw error;
        call.fail(error.code, error.message);
      }
      return call;
    },
    onClose(error) {
      if (error instanceof Http2Error && error.code === errorCode.internalError)
        log.error({ err: error.cause }, 'unexpected');
      alive[Symbol.dispose]();
      further?.destroy();
    },
  });
  connections.add(connection);
  socket.once('close', () => connections.delete(connection));
  const alive = keepAlive(connection, { whileIdle: true });

  function passOn(stream: Stream, fields: readonly HeaderField[], end: boolean): StreamListener {
    further = further?.usable ? further : openFurther(others);
    const to = further;
    const passed: Stream = to.request(encodeHeaders(fields), end, {
      onHeaders: (answered, ended) => connection.headers(stream, encodeHeaders(answered), ended),
      // a connection in memory does not read over what it told
      onData: (piece, ended) => connection.data(stream, piece, ended, () => to.credit(passed, piece.length)),
      onReset: (code, lost) =>
        connection.reset(stream, lost && code !== errorCode.refusedStream ? errorCode.internalError : code),
    });
    return {
      onHeaders: (trailers, ended) => to.headers(passed, encodeHeaders(trailers), ended),
      onData: (piece, ended) =>
        to.data(passed, Buffer.from(piece), ended, () => connection.credit(stream, piece.length)),
      onReset: (code) => to.reset(passed, code),
    };
  }
}

function openFurther(others: (connection: Duplex) => void): Connection {
  const [here, there] = duplexPair();
  here.once('close', () => there.destroy()); // the ends of a pair do not tell each other
  there.once('close', () => here.destroy());
  others(there);
  return openClientConnection(here, { headerBytes: 2 * headerBytes });
}

interface Asked {
  readonly path: string;
  readonly isPlain: boolean;
  readonly timeout: string | undefined;
  readonly authorization: string | undefined;
}

const plainTypes = new Set(['application/grpc', 'application/grpc+proto']);

function readAsked(fields: readonly HeaderField[]): Asked {
  let path = '';
  let isPost = false;
  let isGrpc = false;
  let isPlain = true;
  let timeout: string | undefined;
  let authorization: string | undefined;
  for (const [name, value] of fields) {
    switch (name) {
      case ':path':
        path = value;
        break;
      case ':method':
        isPost = value === 'POST';
        break;
      case 'content-type':
        isGrpc = plainTypes.has(value);
        break;
      case 'grpc-encoding':
        isPlain &&= value === 'identity';
        break;
      case 'grpc-timeout':
        timeout = value;
        isPlain &&= !broken.test(value);
        break;
      case 'authorization':
        authorization ??= value;
        isPlain &&= !broken.test(value);
        break;
      case ':scheme':
      case ':authority':
      case 'te':
      case 'user-agent':
      case 'accept-encoding':
      case 'grpc-accept-encoding':
        isPlain &&= !broken.test(value); // nobody asks for them here
        break;
      default:
        isPlain &&= !strange.test(name) && !broken.test(value);
    }
  }
  return { path, isPlain: isPlain && isPost && isGrpc, timeout, authorization };
}

// what HTTP/2 forbids: the other server has the words for it
const strange = /[^0-9a-z_.-]|^$|^(connection|keep-alive|proxy-connection|transfer-encoding|upgrade)$/;
const broken = /[^ -~]/;
