import type { inference } from '@modelmill/contracts';
import * as errors from './errors.js';
import { isRange, onlyKnown, readJsonObject, stringIn, translated } from './json-node.js';
import { JsonTextError, membersOf } from './json-text.js';
import type { RawRange } from './json-text.js';
import { JsonDatatypeError, openTensorReader, readTensorJson, writeNestedJson } from './tensor-json.js';

type Input = inference.ModelMetadataResponse_TensorMetadata;

export interface PredictRequest {
  readonly message: inference.ModelInferRequest;
  readonly form: 'rows' | 'columns';
}

const raw = new Set(['instances', 'inputs']);

/**
 * A predict body of KServe V1 and TensorFlow Serving, in row or column form, as a request of the Open Inference Protocol.
 * Plain numbers are read from the bytes that the text was, where they are given.
 */
export function readPredictRequest(
  { name: model, inputs }: inference.ModelMetadataResponse,
  version: string,
  text: string,
  bytes?: Buffer,
): PredictRequest {
  const body = readJsonObject(text, raw, bytes);
  onlyKnown(body, 'the request', ['signature_name', 'instances', 'inputs', 'parameters']);
  const signature = body.has('signature_name') ? stringIn(body, 'the request', 'signature_name') : '';
  if (signature !== '' && signature !== 'serving_default') throw errors.unknownSignature(signature);
  const [rows, columns] = [body.get('instances'), body.get('inputs')];
  if (rows !== undefined && columns !== undefined) throw errors.instancesOrInputs('both');
  const given = rows ?? columns;
  if (!isRange(given)) throw errors.instancesOrInputs('neither');
  if (inputs.length === 0) throw errors.noInputs(model);
  const source = { text, bytes: bytes?.length === text.length ? bytes : undefined };
  const tensors = (rows === undefined ? readColumns : readRows)(model, inputs, source, given);
  return {
    form: rows === undefined ? 'columns' : 'rows',
    message: {
      modelName: model,
      modelVersion: version,
      id: '',
      parameters: {},
      inputs: inputs.map(({ name, datatype }, i) => ({
        name,
        datatype,
        shape: tensors[i]!.shape.map(BigInt),
        parameters: {},
        contents: undefined,
      })),
      outputs: [],
      rawInputContents: tensors.map(({ bytes }) => bytes),
    },
  };
}

/** A JSON value's text, and its bytes where the text is known to be ASCII. */
interface Source {
  readonly text: string;
  readonly bytes: Buffer | undefined;
}

const partOf = ({ text, bytes }: Source, { from, to }: RawRange): Source => ({
  text: text.slice(from, to),
  bytes: bytes?.subarray(from, to),
});

interface Tensor {
  readonly shape: readonly number[];
  readonly bytes: Buffer;
}

function readColumns(model: string, inputs: readonly Input[], source: Source, range: RawRange): Tensor[] {
  const { text } = source;
  if (text[range.from] === '{') {
    const columns = partOf(source, range);
    const named = readJsonObject(columns.text, new Set(inputs.map(({ name }) => name)), columns.bytes);
    onlyKnown(
      named,
      "'inputs'",
      inputs.map(({ name }) => name),
    );
    return inputs.map((input) => {
      const column = named.get(input.name);
      if (!isRange(column)) throw errors.missingField("'inputs'", input.name);
      return readTensor(input, columns.text, column);
    });
  }
  const [only] = inputs;
  if (inputs.length !== 1 || !only)
    throw errors.oneOfInputs(
      model,
      inputs.map(({ name }) => name),
    );
  return [readTensor(only, text, range)];
}

