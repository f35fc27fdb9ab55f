import { setFlagsFromString } from 'node:v8';

const growthPercent = 200;

/**
 * For services whose messages are large and whose heap is not. V8 counts the memory of messages to its heap, and collects all of
 * it when it has grown by a part of itself: with a heap of 30 to 50 MB every message of 16 MiB had that done, by threads that
 * took three times as long as the message.
 */
export function growHeapInLargeSteps(): void {
  setFlagsFromString(`--heap-growing-percent=${growthPercent}`);
}
