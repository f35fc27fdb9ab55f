import { DatasetError } from './table.js';
import type { TableLimits } from './table.js';

/** What the columns of a table are for. */
export interface ColumnRoles {
  /** '': the last column. */
  readonly target: string;
  /** Columns to learn from, in this order. Absent or empty: all but the target and the ignored ones. */
  readonly features?: readonly string[];
  readonly ignored?: readonly string[];
  /** Columns whose numbers are names, such as codes. */
  readonly categorical?: readonly string[];
  /** What stands in for missing numbers; a category that is missing is none. Absent: they are refused. */
  readonly missing?: MissingRule;
}

export const missingRules = ['refuse', 'mean', 'median', 'zero'] as const;
export type MissingRule = (typeof missingRules)[number];

/** Places of columns in the content. */
export interface AssignedColumns {
  readonly target: number;
  readonly features: readonly number[];
  readonly categorical: ReadonlySet<number>;
}

/** Finds the columns that the roles name. Throws DatasetError. */
export function assignColumns(names: readonly string[], roles: ColumnRoles, limits: TableLimits): AssignedColumns {
  if (names.length > limits.columns) {
    throw new DatasetError(`row 1: got ${names.length} columns, wanted at most ${limits.columns}`);
  }
  if (names.length < 2) throw new DatasetError(`row 1: got ${names.length} columns, wanted features and a target`);
  const places = new Map(names.map((name, at) => [name, at]));
  if (places.size < names.length) {
    const twice = names.find((name, at) => places.get(name) !== at);
    throw new DatasetError(`row 1: column '${twice}' is there twice`);
  }
  const placeOf = (name: string) => {
    const at = places.get(name);
    if (at === undefined) {
      throw new DatasetError(`there is no column '${name.slice(0, 80)}', got ${names.slice(0, 20).join(', ')}`);
    }
    return at;
  };
  const ignored = new Set((roles.ignored ?? []).map(placeOf));
  const target = roles.target === '' ? names.length - 1 : placeOf(roles.target);
  if (ignored.has(target)) throw new DatasetError(`column '${names[target]}' is the target, and it is ignored`);
  const categorical = new Set((roles.categorical ?? []).map(placeOf));
  const features = roles.features?.length
    ? roles.features.map(placeOf)
    : names.map((_, at) => at).filter((at) => at !== target && !ignored.has(at));
  if (features.length === 0) throw new DatasetError(`got no columns to learn from beside '${names[target]}'`);
  const seen = new Set<number>();
  for (const at of features) {
    if (at === target) throw new DatasetError(`column '${names[at]}' is the target, and a feature`);
    if (ignored.has(at)) throw new DatasetError(`column '${names[at]}' is a feature, and it is ignored`);
    if (seen.has(at)) throw new DatasetError(`column '${names[at]}' is named twice as a feature`);
    seen.add(at);
  }
  return { target, features, categorical };
}
