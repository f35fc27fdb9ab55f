import type { registry } from '@modelmill/contracts';
import { InvalidLabelError } from './errors.js';

/** The shadow as it is kept: with its share and the time. Throws InvalidLabelError. */
export function completeShadow({ name, targets, shadow }: registry.Label, now: Date): registry.Shadow {
  const { version, share: asked } = shadow!;
  const share = asked === 0 ? 1 : asked;
  if (!(share > 0 && share <= 1)) {
    throw new InvalidLabelError(`shadow.share of label '${name}' is ${share}, wants a share above 0 and at most 1`);
  }
  if (targets.some((target) => target.version === version)) {
    throw new InvalidLabelError(
      `shadow.version of label '${name}' is '${version}', which answers its requests: wants a version that is no target`,
    );
  }
  return { version, share, setAt: now };
}

/** Throws InvalidLabelError where the shadow does not take everything that the target takes. */
export function checkTakesSame(label: string, target: registry.Version, shadow: registry.Version): void {
  const [wanted, got] = [inputsOf(target), inputsOf(shadow)];
  const refused = (what: string) =>
    new InvalidLabelError(
      `version '${shadow.version}' of model '${shadow.model}' can not be the shadow of label '${label}': ${what}`,
    );
  for (const [name, { datatype, shape }] of wanted) {
    const input = got.get(name);
    if (input === undefined) throw refused(`it has no input '${name}', which version '${target.version}' takes`);
    if (input.datatype !== datatype) {
      throw refused(`its input '${name}' is ${input.datatype}, version '${target.version}' takes ${datatype}`);
    }
    if (!covers(input.shape, shape)) {
      throw refused(`its input '${name}' has shape [${input.shape}], version '${target.version}' takes [${shape}]`);
    }
  }
  for (const name of got.keys()) {
    if (!wanted.has(name)) throw refused(`it wants an input '${name}', which version '${target.version}' has not`);
  }
}

const inputsOf = ({ signature }: registry.Version) => new Map(signature?.inputs.map((input) => [input.name, input]));

const covers = (got: readonly bigint[], wanted: readonly bigint[]) =>
  got.length === wanted.length && got.every((size, axis) => size === -1n || size === wanted[axis]);
