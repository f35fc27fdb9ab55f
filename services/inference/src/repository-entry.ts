import type { registry } from '@modelmill/contracts';
import { registry as contract } from '@modelmill/contracts';
import type { RpcError } from '@modelmill/service-kit';
import { versionsOf } from '@modelmill/store';
import type { ServedVersion } from './served-version.js';
import type { TrafficSplit } from './traffic-split.js';

/** What a replica knows of one version. `refusal`: trying again would be of no use, and requests are told why. */
export type Held =
  | { readonly kind: 'loading' }
  | { readonly kind: 'ready'; readonly served: ServedVersion }
  | { readonly kind: 'failed'; readonly reason: string; readonly at: number; readonly refusal?: RpcError | undefined }
  | { readonly kind: 'unloading' };

/** What a replica knows of one model. */
export interface Entry {
  known: registry.Model;
  readonly held: Map<string, Held>;
  /** Where each label's requests go now: its last targets that were all ready. */
  readonly routes: Map<string, TrafficSplit>;
  /** Told to load everything. */
  all: boolean;
  /** The labels at the time it was told to unload. */
  unloadedAt: string | undefined;
}

/** One line of the index: a version and whether it answers. */
export interface ModelIndex {
  readonly name: string;
  readonly version: string;
  /** READY, LOADING, UNLOADING or UNAVAILABLE. */
  readonly state: string;
  readonly reason: string;
}

export const emptyEntry = (known: registry.Model): Entry => ({
  known,
  held: new Map(),
  routes: new Map(),
  all: false,
  unloadedAt: undefined,
});

export function wanted({ known, all, unloadedAt }: Entry): registry.Version[] {
  if (unloadedAt !== undefined) return [];
  const named = new Set(known.labels.flatMap(versionsOf));
  return known.versions.filter(
    ({ version, state }) => state === contract.VersionState.VERSION_STATE_ADMITTED && (all || named.has(version)),
  );
}

/** What is wanted and not begun, or failed so long ago that it is tried again. */
export function missing(entry: Entry, retryMs: number): registry.Version[] {
  return wanted(entry).filter(({ version }) => {
    const now = entry.held.get(version);
    return now === undefined || (now.kind === 'failed' && !now.refusal && performance.now() - now.at > retryMs);
  });
}

export function readyOf(entry: Entry, version: string): ServedVersion | undefined {
  const held = entry.held.get(version);
  return held?.kind === 'ready' ? held.served : undefined;
}

/** Lowest version first. */
export const loadedOf = ({ held }: Entry): ServedVersion[] =>
  [...held.values()]
    .flatMap((of) => (of.kind === 'ready' ? [of.served] : []))
    .sort((a, b) => Number(a.version) - Number(b.version));

/** Whether a version runs other versions' requests for comparison, and has none of its own. */
export const isShadowAlone = ({ known: { labels }, all }: Entry, version: string): boolean =>
  !all &&
  labels.some(({ shadow }) => shadow?.version === version) &&
  !labels.some(({ targets }) => targets.some((target) => target.version === version));

export const isKnown = ({ known }: Entry, version: string) =>
  known.versions.some((of) => of.version === version) || known.labels.some(({ name }) => name === version);

export function indexOf(entry: Entry): ModelIndex[] {
  const { known, held } = entry;
  if (known.versions.length === 0) return [{ name: known.name, version: '', state: 'UNAVAILABLE', reason: '' }];
  const inTurn = new Set(wanted(entry)); // or loading already
  return known.versions.map((of) => {
    const now = held.get(of.version) ?? (inTurn.has(of) ? ({ kind: 'loading' } as const) : undefined);
    return { name: known.name, version: of.version, ...stateOf(of, now) };
  });
}

function stateOf(version: registry.Version, held: Held | undefined): { state: string; reason: string } {
  switch (held?.kind) {
    case 'ready':
      return { state: 'READY', reason: held.served.memoryBytes > 0 ? '' : coldReason };
    case 'loading':
      return { state: 'LOADING', reason: '' };
    case 'unloading':
      return { state: 'UNLOADING', reason: '' };
    case 'failed':
      return { state: 'UNAVAILABLE', reason: held.reason };
    case undefined:
      return { state: 'UNAVAILABLE', reason: version.rejectionReason || 'no label points at it' };
  }
}

const coldReason = 'not in memory: its next request loads it';

export const labelsText = ({ labels }: registry.Model) =>
  labels
    .map(({ name, targets, shadow }) => {
      const weights = targets.map(({ version, weight }) => `${version}*${weight}`).join();
      return `${name}:${weights}/${shadow?.version ?? ''}`;
    })
    .join(';');
