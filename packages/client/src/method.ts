/** One method of a gRPC service, as the generated service definitions hold it. */
export interface Method<Request, Response> {
  readonly path: string;
  requestSerialize(value: Request): Buffer;
  responseDeserialize(value: Buffer): Response;
}
