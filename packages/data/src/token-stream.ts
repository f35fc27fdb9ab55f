import { openScratchFile } from './scratch-file.js';

/** The tokens of a text in their order, in memory or, where they are many, in a file. */
export interface TokenStream {
  readonly length: number;
  /** Tokens `start` … `start + to.length − 1`. */
  read(start: number, to: Uint16Array): void;
}

/** Bytes of tokens that stay in memory. */
const mostInMemory = 64 * 2 ** 20;

export const tokensInMemory = (tokens: Uint16Array): TokenStream => ({
  length: tokens.length,
  read: (start, to) => to.set(tokens.subarray(start, start + to.length)),
});

/** Takes tokens in as they come; beyond `memoryBytes` they go to a file that lasts as long as the process. */
export function createTokenWriter(memoryBytes = mostInMemory) {
  const parts: Uint16Array[] = [];
  let length = 0;
  let file: ReturnType<typeof openScratchFile> | undefined;
  const toFile = (part: Uint16Array) => file!.append(new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
  return {
    add(tokens: Uint16Array): void {
      length += tokens.length;
      if (file === undefined && 2 * length <= memoryBytes) return void parts.push(tokens);
      if (file === undefined) {
        file = openScratchFile();
        parts.splice(0).forEach(toFile);
      }
      toFile(tokens);
    },
    finish(): TokenStream {
      const written = file;
      if (written) {
        return {
          length,
          read: (start, to) => written.read(2 * start, new Uint8Array(to.buffer, to.byteOffset, to.byteLength)),
        };
      }
      const tokens = new Uint16Array(length);
      let at = 0;
      for (const part of parts) {
        tokens.set(part, at);
        at += part.length;
      }
      return tokensInMemory(tokens);
    },
  };
}
