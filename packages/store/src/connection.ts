import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from '@nats-io/transport-node';
import type { NatsConnection } from '@nats-io/transport-node';
import { StoreUnavailableError } from './errors.js';

/** What happened to the connection. */
export interface StoreStatus {
  /** `waiting`, `disconnect`, `reconnect`, `error`, `closed`, … */
  readonly type: string;
  readonly data?: unknown;
}

export interface ConnectionOptions {
  readonly natsUrl: string;
  readonly service: string;
  readonly replica: string;
  readonly waitMs: number;
  readonly onStatus: (status: StoreStatus) => void;
  readonly signal?: AbortSignal | undefined;
}

const retryMs = 250;
const goodbyeMs = 1_000;
const oldest = '2.9.4'; // what the KV and pull consumers here need; older servers ignore silently what they lack

/** A connection that comes back by itself. Throws StoreUnavailableError when there is none within `waitMs`. */
export async function connectNats(options: ConnectionOptions): Promise<NatsConnection> {
  const { natsUrl, service, replica, waitMs, onStatus, signal } = options;
  const url = parsed(natsUrl);
  const shown = `nats://${url.host}`;
  const giveUpAt = performance.now() + waitMs;
  for (let tries = 0; ; tries++) {
    signal?.throwIfAborted();
    try {
      const nats = await connect({
        servers: url.host,
        name: `modelmill ${service} ${replica}`,
        inboxPrefix: `_INBOX_${service}`,
        maxReconnectAttempts: -1, // the default closes for good after 20 s
        reconnectTimeWait: retryMs,
        pingInterval: 5_000, // the default notices a frozen server after minutes
        maxPingOut: 2,
        timeout: 2_000,
        ...credentials(url),
      });
      const version = nats.info?.version ?? 'unknown';
      if (!isAtLeast(version, oldest)) {
        await nats.close();
        throw new StoreUnavailableError(`NATS at ${shown} is version ${version}, wants ${oldest} or newer`);
      }
      void forward(nats, onStatus);
      return nats;
    } catch (error) {
      if (error instanceof StoreUnavailableError) throw error;
      const why = error instanceof Error ? error.message : String(error);
      if (performance.now() + retryMs > giveUpAt) {
        throw new StoreUnavailableError(`NATS at ${shown} was not reached within ${waitMs} ms: ${why}`);
      }
      if (tries === 0) onStatus({ type: 'waiting', data: `NATS is not there yet, trying for ${waitMs} ms` });
      await sleep(retryMs, undefined, signal === undefined ? {} : { signal });
    }
  }
}

/** Lets what was said last, such as a job handed back, reach the server if it is there. */
export async function goodbye(nats: NatsConnection): Promise<void> {
  await Promise.race([nats.flush(), sleep(goodbyeMs, undefined, { ref: false })]).catch(() => {}); // away or closed: silence says it, too
  await nats.close();
}

function parsed(natsUrl: string): URL {
  const text = natsUrl.includes('://') ? natsUrl : `nats://${natsUrl}`;
  if (!URL.canParse(text)) throw new StoreUnavailableError(`the NATS URL is '${natsUrl}', wants nats://host:port`);
  return new URL(text);
}

/** Versions as `2.9.10`; what follows a `-` is left out. */
export function isAtLeast(version: string, wanted: string): boolean {
  const numbers = (text: string) => text.split('-')[0]!.split('.').map(Number);
  const [got, want] = [numbers(version), numbers(wanted)];
  const differs = want.findIndex((number, at) => got[at] !== number);
  return differs === -1 || (got[differs] ?? 0) > want[differs]!;
}

const credentials = ({ username, password }: URL) =>
  username === '' ? {} : { user: decodeURIComponent(username), pass: decodeURIComponent(password) };

async function forward(nats: NatsConnection, onStatus: (status: StoreStatus) => void): Promise<void> {
  for await (const { type, ...data } of nats.status()) {
    if (type === 'error') onStatus({ type, data: 'error' in data ? data.error.message : '' });
    else if (type !== 'ping') onStatus({ type });
  }
  onStatus({ type: 'closed' });
}
