import {
  createFileRegistry,
  fromBinary,
  fromJson as readJson,
  toBinary,
  toJson as writeJson,
} from '@bufbuild/protobuf';
import type { DescMessage, JsonValue } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { descriptorSet } from '@modelmill/contracts';
import type { optimizer, trainer } from '@modelmill/contracts';
import { codecs } from './messages.js';
import type { MessageName, MessageOf } from './messages.js';
import { findFault } from './spec-error.js';

export type { JsonValue };

const types = createFileRegistry(fromBinary(FileDescriptorSetSchema, descriptorSet));

/** Reads a message's proto3 JSON, fields in either spelling. Throws SpecError with the place of the first fault. */
export function fromJson<N extends MessageName>(name: N, json: unknown): MessageOf<N> {
  const desc = describe(name);
  const fault = findFault(desc, json, '', types);
  if (fault) throw fault;
  return codecs[name].decode(toBinary(desc, readJson(desc, json as JsonValue, { registry: types })));
}

/** A message's proto3 JSON in the contracts' own spelling (snake_case), with `defaults` also for fields that are not set. */
export function toJson<N extends MessageName>(name: N, message: MessageOf<N>, { defaults = false } = {}): JsonValue {
  const desc = describe(name);
  return writeJson(desc, fromBinary(desc, codecs[name].encode(message).finish()), {
    registry: types,
    useProtoFieldName: true,
    alwaysEmitImplicit: defaults,
  });
}

export const parseTrainingSpec = (json: unknown): trainer.TrainingSpec => fromJson('modelmill.v1.TrainingSpec', json);

export const parseOptimizationSpec = (json: unknown): optimizer.OptimizationSpec =>
  fromJson('modelmill.v1.OptimizationSpec', json);

function describe(name: MessageName): DescMessage {
  const desc = types.getMessage(name.replaceAll('_', '.'));
  if (!desc) throw new TypeError(`the contracts have no message '${name}'`);
  return desc;
}