function readRows(model: string, inputs: readonly Input[], source: Source, range: RawRange): Tensor[] {
  const { text } = source;
  if (text[range.from] !== '[') throw errors.wrongField('instances', 'no list', 'a list');
  const byName = /^\[\s*\{/.test(text.slice(range.from, range.from + 1024));
  const [only] = inputs;
  if (!byName) {
    if (inputs.length !== 1 || !only)
      throw errors.oneOfInputs(
        model,
        inputs.map(({ name }) => name),
      );
    return [readTensor(only, text, range)];
  }
  const names = inputs.map(({ name }) => name);
  const rows = translated(() => membersOf(text, range));
  const columns = inputs.map(openColumn);
  const known = new Set(names);
  for (const each of rows) {
    const row = partOf(source, each);
    const named = readJsonObject(row.text, known, row.bytes);
    onlyKnown(named, 'an instance', names);
    for (const column of columns) {
      const value = named.get(column.name);
      if (!isRange(value)) throw errors.missingField('an instance', column.name);
      column.add(row.text, value);
    }
  }
  return columns.map((column) => column.tensor(rows.length));
}

/** One input's values, row by row straight into its bytes. */
function openColumn({ name, datatype }: Input) {
  const reader = inWords({ name, datatype }, () => openTensorReader(datatype));
  let shape: readonly number[] | undefined;
  return {
    name,
    add(row: string, range: RawRange): void {
      const nesting = inWords({ name, datatype }, () => reader.add(row, range));
      shape ??= nesting;
      if (!nesting || String(nesting) !== String(shape)) throw errors.raggedData(name);
    },
    tensor: (rows: number): Tensor => ({ shape: [rows, ...(shape ?? [])], bytes: asBuffer(reader.bytes()) }),
  };
}

function readTensor({ name, datatype }: Input, text: string, range: RawRange): Tensor {
  const { bytes, nesting } = inWords({ name, datatype }, () => readTensorJson(text, range, datatype));
  if (!nesting) throw errors.raggedData(name);
  return { shape: nesting, bytes: asBuffer(bytes) };
}

/** What is wrong with an input's data, with the input's name. */
function inWords<T>({ name, datatype }: Pick<Input, 'name' | 'datatype'>, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof JsonDatatypeError) throw errors.noJsonForm(datatype, name);
    if (error instanceof JsonTextError) throw errors.badData(name, error.message);
    throw error;
  }
}

const asBuffer = ({ buffer, byteOffset, byteLength }: Uint8Array): Buffer =>
  Buffer.from(buffer, byteOffset, byteLength);

/** The answer in the form of the request; the name of a single output is left out. */
export function writePredictAnswer(
  { outputs, rawOutputContents }: inference.ModelInferResponse,
  form: 'rows' | 'columns',
) {
  const nested = outputs.map(({ name, datatype, shape }, i) => {
    try {
      return { name, datatype, shape: shape.map(Number), bytes: rawOutputContents[i] ?? Buffer.alloc(0) };
    } catch (error) {
      if (error instanceof JsonDatatypeError) throw errors.noJsonFormOut(datatype, name);
      throw error;
    }
  });
  const whole = nested.map((output) => ({ ...output, text: nestedText(output) }));
  if (form === 'columns') {
    if (whole.length === 1) return `{"outputs":${whole[0]!.text}}`;
    return `{"outputs":{${whole.map(({ name, text }) => `${JSON.stringify(name)}:${text}`).join(',')}}}`;
  }
  if (whole.length === 1) {
    if (whole[0]!.shape.length === 0) throw errors.noBatchAxis(whole[0]!.name);
    return `{"predictions":${whole[0]!.text}}`;
  }
  return `{"predictions":${rowsOf(nested)}}`;
}

interface Output {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  readonly bytes: Buffer;
}

function nestedText({ name, datatype, shape, bytes }: Output): string {
  try {
    return writeNestedJson(datatype, bytes, shape);
  } catch (error) {
    if (error instanceof JsonDatatypeError) throw errors.noJsonFormOut(error.message, name);
    throw error;
  }
}

function rowsOf(outputs: readonly Output[]): string {
  const [first] = outputs;
  const count = first?.shape[0];
  const other = outputs.find(({ shape }) => shape[0] === undefined || shape[0] !== count);
  if (other || count === undefined) throw errors.noBatchAxis(other?.name ?? '');
  // parsed again where it is rare: a model with several outputs
  const columns = outputs.map((output) => listTexts(nestedText(output)));
  const row = (i: number) => outputs.map(({ name }, o) => `${JSON.stringify(name)}:${columns[o]![i]!}`).join(',');
  return `[${Array.from({ length: count }, (_, i) => `{${row(i)}}`).join(',')}]`;
}

/** The texts of a JSON list's members. */
function listTexts(text: string): string[] {
  const members: string[] = [];
  let open = 0;
  let start = 1;
  for (let at = 1; at < text.length - 1; at++) {
    const c = text[at];
    if (c === '"') {
      for (at++; text[at] !== '"'; at++) if (text[at] === '\\') at++;
    } else if (c === '[') open++;
    else if (c === ']') open--;
    else if (c === ',' && open === 0) {
      members.push(text.slice(start, at));
      start = at + 1;
    }
  }
  return text.length > 2 ? [...members, text.slice(start, -1)] : members;
}
