import type { inference } from '@modelmill/contracts';
import * as errors from './errors.js';
import { isLiteral, isObject, show } from './json-node.js';
import type { JsonNode, JsonObject } from './json-text.js';

type Parameters = Record<string, inference.InferParameter>;

/** The `parameters` of a request, an input or an output; the keys in `own` are the door's and stay here. */
export function readParameters(owner: JsonObject, own: readonly string[] = []): Parameters {
  const node = owner.get('parameters');
  if (node === undefined) return {};
  if (!isObject(node)) throw errors.wrongField('parameters', show(node), 'an object');
  return Object.fromEntries(
    [...node].filter(([name]) => !own.includes(name)).map(([name, value]) => [name, readParameter(name, value)]),
  );
}

function readParameter(name: string, node: JsonNode): inference.InferParameter {
  if (typeof node === 'boolean') return { parameterChoice: { $case: 'boolParam', boolParam: node } };
  if (typeof node === 'string') return { parameterChoice: { $case: 'stringParam', stringParam: node } };
  if (!isLiteral(node)) throw errors.wrongField(name, show(node), 'a boolean, a number or a string');
  if (!/^-?\d+$/.test(node.literal)) {
    const value = Number(node.literal);
    return { parameterChoice: { $case: 'doubleParam', doubleParam: value } };
  }
  const value = BigInt(node.literal.slice(0, 40));
  if (value >= -(2n ** 63n) && value < 2n ** 63n) {
    return { parameterChoice: { $case: 'int64Param', int64Param: value } };
  }
  if (value < 0n || value >= 2n ** 64n) throw errors.wrongField(name, node.literal.slice(0, 40), 'a 64-bit integer');
  return { parameterChoice: { $case: 'uint64Param', uint64Param: value } };
}

/** A member of `parameters` that the door itself understands. */
export function ownParameter(owner: JsonObject, name: string): JsonNode | undefined {
  const parameters = owner.get('parameters');
  return isObject(parameters) ? parameters.get(name) : undefined;
}

export function ownFlag(owner: JsonObject, name: string): boolean | undefined {
  const value = ownParameter(owner, name);
  if (value === undefined || typeof value === 'boolean') return value;
  throw errors.wrongField(name, show(value), 'a boolean');
}

/** Parameters as JSON text, integers with all their digits. */
export function writeParameters(parameters: Parameters): string {
  const members = Object.entries(parameters).map(([name, { parameterChoice }]) => {
    switch (parameterChoice?.$case) {
      case 'boolParam':
        return `${JSON.stringify(name)}:${parameterChoice.boolParam}`;
      case 'stringParam':
        return `${JSON.stringify(name)}:${JSON.stringify(parameterChoice.stringParam)}`;
      case 'int64Param':
        return `${JSON.stringify(name)}:${parameterChoice.int64Param}`;
      case 'uint64Param':
        return `${JSON.stringify(name)}:${parameterChoice.uint64Param}`;
      case 'doubleParam':
        return `${JSON.stringify(name)}:${JSON.stringify(parameterChoice.doubleParam)}`;
      case undefined:
        return `${JSON.stringify(name)}:null`;
    }
  });
  return `{${members.join(',')}}`;
}
