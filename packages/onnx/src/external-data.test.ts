import { checkAdmission } from './admission.js';
import { graphAttribute, message, model, node, tensor, tensorAttribute, value } from './bytes-for-tests.js';
import type { ExternalData } from './external-data.js';
import type { Model } from './model.js';
import type { ByteSource } from './protobuf-reader.js';
import { readOnnx } from './read-onnx.js';
import { onnxPieces, splitOnnx, writeOnnx } from './write-onnx.js';

const source = (bytes: Uint8Array): ByteSource & { taken: number } => ({
  taken: 0,
  size: bytes.length,
  read(at, length) {
    this.taken += length;
    return bytes.slice(at, at + length);
  },
});

const floats = (count: number) => new Uint8Array(Float32Array.from({ length: count }, (_, i) => Math.sin(i)).buffer);
const raw = (name: string, dims: readonly number[], count: number) => tensor(name, dims, [2, 1], [9, floats(count)]);

const whole = readOnnx(
  model({
    initializers: [raw('small', [3], 3), raw('a', [20, 100], 2000), raw('b', [300], 300), raw('c', [1024], 1024)],
    nodes: [
      node('Constant', [], ['constant'], { attributes: [tensorAttribute('value', raw('', [500], 500))] }),
      node('Add', ['x', 'small'], ['y']),
    ],
    inputs: [value('x', ['n', 3])],
    outputs: [value('y', ['n', 3])],
  }),
);

function split(of: Model) {
  const made = splitOnnx(of, 1000)!;
  return { file: Buffer.concat([...made.file('weights')]), data: Buffer.concat([...made.data()]) };
}

describe('a model whose weights lie in a file of their own', () => {
  it('is read as the one it was, and no weight before it is looked at', () => {
    const { file, data } = split(whole);
    expect(file.length).toBeLessThan(2700); // the constant's 2000 bytes stay in it
    const beside = source(data);
    const read = readOnnx(file, new Map([['weights', beside]]));
    expect(beside.taken).toBe(0);
    expect(Buffer.compare(writeOnnx(read), writeOnnx(whole))).toBe(0);
    expect(beside.taken).toBe(4 * (2000 + 300 + 1024));
  });

  it('has each of them at the beginning of a page', () => {
    const { data } = split(whole);
    const at = (offset: number, count: number) => data.subarray(offset, offset + 4 * count);
    expect(Buffer.compare(at(0, 2000), floats(2000))).toBe(0);
    expect(Buffer.compare(at(8192, 300), floats(300))).toBe(0);
    expect(Buffer.compare(at(12_288, 1024), floats(1024))).toBe(0);
    expect(data).toHaveLength(12_288 + 4096);
  });

  it('is one file where that is not too large', () => {
    const size = Buffer.concat([...onnxPieces(whole)]).length;
    expect(splitOnnx(whole, size)).toBeUndefined();
    expect(splitOnnx(whole, size - 1)).toBeDefined();
  });

  it('is split again without weights in between', () => {
    const { file, data } = split(whole);
    expect(split(readOnnx(file, new Map([['weights', source(data)]])))).toEqual({ file, data });
  });
});

type Fields = readonly (readonly [number: number, value: number | string | Uint8Array])[];
const entry = (key: string, text: string) => [13, message([1, key], [2, text])] as const;
const outside = (...fields: Fields) => tensor('w', [3], [2, 1], ...fields);
const weights = (...more: Fields) => outside(entry('location', 'weights'), [14, 1], ...more);
const files: ExternalData = new Map([['weights', source(floats(10))]]);
const adding = (w: Uint8Array) =>
  model({
    initializers: [w],
    nodes: [node('Add', ['x', 'w'], ['y'])],
    inputs: [value('x', ['n', 3])],
    outputs: [value('y', ['n', 3])],
  });

describe('admission of data in other files', () => {
  it.each([
    ['at the beginning', weights()],
    ['at the end', weights(entry('offset', '28'), entry('length', '12'), entry('checksum', 'abc'))],
  ])('takes that %s of a file given', (_, w) => {
    expect(checkAdmission(adding(w), {}, files).signature.inputs[0]!.name).toBe('x');
    expect(() => checkAdmission(adding(w))).toThrow("tensor 'w' keeps its data in another file, which is refused");
  });

  it.each([
    ['of another name', outside(entry('location', '/etc/passwd'), [14, 1]), "tensor 'w' keeps its data in another file, '/etc/passwd': there are 'weights'"],
    ['above the folder', outside(entry('location', '../weights'), [14, 1]), "in another file, '../weights': there are 'weights'"],
    ['beside itself', outside(entry('location', './weights'), [14, 1]), "in another file, './weights'"],
    ['in memory', outside(entry('location', '*/_ORT_MEM_ADDR_/*'), [14, 1]), "in another file, '*/_ORT_MEM_ADDR_/*'"],
    ['nowhere', outside([14, 1]), "in another file, ''"],
    ['beyond the end', weights(entry('offset', '29')), "tensor 'w' ends at byte 41 of 'weights', which has 40"],
    ['before the beginning', weights(entry('offset', '-4')), "tensor 'w' has its data at offset '-4', wants a number"],
    ['at no number', weights(entry('offset', '0x10')), "at offset '0x10', wants a number"],
    ['far away', weights(entry('offset', '99999999999999999999')), 'wants a number'],
    ['of another length', weights(entry('length', '16')), "tensor 'w' has 16 bytes in 'weights', wants 12"],
    ['here as well', weights([9, floats(3)]), "tensor 'w' has data here and in another file"],
    ['twice', weights(entry('location', 'weights')), "tensor 'w' says twice what the location of its data is"],
    ['with more to tell', weights(entry('model', 'x')), "tensor 'w' has 'model' among what says where its data lies"],
    ['that is said to be here', outside(entry('location', 'weights')), "tensor 'w' has data here and in another file"],
    ['of strings', tensor('w', [3], [2, 8], entry('location', 'weights'), [14, 1]), 'of a kind that lies in none'],
  ])('refuses that %s', (_, w, problem) => expect(() => checkAdmission(adding(w), {}, files)).toThrow(problem)); // prettier-ignore

  it.each([
    ['a constant', node('Constant', [], ['c'], { attributes: [tensorAttribute('value', weights())] })],
    [
      'a graph inside',
      node('If', ['x'], ['c'], { attributes: [graphAttribute('then_branch', message([5, weights()]))] }),
    ],
  ])('refuses that of %s, wherever it lies', (_, inner) => {
    const bytes = model({
      nodes: [inner, node('Identity', ['x'], ['y'])],
      inputs: [value('x', ['n', 3])],
      outputs: [value('y', ['n', 3])],
    });
    expect(() => checkAdmission(bytes, {}, files)).toThrow(
      "tensor 'w' keeps its data in another file, which is refused",
    );
  });
});
