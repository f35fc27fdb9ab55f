import type { inference } from '@modelmill/contracts';
import * as errors from './errors.js';
import { isRange, onlyKnown, readJsonObject, show, translated } from './json-node.js';
import { membersOf } from './json-text.js';
import { writeNestedJson } from './tensor-json.js';

/**
 * A body of TensorFlow Serving's classify and regress as one of predict in rows: an example is an object of features by the
 * names of the inputs, and has the features of the context, too.
 */
export function examplesAsInstances(text: string): string {
  const body = readJsonObject(text, new Set(['examples', 'context']));
  onlyKnown(body, 'the request', ['signature_name', 'examples', 'context']);
  const [examples, context] = [body.get('examples'), body.get('context')];
  if (!isRange(examples) || text[examples.from] !== '[') throw errors.wrongField('examples', show(examples), 'a list');
  const shared = isRange(context) ? innerOf(text.slice(context.from, context.to), 'context') : '';
  const rows = translated(() => membersOf(text, examples)).map(({ from, to }) => {
    const own = innerOf(text.slice(from, to), 'an example');
    return `{${shared}${shared !== '' && own !== '' ? ',' : ''}${own}}`;
  });
  const signature = body.get('signature_name');
  const named = signature === undefined ? '' : `"signature_name":${JSON.stringify(signature)},`;
  return `{${named}"instances":[${rows.join(',')}]}`;
}

/** Between the braces of an object, which whoever reads the whole checks. */
function innerOf(text: string, what: string): string {
  if (!text.startsWith('{') || !text.endsWith('}')) throw errors.wrongField(what, 'no object', 'an object');
  return text.slice(1, -1).trim();
}

type Answer = inference.ModelInferResponse;

/** Each example's classes as [label, score], by the index of the class: of the output `probabilities`, or the first of scores. */
export function writeClassifyAnswer(answer: Answer): string {
  const isScores = (at: number) => {
    const { datatype, shape } = answer.outputs[at]!;
    return shape.length === 2 && /^FP(32|64)$/.test(datatype);
  };
  const scored = answer.outputs.map((_, at) => at).filter(isScores);
  const at = scored.find((index) => answer.outputs[index]!.name === 'probabilities') ?? scored[0];
  if (at === undefined) throw errors.noScores(answer.modelName);
  const rows = rowsOf(answer, at);
  const classes = (row: readonly unknown[]) => row.map((score, index) => `["${index}",${JSON.stringify(score)}]`);
  return `{"results":[${rows.map((row) => `[${classes(row as unknown[]).join(',')}]`).join(',')}]}`;
}

/** Each example's number: of the one output that has one for each. */
export function writeRegressAnswer(answer: Answer): string {
  const isNumber = ({ shape, datatype }: Answer['outputs'][number]) =>
    datatype.startsWith('FP') && (shape.length === 1 || (shape.length === 2 && shape[1] === 1n));
  const at = answer.outputs.findIndex(isNumber);
  if (at < 0) throw errors.noNumbers(answer.modelName);
  return `{"results":${JSON.stringify(rowsOf(answer, at).flat())}}`;
}

/** Parsed again, as numbers that may be strings: NaN is one. */
function rowsOf({ outputs, rawOutputContents }: Answer, at: number): unknown[] {
  const { datatype, shape } = outputs[at]!;
  return JSON.parse(writeNestedJson(datatype, rawOutputContents[at]!, shape.map(Number))) as unknown[];
}
