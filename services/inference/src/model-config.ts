import { modelConfig } from '@modelmill/contracts';
import type { TensorSignature } from '@modelmill/runtime';
import type { ServedVersion } from './served-version.js';

const { DataType, ModelInput_Format, ModelInstanceGroup_Kind } = modelConfig;

const dataTypes: Readonly<Record<string, modelConfig.DataType>> = {
  BOOL: DataType.TYPE_BOOL,
  UINT8: DataType.TYPE_UINT8,
  UINT16: DataType.TYPE_UINT16,
  UINT32: DataType.TYPE_UINT32,
  UINT64: DataType.TYPE_UINT64,
  INT8: DataType.TYPE_INT8,
  INT16: DataType.TYPE_INT16,
  INT32: DataType.TYPE_INT32,
  INT64: DataType.TYPE_INT64,
  FP16: DataType.TYPE_FP16,
  FP32: DataType.TYPE_FP32,
  FP64: DataType.TYPE_FP64,
  BYTES: DataType.TYPE_STRING,
};

/** A loaded version as Triton describes one. */
export function modelConfigOf(served: ServedVersion, runners: number): modelConfig.ModelConfig {
  const { model, loaded, maxBatch, preferredBatch, batched } = served;
  const tensor = ({ name, datatype, shape }: TensorSignature) => ({
    name,
    dataType: dataTypes[datatype] ?? DataType.TYPE_INVALID,
    dims: (batched ? shape.slice(1) : shape).map(BigInt),
  });
  const kind = loaded.provider === 'cpu' ? ModelInstanceGroup_Kind.KIND_CPU : ModelInstanceGroup_Kind.KIND_GPU;
  return {
    name: model,
    platform: 'onnxruntime_onnx',
    versionPolicy: undefined,
    maxBatchSize: maxBatch,
    input: loaded.inputs.map((input) => ({ ...tensor(input), format: ModelInput_Format.FORMAT_NONE, optional: false })),
    output: loaded.outputs.map(tensor),
    instanceGroup: [{ name: model, count: runners, gpus: [], kind }],
    defaultModelFilename: 'model.onnx',
    schedulingChoice: batched
      ? {
          $case: 'dynamicBatching',
          dynamicBatching: {
            preferredBatchSize: [preferredBatch],
            maxQueueDelayMicroseconds: 0n,
            preserveOrdering: false,
          },
        }
      : undefined,
    parameters: { execution_provider: { stringValue: loaded.provider } },
    backend: 'onnxruntime',
    modelTransactionPolicy: { decoupled: false },
  };
}
