import type { Metadata } from '@grpc/grpc-js';
import type { HeaderField } from '@modelmill/http2';

/** Metadata in HTTP/2's words; binary values as base64. */
export const headerFields = (metadata: Metadata): HeaderField[] =>
  Object.entries(metadata.toHttp2Headers()).flatMap(([name, values]) =>
    [values].flat().map((value): HeaderField => [name, String(value)]),
  );
