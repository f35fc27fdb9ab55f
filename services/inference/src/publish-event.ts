import type { Store } from '@modelmill/store';
import type { RepositoryEvent } from './repository.js';

/** Tells the mesh what happened to a version on this replica. */
export async function publishEvent(events: Store['events'], replica: string, event: RepositoryEvent): Promise<void> {
  const { subject, data } = factOf(event);
  const msgId = `${subject}.${replica}.${Date.now()}`; // a version can be loaded here more than once
  await events.publish({ subject, data: { replica, ...data }, msgId });
}

function factOf(event: RepositoryEvent): { subject: string; data: Record<string, unknown> } {
  switch (event.kind) {
    case 'ready': {
      const { model, version, loaded, batched, memoryBytes } = event.served;
      const { provider, loadMs } = loaded;
      const how = memoryBytes > 0 ? { provider, loadMs } : { cold: true };
      return { subject: `model.${model}.${version}.ready`, data: { model, version, ...how, batched } };
    }
    case 'unloaded': {
      const { model, version } = event;
      return { subject: `model.${model}.${version}.unloaded`, data: { model, version } };
    }
    case 'failed': {
      const { model, version, reason } = event;
      return { subject: `model.${model}.${version}.failed`, data: { model, version, reason } };
    }
  }
}
