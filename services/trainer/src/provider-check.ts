import { probeProvider } from '@modelmill/runtime';
import type { Provider } from '@modelmill/runtime';
import * as errors from './errors.js';

export interface ProviderCheck {
  /** Throws an RpcError where this machine cannot compute on the provider. */
  check(provider: Provider): Promise<void>;
}

/** How long a device that was not found is not looked for again. */
const missingMs = 30_000;

/** Asks each provider's device once, and one that was missing again after a while: a process is started for it. */
export function createProviderCheck(environment: Readonly<Record<string, string>>): ProviderCheck {
  const asked = new Map<Provider, Promise<string | undefined>>();

  async function probe(provider: Provider): Promise<string | undefined> {
    const problem = await probeProvider(provider, environment);
    if (problem !== undefined) setTimeout(() => asked.delete(provider), missingMs).unref();
    return problem;
  }

  return {
    async check(provider) {
      const answer = asked.get(provider) ?? probe(provider);
      asked.set(provider, answer);
      const problem = await answer;
      if (problem !== undefined) throw errors.providerMissing(provider, problem);
    },
  };
}
