import { decodeInferResponse, inferRequestPieces, inference } from '@modelmill/contracts';
import { soleMemory } from '@modelmill/wire';
import type { CallOptions, Channel } from './channel.js';
import { present } from './present.js';
import { decodeTensor, encodeTensor } from './tensors.js';
import type { Datatype, InputTensor, OutputTensor } from './tensors.js';

const { GRPCInferenceServiceService: methods } = inference;
const modelInferMethod = { ...methods.modelInfer, requestSerialize: serialized };
/** Raw outputs are views into the answer, which will do where their elements are copied from there. */
const inferMethod = { ...modelInferMethod, responseDeserialize: decodeInferResponse };

export interface InferRequest {
  readonly model: string;
  /** A version number or a label's name. Unset: the server's choice. */
  readonly version?: string | undefined;
  readonly inputs: readonly InputTensor[];
  /** Unset: every output. */
  readonly outputs?: readonly string[] | undefined;
  /** Echoed in the answer. */
  readonly id?: string | undefined;
}

export interface InferResponse {
  readonly model: string;
  /** The version that ran. */
  readonly version: string;
  readonly id: string;
  readonly outputs: readonly OutputTensor[];
}

/** What came of one request of a stream. */
export type StreamedAnswer =
  | { readonly kind: 'answered'; readonly id: string; readonly response: InferResponse }
  | { readonly kind: 'failed'; readonly id: string; readonly message: string };

/** The Open Inference Protocol. */
export function createInferenceClient(channel: Channel) {
  const modelInfer = (request: inference.ModelInferRequest, options?: CallOptions) =>
    channel.unary(modelInferMethod, request, { ...options, safe: true });

  return {
    /** Runs one request; a model is a function, so the call is safe to repeat. */
    async infer(request: InferRequest, options?: CallOptions): Promise<InferResponse> {
      return fromWire(await channel.unary(inferMethod, toWire(request), { ...options, safe: true }));
    },
    /** The same call in the protocol's own messages. */
    modelInfer,
    /**
     * One answer per request, in their order. A request that fails is an answer, too, and the stream goes on. Requests are read
     * from their source as the server takes them. A stream that breaks throws: what was not answered is the caller's to repeat.
     */
    async *inferStream(
      requests: AsyncIterable<InferRequest> | Iterable<InferRequest>,
      options?: CallOptions,
    ): AsyncGenerator<StreamedAnswer, void, undefined> {
      async function* messages() {
        for await (const request of requests) yield toWire(request);
      }
      for await (const answer of channel.twoWayStream(methods.modelStreamInfer, messages(), options)) {
        yield streamedAnswer(answer);
      }
    },
    async serverLive(options?: CallOptions): Promise<boolean> {
      return (await channel.unary(methods.serverLive, {}, { ...options, safe: true })).live;
    },
    async serverReady(options?: CallOptions): Promise<boolean> {
      return (await channel.unary(methods.serverReady, {}, { ...options, safe: true })).ready;
    },
    async modelReady(name: string, version = '', options?: CallOptions): Promise<boolean> {
      return (await channel.unary(methods.modelReady, { name, version }, { ...options, safe: true })).ready;
    },
    serverMetadata(options?: CallOptions): Promise<inference.ServerMetadataResponse> {
      return channel.unary(methods.serverMetadata, {}, { ...options, safe: true });
    },
    modelMetadata(name: string, version = '', options?: CallOptions): Promise<inference.ModelMetadataResponse> {
      return channel.unary(methods.modelMetadata, { name, version }, { ...options, safe: true });
    },
    modelConfig(name: string, version = '', options?: CallOptions): Promise<inference.ModelConfigResponse> {
      return channel.unary(methods.modelConfig, { name, version }, { ...options, safe: true });
    },
    async modelStatistics(name = '', version = '', options?: CallOptions): Promise<inference.ModelStatistics[]> {
      return (await channel.unary(methods.modelStatistics, { name, version }, { ...options, safe: true })).modelStats;
    },
    async repositoryIndex(
      { ready = false }: { ready?: boolean } = {},
      options?: CallOptions,
    ): Promise<inference.RepositoryIndexResponse_ModelIndex[]> {
      const request = { repositoryName: '', ready };
      return (await channel.unary(methods.repositoryIndex, request, { ...options, safe: true })).models;
    },
    async loadModel(modelName: string, options?: CallOptions): Promise<void> {
      const request = { repositoryName: '', modelName, parameters: {} };
      await channel.unary(methods.repositoryModelLoad, request, { ...options, safe: true });
    },
    async unloadModel(modelName: string, options?: CallOptions): Promise<void> {
      const request = { repositoryName: '', modelName, parameters: {} };
      await channel.unary(methods.repositoryModelUnload, request, { ...options, safe: true });
    },
  };
}

export type InferenceClient = ReturnType<typeof createInferenceClient>;

function toWire({ model, version = '', inputs, outputs = [], id = '' }: InferRequest): inference.ModelInferRequest {
  return {
    modelName: model,
    modelVersion: version,
    id,
    parameters: {},
    inputs: inputs.map(({ name, datatype, shape }) => ({
      name,
      datatype,
      shape: shape.map(BigInt),
      parameters: {},
      contents: undefined,
    })),
    outputs: outputs.map((name) => ({ name, parameters: {} })),
    rawInputContents: inputs.map(encodeTensor),
  };
}

/** The tensors are copied once, into memory that the next request of the size gets when this one is answered. */
function serialized(request: inference.ModelInferRequest): Buffer {
  const pieces = inferRequestPieces(request);
  const message = soleMemory(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    message.set(piece, at);
    at += piece.length;
  }
  return message;
}

function streamedAnswer({ errorMessage, inferResponse }: inference.ModelStreamInferResponse): StreamedAnswer {
  const answer = present(inferResponse, 'infer_response');
  if (errorMessage !== '') return { kind: 'failed', id: answer.id, message: errorMessage };
  return { kind: 'answered', id: answer.id, response: fromWire(answer) };
}

function fromWire(answer: inference.ModelInferResponse): InferResponse {
  return {
    model: answer.modelName,
    version: answer.modelVersion,
    id: answer.id,
    outputs: answer.outputs.map(({ name, datatype, shape }, index) => ({
      name,
      datatype: datatype as Datatype,
      shape: shape.map(Number),
      data: decodeTensor(datatype, answer.rawOutputContents[index] ?? new Uint8Array()),
    })),
  };
}
