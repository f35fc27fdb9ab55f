import { calibrationRows } from '@modelmill/data';
import { attribute, floatTensor, floatsOf, int64Tensor, makeNode, writeOnnx } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { accuracyOf, nearestMeans, readDigits } from '../digits-for-tests.js';
import type { Digits } from '../digits-for-tests.js';
import { defaultSplits, tableExamples } from '../examples.js';
import { advise } from './advise.js';
import { formSource, inForm, layerForms, modelForms } from './forms.js';
import { measureForms, sqnr } from './measure-forms.js';
import type { MeasureOptions, Measured } from './measure-forms.js';

jest.setTimeout(120_000);

const task = { kind: 'classes', dataset: 'digits', featureShape: [64], classes: 10 } as const;
const binding = { input: 'input', exampleShape: [64], output: 'probabilities' };

describe('measured forms of layers', () => {
  let digits: Digits;
  let model: Model;
  let options: MeasureOptions;
  let measured: Measured;
  beforeAll(async () => {
    digits = await readDigits();
    model = await nearestMeans(digits);
    const some = calibrationRows(digits.train, 200, 0n);
    const { signal } = new AbortController();
    const examples = tableExamples(digits.table, defaultSplits, task);
    options = { binding, examples, some, signal, budgetMs: 60_000, modelForms, layerForms };
    measured = await measureForms(model, options);
  });
  const of = (layer: string, form: string) =>
    measured.layers.find(({ name }) => name === layer)!.forms.find((one) => one.form === form)!;

  it('have the accuracy that ONNX Runtime finds in this process', async () => {
    const zeros = await inForm(formSource(model), 'zeros_90', new Map());
    const some = { ...digits, test: options.some };
    expect(measured.floats.value).toBeCloseTo(await accuracyOf(writeOnnx(model), some), 12);
    const drop = measured.forms.find(({ form }) => form === 'zeros_90')!.drop;
    expect(measured.floats.value - drop).toBeCloseTo(await accuracyOf(writeOnnx(zeros!), some), 12);
    expect(drop).toBeGreaterThan(0.1); // nine tenths of the weights, without fine-tuning
  });

  it('tell of each layer alone what it minds: fewer bits and more zeros are farther from floats', () => {
    expect(measured.layers.map(({ name }) => name)).toEqual(['conv', 'dense']);
    expect(of('dense', 'int8').sqnrDb).toBeGreaterThan(of('dense', 'int4').sqnrDb);
    for (const layer of ['conv', 'dense']) {
      expect(of(layer, 'zeros_50').sqnrDb).toBeGreaterThan(of(layer, 'zeros_90').sqnrDb);
    }
    expect(of('conv', 'int4').sqnrDb).toBe(200); // its kernels are −1, 0 and 1 of something: no bit is lost
    const worst = Math.min(of('conv', 'int8').sqnrDb, of('dense', 'int8').sqnrDb);
    const together = measured.forms.find(({ form }) => form === 'int8')!.sqnrDb;
    expect(together).toBeLessThan(worst + 3); // two noises are not less than the louder one, but by chance
    expect(measured.unmeasured).toBe(0);
  });

  it('change one layer alone', async () => {
    const source = formSource(model);
    const [conv] = source.layers;
    const changed = (await inForm(source, 'zeros_50', new Map(), conv))!;
    expect(floatsOf(changed.graph.initializers.get('matrix')!)).toEqual(
      floatsOf(model.graph.initializers.get('matrix')!),
    );
    const kernels = floatsOf(changed.graph.initializers.get('kernels_conv')!);
    expect(kernels.filter((value) => value === 0).length).toBeGreaterThanOrEqual(18);
    expect(changed.graph.initializers.has('kernels')).toBe(false);
  });

  it("time each layer's own kernel in floats and in int8, by ONNX Runtime's profile", () => {
    for (const { floatMs, int8Ms } of measured.layers) {
      expect(floatMs).toBeGreaterThan(0);
      expect(int8Ms).toBeGreaterThan(0);
    }
    const inLayers = measured.layers.reduce((sum, { floatMs }) => sum + floatMs, 0);
    expect(inLayers).toBeLessThan(measured.floats.kernelsMs);
    expect(measured.floats.kernelsMs).toBeLessThan(5 * measured.floats.p50Ms);
  });

  it('find the layer that minds eight bits most, and advise to leave it in floats', async () => {
    const spoilt = spoiltByOutliers(model);
    const found = await measureForms(spoilt, { ...options, layerForms: ['int8'], modelForms: ['int8'] });
    const [least] = [...found.layers].sort((a, b) => a.forms[0]!.sqnrDb - b.forms[0]!.sqnrDb);
    expect(least!.name).toBe('dense');
    expect(least!.forms[0]!.drop).toBeGreaterThan(0.05);
    const about = { sizeBytes: 1, parameters: new Map(), optimizer: undefined };
    expect(advise(found, about).join('\n')).toMatch(
      /Leave dense in floats \(exclude\): alone in int8 it costs accuracy \d+/,
    );
  });

  it('leave out what there is no time for, and say so', async () => {
    const hasty = await measureForms(model, { ...options, budgetMs: 0 });
    expect(hasty.unmeasured).toBe(8);
    expect(hasty.forms.map(({ form }) => form)).toEqual(['int8', 'int8_dynamic', 'int4', 'zeros_50', 'zeros_90']);
    const about = { sizeBytes: 1, parameters: new Map(), optimizer: undefined };
    expect(advise(hasty, about).at(-1)).toMatch(/^There was no time for 8 forms/);
  });

  it('end when the caller goes away', async () => {
    const leaving = new AbortController();
    const ending = measureForms(model, { ...options, signal: leaving.signal });
    leaving.abort(new Error('gone'));
    await expect(ending).rejects.toThrow();
  });
});

/** The features get a 257th: so large that eight bits have one step left for the others; a weight of 0 reads it. */
function spoiltByOutliers(model: Model): Model {
  const { graph } = model;
  const matrix = floatsOf(graph.initializers.get('matrix')!);
  const [last, softmax] = graph.nodes.slice(-2);
  return {
    ...model,
    graph: {
      ...graph,
      nodes: [
        ...graph.nodes.slice(0, -2),
        makeNode('ReduceMax', ['features', 'axis'], ['largest']),
        makeNode('Mul', ['largest', 'much'], ['outlier']),
        makeNode('Concat', ['features', 'outlier'], ['more'], { axis: attribute(1) }),
        { ...last!, inputs: ['more', 'wider', 'bias'] },
        softmax!,
      ],
      initializers: new Map([
        ...graph.initializers,
        ['axis', int64Tensor('axis', [1], [1])],
        ['much', floatTensor('much', [], [1000])],
        ['wider', floatTensor('wider', [257, 10], [...matrix, ...new Float32Array(10)])],
      ]),
    },
  };
}

it('SQNR is ten times the logarithm of signal by noise', () => {
  expect(sqnr([Float32Array.of(1, 1)], [Float32Array.of(1, 0.9)])).toBeCloseTo(10 * Math.log10(2 / 0.01), 4);
  expect(sqnr([Float32Array.of(1)], [Float32Array.of(1)])).toBe(200);
});
