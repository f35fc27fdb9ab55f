import { createChannel } from './channel.js';
import type { Channel, ChannelOptions } from './channel.js';
import { createDatasetsClient } from './datasets-client.js';
import type { DatasetsClient } from './datasets-client.js';
import { createEventsClient } from './events-client.js';
import type { EventsClient } from './events-client.js';
import { createInferenceClient } from './inference-client.js';
import type { InferenceClient } from './inference-client.js';
import { createOptimizerClient } from './optimizer-client.js';
import type { OptimizerClient } from './optimizer-client.js';
import { createRegistryClient } from './registry-client.js';
import type { RegistryClient } from './registry-client.js';
import { createServingClient } from './serving-client.js';
import type { ServingClient } from './serving-client.js';
import { createTrainerClient } from './trainer-client.js';
import type { TrainerClient } from './trainer-client.js';

/** A connected mesh (or one service of it: then only its own calls answer). */
export interface Mill extends AsyncDisposable {
  readonly channel: Channel;
  readonly registry: RegistryClient;
  readonly datasets: DatasetsClient;
  readonly trainer: TrainerClient;
  readonly optimizer: OptimizerClient;
  readonly events: EventsClient;
  readonly inference: InferenceClient;
  readonly serving: ServingClient;
}

/** Calls reject with MillError. */
export function connectMill(options: ChannelOptions): Mill {
  const channel = createChannel(options);
  return {
    channel,
    registry: createRegistryClient(channel),
    datasets: createDatasetsClient(channel),
    trainer: createTrainerClient(channel),
    optimizer: createOptimizerClient(channel),
    events: createEventsClient(channel),
    inference: createInferenceClient(channel),
    serving: createServingClient(channel),
    [Symbol.asyncDispose]: () => channel[Symbol.asyncDispose](),
  };
}
