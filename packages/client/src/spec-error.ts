import { fromJson } from '@bufbuild/protobuf';
import type { DescField, DescMessage, JsonValue, Registry } from '@bufbuild/protobuf';

/** A spec that is not what its message takes; `place` is the path to the value at fault, such as `layers[2].conv2d.filter`. */
export class SpecError extends Error {
  override readonly name = 'SpecError';
  constructor(
    readonly place: string,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** The first fault of a JSON value as a message, innermost place first. */
export function findFault(desc: DescMessage, json: unknown, place: string, registry: Registry): SpecError | undefined {
  if (desc.typeName.startsWith('google.protobuf.')) return readingFault(desc, json, place, registry);
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    return new SpecError(place, `${place || 'the spec'} is ${show(json)}, wanted an object with ${fieldList(desc)}`);
  }
  for (const [key, value] of Object.entries(json)) {
    const at = place === '' ? key : `${place}.${key}`;
    const field = desc.fields.find(({ name, jsonName }) => key === name || key === jsonName);
    if (!field) return unknownField(desc, key, at);
    const fault = value === null ? undefined : fieldFault(desc, field, value, at, registry);
    if (fault) return fault;
  }
  return readingFault(desc, json, place, registry); // what only the whole can be guilty of: two fields of one oneof
}

function fieldFault(desc: DescMessage, field: DescField, value: unknown, place: string, registry: Registry) {
  const alone = (leaf: unknown) => readingFault(desc, { [field.name]: leaf }, place, registry);
  switch (field.fieldKind) {
    case 'message':
      return findFault(field.message, value, place, registry);
    case 'list':
      if (!Array.isArray(value)) return new SpecError(place, `${place} is ${show(value)}, wanted a list`);
      for (const [index, element] of value.entries()) {
        const at = `${place}[${index}]`;
        const fault =
          field.listKind === 'message'
            ? findFault(field.message, element, at, registry)
            : readingFault(desc, { [field.name]: [element] }, at, registry);
        if (fault) return fault;
      }
      return undefined;
    case 'map':
      if (field.mapKind !== 'message' || typeof value !== 'object' || value === null) return alone(value);
      for (const [key, element] of Object.entries(value)) {
        const fault = findFault(field.message, element, `${place}.${key}`, registry);
        if (fault) return fault;
      }
      return alone(value);
    case 'scalar':
    case 'enum':
      return alone(value);
  }
}

function readingFault(desc: DescMessage, json: unknown, place: string, registry: Registry): SpecError | undefined {
  try {
    fromJson(desc, json as JsonValue, { registry, ignoreUnknownFields: false });
    return undefined;
  } catch (error) {
    const [, reason = String(error)] = / from JSON: (?:list item #\d+: )?(.*)$/s.exec(String(error)) ?? [];
    const [, one, other] = /^oneof set multiple times by (\S+) and (\S+)$/.exec(reason) ?? [];
    const problem = one ? `'${one}' and '${other}' exclude each other` : reason;
    return new SpecError(place, `${place || 'the spec'}: ${problem}`, { cause: error });
  }
}

function unknownField(desc: DescMessage, key: string, place: string): SpecError {
  const near = closest(
    key,
    desc.fields.map(({ name }) => name),
  );
  const advice =
    near.length > 0 ? `did you mean ${near.map((name) => `'${name}'`).join(' or ')}?` : `wanted ${fieldList(desc)}`;
  return new SpecError(place, `${place}: ${desc.name} has no field '${key}'; ${advice}`);
}

const fieldList = ({ fields }: DescMessage) => fields.map(({ name }) => `'${name}'`).join(', ') || 'no fields';

const show = (value: unknown) => JSON.stringify(value)?.slice(0, 60) ?? String(value);

/** The names that a typing mistake or two away, nearest first. */
function closest(wrong: string, names: readonly string[]): string[] {
  const near = names
    .map((name) => ({ name, distance: distanceBetween(wrong.toLowerCase(), name) }))
    .filter(({ name, distance }) => distance <= Math.max(2, Math.floor(name.length / 3)) || name.startsWith(wrong));
  return near
    .sort((a, b) => a.distance - b.distance)
    .slice(0, 2)
    .map(({ name }) => name);
}

/** Levenshtein's distance: the fewest insertions, deletions and replacements. */
function distanceBetween(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (const [i, letter] of [...a].entries()) {
    const next = [i + 1];
    for (const [j, other] of [...b].entries()) {
      next.push(Math.min(row[j + 1]! + 1, next[j]! + 1, row[j]! + (letter === other ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length]!;
}
