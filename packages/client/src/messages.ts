import {
  datasets,
  events,
  inference,
  jobs,
  modelConfig,
  optimizer,
  registry,
  serving,
  trainer,
} from '@modelmill/contracts';

interface Packages {
  'modelmill.v1': typeof registry &
    typeof serving &
    typeof datasets &
    typeof jobs &
    typeof trainer &
    typeof optimizer &
    typeof events;
  inference: typeof inference & typeof modelConfig;
}

const packages: Packages = {
  'modelmill.v1': { ...registry, ...serving, ...datasets, ...jobs, ...trainer, ...optimizer, ...events },
  inference: { ...inference, ...modelConfig },
};

interface Codec<T> {
  encode(message: T): { finish(): Uint8Array };
  decode(bytes: Uint8Array): T;
}

type Named<P extends keyof Packages> = {
  [
    K in keyof Packages[P] & string as Packages[P][K] extends { decode: unknown } ? `${P}.${K}` : never
  ]: Packages[P][K] extends { decode: (bytes: Uint8Array) => infer T } ? T : never;
};

/** Every message of the contracts by its full name; a nested one is written `Outer_Inner`. */
type Messages = Named<'modelmill.v1'> & Named<'inference'>;

/** Such as `modelmill.v1.TrainingSpec`. */
export type MessageName = keyof Messages;

export type MessageOf<N extends MessageName> = Messages[N];

export const codecs = Object.fromEntries(
  Object.entries(packages).flatMap(([name, types]) =>
    Object.entries(types).flatMap(([type, codec]: [string, unknown]) =>
      isCodec(codec) ? [[`${name}.${type}`, codec]] : [],
    ),
  ),
) as { [N in MessageName]: Codec<MessageOf<N>> };

// The namespaces also hold services and clients.
function isCodec(value: unknown): value is Codec<unknown> {
  return typeof value === 'object' && value !== null && 'decode' in value;
}
