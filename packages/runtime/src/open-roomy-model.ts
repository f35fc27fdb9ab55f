import type { InferenceSession } from 'onnxruntime-node';
import { layoutsOf } from './output-room.js';
import type { RoomyModel } from './output-room.js';
import { chosenProviders } from './providers.js';
import type { Provider } from './providers.js';
import { createSession } from './session.js';
import type { SessionOptions } from './session.js';
import { formless, readUncopied } from './uncopied-run.js';
import { keepsWeightsBeside } from './weights-beside.js';

export interface LoadedRoomyModel extends RoomyModel {
  readonly provider: Provider;
  readonly outputs: readonly string[];
}

/**
 * A model of a file whose large outputs are not copied, where that can be: on the CPU, from operator set 11 on, with its weights in the file
 * and nobody looking at what ONNX Runtime makes of its graph.
 */
export async function openRoomyModel(
  path: string,
  { optimizedModelPath, ...options }: SessionOptions,
): Promise<LoadedRoomyModel> {
  const { uncopied, model } = readUncopied(path);
  // by its path only where all that it names is named as stored weights are
  const source = keepsWeightsBeside(model) ? path : model;
  if (optimizedModelPath !== undefined) {
    const { session } = await createSession(source, { ...options, optimizedModelPath });
    await session.release();
  }
  const isRoomy = source === model && options.profilePrefix === undefined;
  const roomy =
    isRoomy && chosenProviders(options.providers).join() === 'cpu'
      ? await createUncopied(uncopied, options)
      : undefined;
  if (roomy) return { ...roomy, outputs: outputsOf(roomy.session), layouts: layoutsOf(roomy.session) };
  const created = await createSession(source, options);
  return { ...created, outputs: created.session.outputNames, layouts: undefined };
}

/** Undefined where the model cannot have the output, or has none of its own. Throws what else is wrong with it. */
async function createUncopied(model: Uint8Array, options: SessionOptions) {
  try {
    const created = await createSession(model, options);
    if (outputsOf(created.session).length > 0) return created;
    await created.session.release();
  } catch (error) {
    if (!/SequenceEmpty|modelmill\/formless/.test(String(error))) throw error;
  }
  return undefined;
}

const outputsOf = ({ outputNames }: InferenceSession) => outputNames.filter((name) => name !== formless);
