import { timeoutMs } from './call-headers.js';

const mostTimerMs = 2 ** 31 - 1;

/** What limits a call in time: its deadline, and after its answer how long that waits to be read. */
export class CallTime {
  /** In ms of the epoch; Infinity: none. */
  deadline = Infinity;
  #timer: NodeJS.Timeout | undefined;
  #soon: NodeJS.Immediate | undefined;

  constructor(private readonly onEnd: () => void) {}

  /** Takes `grpc-timeout`; false where that is none. */
  limitTo(timeout: string): boolean {
    const ms = timeoutMs(timeout);
    if (ms === undefined) return false;
    this.deadline = Date.now() + ms;
    this.atMost(ms);
    return true;
  }

  /** Unless there is a limit already. */
  atMost(ms: number): void {
    if (ms > mostTimerMs || this.#timer || this.#soon) return;
    // a timer waits for a millisecond at least, in which an answer may come
    if (ms < 1) this.#soon = setImmediate(() => this.#end());
    else this.#timer = setTimeout(() => this.#end(), ms).unref();
  }

  #end(): void {
    this.#timer = undefined;
    this.#soon = undefined;
    this.onEnd();
  }

  /** The deadline is now at the latest: the clocks of timers and dates differ by a little. */
  pass(): void {
    this.deadline = Math.min(this.deadline, Date.now());
  }

  clear(): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#soon);
    this.#timer = undefined;
    this.#soon = undefined;
  }
}
