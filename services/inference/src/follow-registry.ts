import type { registry } from '@modelmill/contracts';
import type { Store } from '@modelmill/store';

/** Lists the models now and after every change, one listing at a time, until disposed. */
export async function followRegistry(
  models: Pick<Store['registry'], 'models' | 'watch'>,
  onModels: (models: readonly registry.Model[]) => void,
  onTrouble: (error: unknown) => void,
): Promise<AsyncDisposable & { readonly again: () => void }> {
  let listing: Promise<void> | undefined;
  let changed = false;
  let closed = false;

  /** The store watches on where a listing fails, and tells again. */
  async function listWhileChanged() {
    while (changed && !closed) {
      changed = false;
      try {
        const now = await models.models();
        if (!closed) onModels(now);
      } catch (error) {
        onTrouble(error);
      }
    }
    listing = undefined;
  }

  function again() {
    changed = true;
    listing ??= listWhileChanged();
  }

  const watching = models.watch(again);
  onModels(await models.models());
  return {
    again,
    async [Symbol.asyncDispose]() {
      closed = true;
      await watching[Symbol.asyncDispose]();
      await listing;
    },
  };
}

/** What changed last goes first; what is not among the times came later. */
export const latestFirst = (
  models: readonly registry.Model[],
  changedAt: ReadonlyMap<string, Date>,
): readonly registry.Model[] => {
  const time = ({ name }: registry.Model) => changedAt.get(name)?.getTime() ?? Number.MAX_SAFE_INTEGER;
  return [...models].sort((a, b) => time(b) - time(a));
};
