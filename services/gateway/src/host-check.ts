import type { IncomingHttpHeaders } from 'node:http';
import { wrongHost, wrongOrigin } from './errors.js';
import { isLoopback } from './keys.js';

/** Throws unless the request's Host and Origin are ones this server answers for. */
export type HostCheck = (headers: IncomingHttpHeaders) => void;

/**
 * Keeps web pages of others out: a page reaches a loopback server under its own name (DNS rebinding), or sends its
 * Origin. Beyond loopback any Host will do, unless names are given, for there are keys.
 */
export function createHostCheck(listen: string, allowed: readonly string[]): HostCheck {
  const strict = isLoopback(listen) || allowed.length > 0;
  const isOurs = (host: string) => isLoopback(`${host}:0`) || allowed.includes(host);
  return ({ host = '', origin }) => {
    const name = withoutPort(host);
    if (strict && !isOurs(name)) throw wrongHost(host.slice(0, 80));
    if (origin === undefined) return;
    const from = URL.canParse(origin) ? new URL(origin).host : '';
    if (from !== host && !allowed.includes(withoutPort(from))) throw wrongOrigin(origin.slice(0, 80));
  };
}

const withoutPort = (host: string) => host.replace(/:\d+$/, '').toLowerCase();
