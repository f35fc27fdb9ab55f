import { hash, timingSafeEqual } from 'node:crypto';
import { hostAndPort } from '@modelmill/service-kit';
import type { Admit } from '@modelmill/service-kit';
import { keyMissing, keyUnknown } from './errors.js';

/** Throws UNAUTHENTICATED unless the `authorization` header presents one of the keys. */
export type KeyCheck = (authorization: string | undefined) => void;

const digest = (text: string) => hash('sha256', text, 'buffer');

/** Compares digests, and all of them, so that time tells nothing. Without keys everyone may come in. */
export function createKeyCheck(keys: readonly string[]): KeyCheck {
  const known = keys.map(digest);
  return (authorization) => {
    if (known.length === 0) return;
    if (!authorization) throw keyMissing();
    const [, given = ''] = /^Bearer +(\S+)$/i.exec(authorization) ?? [];
    const presented = digest(given);
    const matches = known.filter((key) => timingSafeEqual(key, presented));
    if (matches.length === 0) throw keyUnknown();
  };
}

// whoever probes a server has no key
const open = /^\/(grpc\.health\.v1\.Health|inference\.GRPCInferenceService)\/(Check|Watch|ServerLive|ServerReady)$/;

/** What of the gRPC door's calls needs a key: all but probes. */
export const withKey =
  (check: KeyCheck): Admit =>
  (path, authorization) => {
    if (!open.test(path)) check(authorization);
  };

/** Whether a server on this host:port can be reached from this machine only. */
export function isLoopback(listen: string): boolean {
  const { host } = hostAndPort(listen);
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}
