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

  async function list() {
    do {
      changed = false;
      const now = await models.models();
      if (!closed) onModels(now);
    } while (changed);
  }

  function again() {
    changed = true;
    listing ??= list()
      .catch(onTrouble) // the store watches on and lists again by itself
      .finally(() => (listing = undefined));
  }

  const watching = models.watch(again);
  await list();
  return {
    again,
    async [Symbol.asyncDispose]() {
      closed = true;
      await watching[Symbol.asyncDispose]();
      await listing;
    },
  };
}
