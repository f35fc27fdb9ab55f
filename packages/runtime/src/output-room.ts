import type { InferenceSession, Tensor } from 'onnxruntime-node';
import { ortBytes, ortTensorIn } from './tensor.js';
import { runUncopied } from './uncopied-run.js';

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

/** Runs models so that large outputs lie where those of the run before lay: until the next run, that is. */
export type RunInRoom = (model: RoomyModel, feeds: Tensors, outputs: readonly string[]) => Promise<Tensors>;

/** A model, and what it gave for inputs of some shapes. */
export interface RoomyModel {
  readonly session: InferenceSession;
  /**
   * Undefined where `uncopied` did not make it, an output is an input (which ONNX Runtime does not write where it is wanted), or
   * shapes of outputs follow from more than those of inputs.
   */
  layouts: Map<string, Layout | 'as usual'> | undefined;
}

/** For a model that `uncopied` made. */
export const layoutsOf = ({ inputNames, outputNames }: InferenceSession): RoomyModel['layouts'] =>
  outputNames.some((name) => inputNames.includes(name)) ? undefined : new Map();

/** From here on new memory costs more than to lay tensors out; and this much is kept. */
const smallestBytes = 2 ** 16;
const largestBytes = 2 ** 26;
const mostLayouts = 64;
const boundary = 64;

export function openOutputRoom(): RunInRoom {
  let room = new ArrayBuffer(0);

  return async (model, feeds, outputs) => {
    const { session, layouts } = model;
    if (layouts === undefined) return session.run(feeds, outputs);
    const key = keyOf(feeds, outputs);
    const layout = layouts.get(key);
    if (layout === 'as usual') return session.run(feeds, outputs);
    if (layout === undefined) {
      const results = await session.run(feeds, outputs);
      if (layouts.size >= mostLayouts) layouts.clear();
      layouts.set(key, layoutOf(results));
      return results;
    }
    const places = placesIn(layout);
    try {
      await runUncopied(session, feeds, places);
      return places;
    } catch (error) {
      if (!unlike.test(String(error))) throw error;
      model.layouts = undefined;
      return session.run(feeds, outputs);
    }
  };

  function placesIn(layout: Layout): Record<string, Tensor> {
    if (layout.bytes > room.byteLength) room = new ArrayBuffer(layout.bytes);
    return Object.fromEntries(
      layout.tensors.map(({ name, type, dims, at }) => [name, ortTensorIn(room, at, type, dims)]),
    );
  }
}

/** ONNX Runtime's words where an output has another shape than the tensor that it is to be written to. */
const unlike = /pre-allocated output OrtValues/;

const keyOf = (feeds: Tensors, outputs: readonly string[]) =>
  `${Object.entries(feeds).map(([name, { dims }]) => `${name}[${dims}]`)}>${outputs}`;

/** Where outputs like these will lie, if that is worth it. */
function layoutOf(results: Tensors): Layout | 'as usual' {
  let end = 0;
  const tensors = [];
  for (const [name, { type, dims }] of Object.entries(results)) {
    const bytes = ortBytes(type, dims);
    if (bytes === undefined) return 'as usual';
    tensors.push({ name, type, dims: [...dims], at: end });
    end += Math.ceil(bytes / boundary) * boundary;
  }
  return end < smallestBytes || end > largestBytes ? 'as usual' : { tensors, bytes: end };
}
