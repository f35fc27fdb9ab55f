import type { IncomingHttpHeaders } from 'node:http';
import type { Caller } from './forward.js';

/** A request of the REST door, as its routes see it. */
export interface RestRequest {
  /** The path's parameters, decoded. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly caller: Caller;
  /** All of the body, decompressed. Throws 413 beyond the limit. */
  body(maxBytes: number): Promise<Buffer>;
  /** The body as it comes. */
  chunks(): AsyncIterable<Uint8Array>;
}

export interface RestAnswer {
  /** 200 unless it says otherwise. */
  readonly status?: number;
  readonly type: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Whole, in pieces that are all here, or as it comes. */
  readonly body: string | Buffer | readonly Buffer[] | AsyncIterable<string | Uint8Array>;
}

export type RestHandler = (request: RestRequest) => Promise<RestAnswer>;

export type Verb = 'GET' | 'POST' | 'PUT' | 'DELETE';

/** One line of the REST door. */
export interface RestRoute {
  readonly verb: Verb;
  /** As OpenAPI writes it: `/v2/models/{model}/infer`. */
  readonly path: string;
  readonly handle: RestHandler;
  /** Answers without a key. */
  readonly open?: boolean;
  readonly doc: RouteDoc;
}

/** What the OpenAPI document says about a route beside its path. */
export interface RouteDoc {
  readonly tag: string;
  readonly summary: string;
  /** Names and meanings of the query's parameters. */
  readonly query?: Readonly<Record<string, string>>;
  /** Headers of the request. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly request?: Content;
  readonly answer: Content;
}

/** A content type with the name of a schema, or a schema of its own. */
export interface Content {
  readonly type: string;
  readonly schema: object;
}

const jsonType = 'application/json';

export const json = (schema: object): Content => ({ type: jsonType, schema });

/** An answer in JSON: a value, or text that is JSON already. */
export const jsonAnswer = (body: unknown): RestAnswer => ({
  type: `${jsonType}; charset=utf-8`,
  body: typeof body === 'string' ? body : JSON.stringify(body),
});
