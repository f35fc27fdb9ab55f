import type { PassContext } from './pass-context.js';

/** Told before a layer is worked on: which it is, of how many. */
export type OnLayer = (layer: string, at: number, of: number) => Promise<void> | void;

/** Tells a job's watchers, such as 'quantizing conv3 (12 of 54)'. */
export const layerByLayer =
  ({ signal, onProgress }: Pick<PassContext, 'signal' | 'onProgress'>, doing: string): OnLayer =>
  (layer, at, of) => {
    signal.throwIfAborted();
    return onProgress(`${doing} ${layer} (${at + 1} of ${of})`, at / of);
  };
