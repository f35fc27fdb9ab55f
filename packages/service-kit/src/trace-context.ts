import { Metadata } from '@grpc/grpc-js';
import type { HeaderField } from '@modelmill/http2';
import { ROOT_CONTEXT, context, isSpanContextValid, propagation, trace } from '@opentelemetry/api';
import type { Context, Span, SpanOptions, Tracer } from '@opentelemetry/api';

/** Where a trace context travels: gRPC metadata, or headers as a plain record (NATS, HTTP). */
export type Carrier = Metadata | Record<string, string>;

/** What it came with: also headers as Node has them, or as they came over HTTP/2. */
export type Arrival = Metadata | Readonly<Record<string, string | string[] | undefined>> | readonly HeaderField[];

/** Writes the active trace context (W3C traceparent) into the carrier, and returns it. */
export function injectContext<C extends Carrier>(carrier: C): C {
  propagation.inject<Carrier>(context.active(), carrier, {
    set: (to, key, value: string) => {
      if (value === '') return; // an empty tracestate says nothing
      if (to instanceof Metadata) to.set(key, value);
      else to[key] = value;
    },
  });
  return carrier;
}

/** The trace context that came with the carrier. */
export function extractContext(carrier: Arrival): Context {
  return propagation.extract<Arrival>(ROOT_CONTEXT, carrier, {
    keys: (from) => {
      if (from instanceof Metadata) return Object.keys(from.getMap());
      return isList(from) ? from.map(([name]) => name) : Object.keys(from);
    },
    get: (from, key) => {
      if (from instanceof Metadata) return from.get(key).map(String);
      if (!isList(from)) return from[key];
      const values = from.filter((field) => field[0] === key);
      return values.length === 0 ? undefined : values.map((field) => field[1]);
    },
  });
}

const isList = (arrival: Arrival): arrival is readonly HeaderField[] => Array.isArray(arrival);

/** A span within the trace that came with the carrier, and the context of what is done in it. */
export function beginSpan(
  tracer: Tracer,
  name: string,
  options: SpanOptions,
  carrier: Arrival,
): { readonly span: Span; readonly within: Context } {
  const parent = extractContext(carrier);
  const span = tracer.startSpan(name, options, parent);
  // where nobody traces there is nothing to pass on
  return { span, within: isSpanContextValid(span.spanContext()) ? trace.setSpan(parent, span) : parent };
}

/**
 * Runs `work` in the context. Where that is the one that is there already, Node is not asked: from the first time on that it is, it
 * keeps a context for every promise of the process.
 */
export const inContext = <T>(wanted: Context, work: () => T): T =>
  wanted === context.active() ? work() : context.with(wanted, work);

/** Runs `work` as a span of the trace that came with the carrier. */
export function inSpan<T>(
  tracer: Tracer,
  name: string,
  options: SpanOptions,
  carrier: Arrival,
  work: () => Promise<T>,
): Promise<T> {
  const { span, within } = beginSpan(tracer, name, options, carrier);
  return inContext(within, work).finally(() => span.end());
}

/** Runs `work` as a part of the trace that came with the carrier. */
export const withContextOf = <T>(carrier: Arrival, work: () => T): T => inContext(extractContext(carrier), work);
