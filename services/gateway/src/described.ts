import { createFileRegistry, fromBinary } from '@bufbuild/protobuf';
import type { DescEnum, DescField, DescFile, DescMessage, DescMethod } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { descriptorSet } from '@modelmill/contracts';

const contracts = createFileRegistry(fromBinary(FileDescriptorSetSchema, descriptorSet));

/** An rpc of the contracts, such as `modelmill.v1.Trainer/GetTraining`. */
export function describedMethod(name: string): DescMethod {
  const [service = '', rpc = ''] = name.split('/');
  const method = contracts.getService(service)?.methods.find((candidate) => candidate.name === rpc);
  if (!method) throw new Error(`the contracts have no rpc '${name}'`);
  return method;
}

/** What the contracts' comment says about it, in one line. */
export function summaryOf(desc: DescMethod | DescMessage | DescField): string {
  return commentAt(fileOf(desc), pathOf(desc));
}

const fileOf = (desc: DescMethod | DescMessage | DescField): DescFile =>
  desc.kind === 'message' ? desc.file : desc.parent.file;

/** Where a description lies in its file, as descriptor.proto numbers the fields. */
function pathOf(desc: DescMethod | DescMessage | DescField): number[] {
  switch (desc.kind) {
    case 'message':
      return desc.parent
        ? [...pathOf(desc.parent), 3, desc.parent.nestedMessages.indexOf(desc)]
        : [4, desc.file.messages.indexOf(desc)];
    case 'field':
      return [...pathOf(desc.parent), 2, desc.parent.fields.indexOf(desc)];
    case 'rpc':
      return [6, desc.parent.file.services.indexOf(desc.parent), 2, desc.parent.methods.indexOf(desc)];
  }
}

function commentAt({ proto }: DescFile, path: readonly number[]): string {
  const location = proto.sourceCodeInfo?.location.find((candidate) => `${candidate.path}` === `${path}`);
  return (location?.leadingComments ?? '').trim().replaceAll(/\s*\n\s*/g, ' ');
}

/** A reference to a message's schema, for the OpenAPI document. */
export const schemaRef = (message: DescMessage) => ({ $ref: `#/components/schemas/${message.typeName}` });

/** The schemas of these messages and of every message in them, by name. */
export function schemasOf(roots: Iterable<DescMessage>): Record<string, object> {
  const schemas: Record<string, object> = {};
  const waiting = [...roots];
  for (let message = waiting.pop(); message; message = waiting.pop()) {
    if (message.typeName in schemas || wellKnown[message.typeName]) continue;
    schemas[message.typeName] = {
      type: 'object',
      ...described(summaryOf(message)),
      properties: Object.fromEntries(message.fields.map((field) => [field.name, fieldSchema(field)])),
      additionalProperties: false,
    };
    for (const field of message.fields) if (field.message) waiting.push(field.message);
  }
  return Object.fromEntries(Object.entries(schemas).sort(([a], [b]) => (a < b ? -1 : 1)));
}

const described = (description: string) => (description === '' ? {} : { description });

function fieldSchema(field: DescField): object {
  const description = described(summaryOf(field));
  switch (field.fieldKind) {
    case 'message':
      return { ...messageSchema(field.message), ...description };
    case 'enum':
      return { ...enumSchema(field.enum), ...description };
    case 'scalar':
      return { ...scalarSchema(field.scalar), ...description };
    case 'list':
      return { type: 'array', items: itemSchema(field), ...description };
    case 'map':
      return { type: 'object', additionalProperties: itemSchema(field), ...description };
  }
}

function itemSchema(field: DescField & { fieldKind: 'list' | 'map' }): object {
  if (field.message) return messageSchema(field.message);
  if (field.enum) return enumSchema(field.enum);
  return scalarSchema(field.scalar);
}

const wellKnown: Readonly<Record<string, object>> = {
  'google.protobuf.Timestamp': { type: 'string', format: 'date-time' },
  'google.protobuf.Struct': { type: 'object', additionalProperties: true },
};

const messageSchema = (message: DescMessage) => wellKnown[message.typeName] ?? schemaRef(message);
const enumSchema = ({ values }: DescEnum) => ({ type: 'string', enum: values.map(({ name }) => name) });

/** As proto3 JSON has them: 64-bit integers are strings. */
function scalarSchema(scalar: number | undefined): object {
  switch (scalar) {
    case 1:
    case 2:
      return { type: 'number', format: scalar === 1 ? 'double' : 'float' };
    case 3:
    case 4:
    case 6:
    case 16:
    case 18:
      return { type: 'string', format: 'int64' };
    case 8:
      return { type: 'boolean' };
    case 9:
      return { type: 'string' };
    case 12:
      return { type: 'string', format: 'byte' };
    default:
      return { type: 'integer', format: 'int32' };
  }
}
