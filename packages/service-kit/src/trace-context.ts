import { Metadata } from '@grpc/grpc-js';
import { ROOT_CONTEXT, context, propagation } from '@opentelemetry/api';
import type { Context } from '@opentelemetry/api';

/** Where a trace context travels: gRPC metadata, or headers as a plain record (NATS, HTTP). */
export type Carrier = Metadata | Record<string, string>;

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
export function extractContext(carrier: Carrier): Context {
  return propagation.extract<Carrier>(ROOT_CONTEXT, carrier, {
    keys: (from) => (from instanceof Metadata ? Object.keys(from.getMap()) : Object.keys(from)),
    get: (from, key) => (from instanceof Metadata ? from.get(key).map(String) : from[key]),
  });
}

/** Runs `work` as a part of the trace that came with the carrier. */
export const withContextOf = <T>(carrier: Carrier, work: () => T): T => context.with(extractContext(carrier), work);
