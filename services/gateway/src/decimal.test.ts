import { readDecimal } from './decimal.js';

function read(text: string) {
  const cursor = { at: 0, whole: true };
  const value = readDecimal(Buffer.from(`${text},`), cursor);
  return { value, ...cursor };
}

const random = (
  (state) => () =>
    (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32
)(1);
const below = (most: number) => Math.floor(random() * most);
const digits = (count: number) => Array.from({ length: count }, () => below(10)).join('');

/** A JSON number of up to 30 digits, of any size. */
function numberText(): string {
  const integer = below(4) === 0 ? '0' : `${1 + below(9)}${digits(below(19))}`;
  const fraction = below(4) === 0 ? '' : `.${digits(1 + below(12))}`;
  const exponent = below(3) === 0 ? `${'eE'[below(2)]}${['', '+', '-'][below(3)]}${below(30)}` : '';
  return `${below(2) === 0 ? '-' : ''}${integer}${fraction}${exponent}`;
}

it('reads every number as Number does', () => {
  const wrong = Array.from({ length: 40_000 }, numberText).filter((text) => {
    const { value, at, whole } = read(text);
    return !Object.is(value, Number(text)) || at !== text.length || whole !== /^-?\d+$/.test(text);
  });
  expect(wrong).toEqual([]);
});

it('reads doubles back, and float32s that are written as doubles', () => {
  const values = Array.from({ length: 20_000 }, () => (random() - 0.5) * 10 ** (below(40) - 20));
  const wrong = [...values, ...values.map(Math.fround)].filter((value) => !Object.is(read(String(value)).value, value));
  expect(wrong).toEqual([]);
});

it.each([
  '9007199254740993', // between two doubles
  '9007199254740993.0000000000000001',
  '1.00000000000000011102230246251565404',
  '1.00000000000000011102230246251565405',
  '1.0000000000000001110223024625156',
  '0.500000000000000055511151231257827',
  '123456789012345678901234567890123456789012345678901234567890',
  '0.000000000000000000000000000000000000001',
  '2.2250738585072011e-308',
  '1.7976931348623157e308',
  '1e400',
  '-0',
  '-0.0',
  '0e999',
  '5e-324',
  '1e-99999999999999999999',
])('reads %s', (text) => expect(read(text).value).toBe(Number(text)));

it('reads digits without end', () => expect(read(`0.1${'0'.repeat(200_000)}`).value).toBe(0.1));

it.each(['', '-', '+1', '.5', '1.', '-.5', '01', '-00', '1.e5', '1e', '1e+', 'e5', 'NaN', 'Infinity', '"1"', ' 1'])(
  'takes %j for no number',
  (text) => expect(read(text).value).toBeNaN(),
);

it('stops where a number ends', () => expect(read('1.5.5')).toEqual({ value: 1.5, at: 3, whole: false }));
