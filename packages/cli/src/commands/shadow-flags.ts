import type { registry } from '@modelmill/client';
import { UsageError } from '../cli-error.js';
import { numberFlag } from '../read-args.js';

/** Flags of `models label` that give it a shadow. */
export const shadowFlags = { shadow: { type: 'string' }, 'shadow-share': { type: 'string' } } as const;

type Values = { readonly [Flag in keyof typeof shadowFlags]?: string | undefined };

/** The shadow of the flags; undefined where none is given. */
export function shadowOf({ shadow: version, 'shadow-share': share }: Values): Partial<registry.Shadow> | undefined {
  if (version === undefined && share !== undefined) throw new UsageError('--shadow-share wants --shadow with it');
  if (version === undefined) return undefined;
  const most = share === undefined ? 1 : numberFlag('shadow-share', share, { min: 0, max: 1 });
  if (most === 0) throw new UsageError("--shadow-share is '0', wanted a share above 0");
  return { version, share: most };
}

/** What runs a label's requests again; undefined where nothing does. */
export function shadowText({ name, shadow }: registry.Label): string | undefined {
  if (shadow === undefined) return undefined;
  const requests = shadow.share === 1 ? 'the requests' : `${Number((100 * shadow.share).toFixed(2))} % of the requests`;
  return `version ${shadow.version} runs ${requests} to ${name} again, as its shadow`;
}
