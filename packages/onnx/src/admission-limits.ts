import { AdmissionError } from './admission-error.js';
import { quoted } from './quoted.js';

export interface AdmissionLimits {
  readonly fileBytes: number;
  readonly nodes: number;
  readonly initializers: number;
  readonly functions: number;
  /** Functions calling functions. */
  readonly callDepth: number;
  /** Nodes once every function is written out. */
  readonly expandedNodes: number;
  readonly subgraphDepth: number;
  readonly inputsAndOutputs: number;
  readonly rank: number;
  /** Bytes of a name. */
  readonly nameBytes: number;
  readonly opsets: readonly [lowest: number, highest: number];
}

export const defaultLimits: AdmissionLimits = {
  fileBytes: 2 ** 31 - 1,
  nodes: 50_000,
  initializers: 10_000,
  functions: 256,
  callDepth: 32,
  expandedNodes: 200_000,
  subgraphDepth: 8,
  inputsAndOutputs: 64,
  rank: 8,
  nameBytes: 256,
  opsets: [7, 23],
};

export function most(what: string, got: number, limit: number, unit: string): void {
  if (got > limit) throw new AdmissionError(`${what} has ${got} ${unit}, wants at most ${limit}`);
}

export function checkName(name: string, { nameBytes }: AdmissionLimits): void {
  // a character is at most three bytes per UTF-16 unit
  if (name.length * 3 > nameBytes && Buffer.byteLength(name) > nameBytes) {
    throw new AdmissionError(
      `the name ${quoted(name)} has ${Buffer.byteLength(name)} bytes, wants at most ${nameBytes}`,
    );
  }
}
