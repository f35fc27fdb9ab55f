/** The words of RFC 9113. */
export const frameType = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const flag = { endStream: 1, ack: 1, endHeaders: 4, padded: 8, priority: 32 } as const;

export const errorCode = {
  noError: 0,
  protocolError: 1,
  internalError: 2,
  flowControlError: 3,
  settingsTimeout: 4,
  streamClosed: 5,
  frameSizeError: 6,
  refusedStream: 7,
  cancel: 8,
  compressionError: 9,
  connectError: 10,
  enhanceYourCalm: 11,
} as const;

export const setting = {
  headerTableSize: 1,
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
  maxHeaderListSize: 6,
} as const;

export const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

export const frameHeaderBytes = 9;
export const defaultWindowBytes = 65_535;
export const defaultFrameBytes = 16_384;
export const mostWindowBytes = 2 ** 31 - 1;

/** What the other end did wrong; the connection ends with `code`. */
export class Http2Error extends Error {
  override readonly name = 'Http2Error';
  constructor(
    readonly code: number,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** `FLOW_CONTROL_ERROR` for 3: as RFC 9113 and everybody's logs have it. */
export function errorName(code: number): string {
  const [name] = Object.entries(errorCode).find(([, known]) => known === code) ?? [];
  return name === undefined ? `code ${code}` : name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

export function onlyUint32(payload: Buffer): number {
  if (payload.length !== 4) throw new Http2Error(errorCode.frameSizeError, `a frame of ${payload.length} bytes, not 4`);
  return payload.readUInt32BE(0);
}
