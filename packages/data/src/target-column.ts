import { DatasetError } from './table.js';
import { numberIn } from './numbers.js';
import type { TableLimits } from './table.js';

/** Integers with more distinct values than this are numbers to predict, not classes. */
const mostIntegerClasses = 100;

/** What the numbers that were kept for a target stand for. */
export interface Targets {
  readonly classes: string[] | undefined;
  /** The target of what was kept in a row. */
  of(row: number, kept: number): number;
}

/**
 * Reads targets as they come. Until there are too many to be classes a row keeps the place of its value in a list, from
 * then on the number itself: whether classes or numbers are meant is known only at the end.
 */
export function createTargetReader(name: string, limits: TableLimits) {
  const values: { readonly text: string; readonly number: number }[] = [];
  const byText = new Map<string, number>();
  const byNumber = new Map<number, number>();
  let isNumeric = true;
  /** The first row that keeps its number. */
  let numbersFrom = Infinity;
  const listed = (text: string, number: number) => {
    values.push({ text, number });
    return values.length - 1;
  };
  return {
    /** Whether rows keep their numbers from now on. */
    keepsNumbers: () => numbersFrom < Infinity,
    /** Where a number is in the list; undefined for one not met yet. */
    placeOf: (value: number) => byNumber.get(value),
    /** What row `row` (from 0) keeps; undefined for a cell that is no target. */
    keep(text: string, row: number): number | undefined {
      if (text === '') return undefined;
      const number = numberIn(text);
      if (numbersFrom < Infinity) return Number.isNaN(number) ? undefined : number;
      const known = Number.isNaN(number) ? byText.get(text) : byNumber.get(number);
      if (known !== undefined) return known;
      isNumeric &&= !Number.isNaN(number);
      if (values.length >= limits.classes) {
        if (!isNumeric) {
          throw new DatasetError(`column '${name}' has more than ${limits.classes} classes, wanted at most that`);
        }
        numbersFrom = row;
        return number;
      }
      const place = listed(text, number);
      if (Number.isNaN(number)) byText.set(text, place);
      else byNumber.set(number, place);
      return place;
    },
    finish(): Targets {
      const integers = isNumeric && values.every((value) => Number.isInteger(value.number));
      if (isNumeric && !(integers && values.length <= mostIntegerClasses)) {
        return { classes: undefined, of: (row, kept) => (row < numbersFrom ? values[kept]!.number : kept) };
      }
      if (values.length < 2) throw new DatasetError(`column '${name}' has 1 class, wanted at least 2`);
      const order = values.map((_, place) => place);
      if (isNumeric) order.sort((a, b) => values[a]!.number - values[b]!.number);
      else order.sort((a, b) => (values[a]!.text < values[b]!.text ? -1 : 1));
      const labels = new Uint32Array(order.length);
      order.forEach((place, label) => (labels[place] = label));
      return { classes: order.map((place) => values[place]!.text), of: (_, kept) => labels[kept]! };
    },
  };
}

export type TargetReader = ReturnType<typeof createTargetReader>;
