import type { ExampleDigit } from './example-digit.js';

/** The roles of the demo's four versions. */
export const roles = ['trained', 'int8', 'pruned', 'student'] as const;
export type Role = (typeof roles)[number];

/** One version's figures, from the optimizer's reports: measured on held-out rows, latencies side by side in one runner. */
export interface VersionFigures {
  readonly version: string;
  readonly method: string;
  readonly accuracy: number;
  readonly sizeBytes: number;
  readonly parameters: number;
  readonly sparsity: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** All that the demo found. */
export interface Outcome {
  readonly versions: Readonly<Record<Role, VersionFigures>>;
  readonly stable: { readonly version: string; readonly rule: string };
  readonly ready: boolean;
  readonly answersEqual: boolean;
  readonly answers: readonly { readonly call: string; readonly digit: number; readonly version?: string | undefined }[];
  readonly example: ExampleDigit;
  readonly seconds: number;
}

/** Every promise that did not hold, in words with figures. */
export function brokenPromises({ versions, stable, ready, answersEqual, answers, example }: Outcome): string[] {
  const { trained, int8, pruned, student } = versions;
  const atLeast = (what: string, got: number, want: number) =>
    got >= want - 1e-9 ? [] : [`${what} is ${got.toFixed(4)}, wanted at least ${want.toFixed(4)}`];
  return [
    ...atLeast('accuracy of the trained version', trained.accuracy, 0.98),
    ...atLeast('accuracy of the int8 version', int8.accuracy, trained.accuracy - 0.005),
    ...atLeast('accuracy of the pruned version', pruned.accuracy, trained.accuracy - 0.01),
    ...atLeast('accuracy of the student', student.accuracy, trained.accuracy - 0.02),
    // the pass keeps a whole number of weights: the nearest to a fifth of them
    ...atLeast('sparsity of the pruned version', pruned.sparsity, 0.8 - 1 / pruned.parameters),
    ...(student.parameters * 10 <= trained.parameters
      ? []
      : [`the student has ${student.parameters} parameters, wanted at most a tenth of ${trained.parameters}`]),
    ...(ready ? [] : [`no ready event for version ${stable.version}`]),
    ...(answersEqual ? [] : ['the three doors answered differently']),
    ...answers.flatMap(({ call, version }) =>
      version === undefined || version === stable.version
        ? []
        : [`${call} ran version ${version}, stable is ${stable.version}`],
    ),
    ...(answers.every(({ digit }) => digit === example.digit)
      ? []
      : [`the digit is a ${example.digit}, and was not recognized`]),
  ];
}

/** The outcome as the one JSON object of `mill demo --json`. */
export function asJson(outcome: Outcome): Record<string, unknown> {
  const { versions, stable, ready, answersEqual, answers, seconds } = outcome;
  const of = <T>(pick: (figures: VersionFigures) => T) =>
    Object.fromEntries(roles.map((role) => [role, pick(versions[role])])) as Record<Role, T>;
  return {
    accuracy: of(({ accuracy }) => accuracy),
    sparsity: versions.pruned.sparsity,
    parameters: of(({ parameters }) => parameters),
    sizeBytes: of(({ sizeBytes }) => sizeBytes),
    latencyMs: of(({ p50Ms, p99Ms }) => ({ p50: p50Ms, p99: p99Ms })),
    versions: of(({ version }) => version),
    stable,
    ready,
    answersEqual,
    answers,
    seconds,
  };
}
