import { readFileSync } from 'node:fs';
import { readOnnx, writeOnnx } from '@modelmill/onnx';
import { InferenceSession } from 'onnxruntime-node';
import { chosenProviders } from './providers.js';
import type { Provider } from './providers.js';
import { datatypeOf, typedFromOrt, typedToOrt } from './tensor.js';
import type { TensorSignature, TypedTensor } from './tensor.js';
import { formless } from './uncopied-run.js';
import { fitWebGpu } from './webgpu/fit-webgpu.js';
import { withoutPaths } from './without-paths.js';

export interface SessionOptions {
  /** Tried in order; the first that can hold the model is used. Default: CUDA where it is installed, else the CPU. */
  readonly providers?: readonly Provider[];
  /** Threads within one operator. Default: ONNX Runtime's choice. */
  readonly threads?: number;
  /** Where ONNX Runtime writes the graph it made of the model, and its weights beside it. */
  readonly optimizedModelPath?: string;
  /** Where ONNX Runtime writes what each node took, when its profiling ends: the file's name begins so. */
  readonly profilePrefix?: string;
  /** Freed memory is kept for the next run: faster where large values come and go at every run. Default: given back. */
  readonly keepMemory?: boolean;
  /**
   * A run takes all the memory for its values at once, as an earlier one of the same shapes used it. Where memory is kept,
   * that is beside what the earlier one took. Default: so.
   */
  readonly memoryPattern?: boolean;
  /**
   * Numbers too small for a float's full precision (below 1.2e-38) count as zero: processors compute with them many times
   * slower. ONNX Runtime asks the first session of a process alone for the thread that runs it, so a process should open
   * all of its sessions alike. That thread's JavaScript computes so, too: `Number.MIN_VALUE` is not above zero there.
   */
  readonly flushDenormals?: boolean;
  /**
   * How long a thread that has no work looks for more before it sleeps. Default: ONNX Runtime's choice. Where other processes
   * want the processor, that time is taken from the thread that has work.
   */
  readonly spinMicroseconds?: number;
  /** Outputs that stay in the device's memory, where the provider is WebGPU; only `openStatefulSession` can take them. */
  readonly keptOnDevice?: readonly string[];
  readonly graphOptimization?: 'disabled' | 'basic' | 'extended' | 'all';
}

/** A model ready to run in this process: `run` blocks the event loop, so this belongs in a child process. */
export interface Session extends AsyncDisposable {
  readonly inputs: readonly TensorSignature[];
  readonly outputs: readonly TensorSignature[];
  readonly provider: Provider;
  /** Every output, or those named. */
  run(feeds: Readonly<Record<string, TypedTensor>>, outputs?: readonly string[]): Promise<Record<string, TypedTensor>>;
}

/** Opens a model of bytes or by path. */
export async function openSession(
  model: Uint8Array | string,
  options: Omit<SessionOptions, 'keptOnDevice'> = {},
): Promise<Session> {
  const { session, provider } = await createSession(model, options);
  return {
    ...signatureOf(session),
    provider,
    async run(feeds, outputs) {
      const ortFeeds = Object.fromEntries(Object.entries(feeds).map(([name, value]) => [name, typedToOrt(value)]));
      const results = outputs === undefined ? await session.run(ortFeeds) : await session.run(ortFeeds, outputs);
      return Object.fromEntries(Object.entries(results).map(([name, value]) => [name, typedFromOrt(value)]));
    },
    [Symbol.asyncDispose]: () => session.release(),
  };
}

/** A session on the first provider that takes the model. */
export async function createSession(model: Uint8Array | string, options: SessionOptions) {
  const providers = chosenProviders(options.providers);
  if (providers.length === 0) throw new Error(`none of the execution providers ${options.providers} is installed`);
  let failure: unknown;
  for (const provider of providers) {
    try {
      return { session: await create(model, provider, options), provider };
    } catch (error) {
      failure = error; // the next provider may do; the last one's reason is told
    }
  }
  throw new Error(withoutPaths(failure), { cause: failure });
}

function create(model: Uint8Array | string, provider: Provider, options: SessionOptions): Promise<InferenceSession> {
  const { threads, optimizedModelPath, keptOnDevice = [], graphOptimization = 'all', keepMemory = false } = options;
  const { profilePrefix, flushDenormals = false, spinMicroseconds, memoryPattern = true } = options;
  const settings = {
    ...(flushDenormals ? { set_denormal_as_zero: '1' } : {}),
    ...(spinMicroseconds === undefined ? {} : { 'intra_op.spin_duration_us': String(spinMicroseconds) }),
    ...(optimizedModelPath === undefined ? {} : weightsBeside),
  };
  const ortOptions: InferenceSession.SessionOptions = {
    executionProviders: [provider],
    graphOptimizationLevel: graphOptimization,
    // the arena never gives memory back; a device's session has but its inputs and outputs in it, whose new pages cost more
    enableCpuMemArena: keepMemory || provider !== 'cpu',
    enableMemPattern: memoryPattern,
    logSeverityLevel: 3,
    ...(threads === undefined ? {} : { intraOpNumThreads: threads, interOpNumThreads: 1 }),
    ...(optimizedModelPath === undefined ? {} : { optimizedModelFilePath: optimizedModelPath }),
    extra: { session: settings },
    ...(profilePrefix === undefined ? {} : { enableProfiling: true, profileFilePrefix: profilePrefix }),
  };
  if (provider === 'webgpu') return createOnWebGpu(model, keptOnDevice, ortOptions);
  return typeof model === 'string'
    ? InferenceSession.create(model, ortOptions)
    : InferenceSession.create(model, ortOptions);
}

/** What ONNX Runtime writes weights to beside an optimized model: no file may have 2 GiB. */
export const optimizedWeights = 'optimized.weights';

const weightsBeside = {
  optimized_model_external_initializers_file_name: optimizedWeights,
  optimized_model_external_initializers_min_size_in_bytes: '1024',
};

/** Of a form of the model that ONNX Runtime computes right there. */
function createOnWebGpu(
  model: Uint8Array | string,
  keptOnDevice: readonly string[],
  ortOptions: InferenceSession.SessionOptions,
): Promise<InferenceSession> {
  const fitted = fitWebGpu(readOnnx(typeof model === 'string' ? readFileSync(model) : model));
  return InferenceSession.create(writeOnnx(fitted.model), {
    ...ortOptions,
    executionProviders: [fitted.leftToCpu.length > 0 ? withoutNodes(fitted.leftToCpu) : 'webgpu'],
    preferredOutputLocation: onDevice(keptOnDevice),
  });
}

const withoutNodes = (names: readonly string[]) => ({ name: 'webgpu' as const, forceCpuNodeNames: [...names] });

const onDevice = (outputs: readonly string[]) =>
  Object.fromEntries(outputs.map((output) => [output, 'gpu-buffer' as const]));

export function signatureOf(session: InferenceSession): { inputs: TensorSignature[]; outputs: TensorSignature[] } {
  const outputs = session.outputMetadata.filter(({ name, isTensor }) => isTensor || name !== formless);
  return { inputs: session.inputMetadata.map(signature), outputs: outputs.map(signature) };
}

function signature(value: InferenceSession.ValueMetadata): TensorSignature {
  if (!value.isTensor) throw new Error(`'${value.name}' is not a tensor`);
  const datatype = datatypeOf(value.type);
  if (datatype === undefined) throw new Error(`'${value.name}' has type ${value.type}, which cannot be served`);
  return { name: value.name, datatype, shape: value.shape.map((size) => (typeof size === 'number' ? size : -1)) };
}
