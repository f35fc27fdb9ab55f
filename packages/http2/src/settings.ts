import { Http2Error, defaultFrameBytes, defaultWindowBytes, errorCode, mostWindowBytes, setting } from './protocol.js';

/** What of the other end's settings matters to who sends to it. */
export interface PeerSettings {
  initialWindowBytes: number;
  frameBytes: number;
  mostStreams: number;
}

export const defaultSettings = (): PeerSettings => ({
  initialWindowBytes: defaultWindowBytes,
  frameBytes: defaultFrameBytes,
  mostStreams: 100, // until it says more: what RFC 9113 advises to take at least
});

const entryBytes = 6;
const largestFrameBytes = 2 ** 24 - 1;

/** Takes a SETTINGS frame into `settings`; the first one, which says how many streams there may be or that all may. Throws Http2Error. */
export function readSettings(payload: Buffer, settings: PeerSettings, isFirst: boolean): void {
  if (isFirst) settings.mostStreams = Infinity;
  if (payload.length % entryBytes !== 0) {
    throw new Http2Error(errorCode.frameSizeError, `settings of ${payload.length} bytes, which is no multiple of 6`);
  }
  for (let at = 0; at < payload.length; at += entryBytes) {
    const value = payload.readUInt32BE(at + 2);
    switch (payload.readUInt16BE(at)) {
      case setting.initialWindowSize:
        if (value > mostWindowBytes) {
          throw new Http2Error(errorCode.flowControlError, `an initial window of ${value} bytes`);
        }
        settings.initialWindowBytes = value;
        break;
      case setting.maxFrameSize:
        if (value < defaultFrameBytes || value > largestFrameBytes) {
          throw new Http2Error(errorCode.protocolError, `frames of ${value} bytes`);
        }
        settings.frameBytes = value;
        break;
      case setting.maxConcurrentStreams:
        settings.mostStreams = value;
        break;
      default: // of what is not sent here, or not known
    }
  }
}

export function writeSettings(entries: readonly (readonly [setting: number, value: number])[]): Buffer {
  const payload = Buffer.alloc(entries.length * entryBytes);
  entries.forEach(([name, value], i) => {
    payload.writeUInt16BE(name, i * entryBytes);
    payload.writeUInt32BE(value, i * entryBytes + 2);
  });
  return payload;
}
