import type { InferenceSession, Tensor } from 'onnxruntime-node';
import { ortBytes, ortTensorIn } from './tensor.js';
import { formless, runUncopied } from './uncopied-run.js';

type Tensors = Readonly<Record<string, Tensor>>;

/** Outputs of a run, as they lie in the room. */
interface Layout {
  readonly tensors: readonly {
    readonly name: string;
    readonly type: Tensor.Type;
    readonly dims: readonly number[];
    readonly at: number;
  }[];
  readonly bytes: number;
}

/** A model, and where its outputs lie for inputs of some shapes. */
export interface RoomyModel {
  readonly session: InferenceSession;
  /** Undefined: it is run as usual. */
  layouts: Map<string, Layout> | undefined;
}

/** Where large outputs lie that are done with before the next run. */
export interface OutputRoom {
  run(model: RoomyModel, feeds: Tensors, outputs: readonly string[]): Promise<Tensors>;
  release(): void;
}

/** From here on copies cost more than what is done to spare them: 128 KiB take 32 µs either way, 256 KiB 45 or 60, 1 MiB 168 or 268. */
const smallestBytes = 2 ** 18;
const largestBytes = 2 ** 26;
const mostLayouts = 64;
const boundary = 64;

/** For a model that `uncopied` made. */
export function layoutsOf({ inputMetadata, outputMetadata }: InferenceSession): RoomyModel['layouts'] {
  const inputs = new Map(inputMetadata.map((input) => [input.name, input.isTensor ? input.shape : []]));
  const sizes = new Set([...inputs.values()].flat().filter((size) => size !== ''));
  const follows = outputMetadata
    .filter(({ name }) => name !== formless)
    .every(
      (output) =>
        output.isTensor &&
        // ONNX Runtime does not write an input where an output is wanted
        !inputs.has(output.name) &&
        output.shape.every((size) => typeof size === 'number' || sizes.has(size)),
    );
  return follows ? new Map() : undefined;
}

export function openOutputRoom(): OutputRoom {
  let room = new ArrayBuffer(0);

  function placesIn({ tensors, bytes }: Layout): Record<string, Tensor> {
    if (bytes > room.byteLength) room = new ArrayBuffer(bytes);
    return Object.fromEntries(tensors.map(({ name, type, dims, at }) => [name, ortTensorIn(room, at, type, dims)]));
  }

  return {
    async run(model, feeds, outputs) {
      const { session, layouts } = model;
      const layout = layouts?.size ? layouts.get(keyOf(feeds, outputs)) : undefined;
      if (layout === undefined) {
        const results = await session.run(feeds, outputs);
        const learned = layouts && layoutOf(results, session);
        if (learned) {
          if (layouts.size >= mostLayouts) layouts.clear();
          layouts.set(keyOf(feeds, outputs), learned);
        }
        return results;
      }
      const places = placesIn(layout);
      try {
        await runUncopied(session, feeds, places);
        return places;
      } catch {
        const results = await session.run(feeds, outputs); // it may be wrong about the inputs alone, and says so here
        model.layouts = undefined;
        return results;
      }
    },
    release: () => (room = new ArrayBuffer(0)),
  };
}

const keyOf = (feeds: Tensors, outputs: readonly string[]) =>
  JSON.stringify([Object.entries(feeds).map(([name, { dims }]) => [name, dims]), outputs]);

/** Where outputs like these will lie, if that is worth it. */
function layoutOf(results: Tensors, { outputMetadata }: InferenceSession): Layout | undefined {
  let end = 0;
  const tensors = [];
  for (const [name, { type, dims }] of Object.entries(results)) {
    const bytes = ortBytes(type, dims);
    if (bytes === undefined) return undefined;
    tensors.push({ name, type, dims: [...dims], at: end });
    end += Math.ceil(bytes / boundary) * boundary;
  }
  if (end < smallestBytes || end > largestBytes) return undefined;
  // a model may say what is not so, which ONNX Runtime lets pass where it takes the memory
  const declared = new Map(outputMetadata.map((output) => [output.name, output.isTensor ? output.shape : []]));
  const isAsDeclared = tensors.every(({ name, dims }) => {
    const shape = declared.get(name)!;
    return shape.length === dims.length && shape.every((size, i) => typeof size === 'string' || size === dims[i]);
  });
  return isAsDeclared ? { tensors, bytes: end } : undefined;
}
