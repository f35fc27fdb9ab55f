import type { HeaderField } from './header-table.js';

/** What happens to a stream, as its owner hears it. */
export interface StreamListener {
  /** The first headers of an answer, and the trailers of either side. Those of a request come by `onStream`. */
  onHeaders(fields: readonly HeaderField[], end: boolean): void;
  /** Every byte has to be credited some time: `connection.credit`. The piece stands until this returns. */
  onData(piece: Buffer, end: boolean): void;
  /** The stream ended before both sides had. `error` is there where the connection is lost, with it or before. */
  onReset(code: number, error?: Error): void;
}

/** A part of what a stream sends. */
export type Sending =
  | {
      readonly kind: 'headers';
      readonly block: Buffer;
      readonly end: boolean;
      readonly whenSent?: (() => void) | undefined;
    }
  | {
      readonly kind: 'data';
      readonly bytes: Buffer;
      at: number;
      readonly end: boolean;
      readonly whenSent: (() => void) | undefined;
      readonly whenTaken: (() => void) | undefined;
    };

/** One request and its answer. What is written to it goes by its connection. */
export interface Stream {
  id: number;
  listener: StreamListener;
  /** What may be sent now, and what may come. */
  sendWindow: number;
  receiveWindow: number;
  /** Credited, and not told yet. */
  uncredited: number;
  /** What waits for windows, in order. */
  readonly waiting: Sending[];
  endedHere: boolean;
  endedThere: boolean;
}

export const newStream = (id: number, listener: StreamListener, sendWindow: number, receiveWindow: number): Stream => ({
  id,
  listener,
  sendWindow,
  receiveWindow,
  uncredited: 0,
  waiting: [],
  endedHere: false,
  endedThere: false,
});
