import {
  attribute,
  checkAdmission,
  cloneModel,
  cutFinalSoftmax,
  densify,
  emptyGraph,
  floatAttribute,
  floatTensor,
  int64Tensor,
  makeNode,
  readOnnx,
  sparsify,
  writeOnnx,
} from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { openSession } from '@modelmill/runtime';
import { expectClose, itEachModel, lift, modelFiles, runOn, typed } from './onnx-models.js';

/** What this ONNX Runtime has no operator for, or no locale. */
const mayBeRefused = /gradient|strnorm/;

describe('an ONNX file that was read and written', () => {
  itEachModel('gives the published outputs', modelFiles, async ({ name, bytes, published }) => {
    const model = readOnnx(bytes);
    if (model.opsets.get('')! < 7) lift(model);
    const opened = await openSession(writeOnnx(model), { graphOptimization: 'disabled' }).catch(String);
    if (typeof opened === 'string') {
      expect(name).toMatch(mayBeRefused);
      expect(opened).toBe(await openSession(bytes, { graphOptimization: 'disabled' }).catch(String));
      return;
    }
    await using session = opened;
    const { inputs, outputs } = published();
    const got = await runOn(session, inputs);
    expect(got.map(({ dims }) => dims)).toEqual(outputs.map(({ dims }) => dims));
    got.forEach((output, i) => expectClose(output.data, typed(outputs[i]!).data));
  });

  it.each(Array.from({ length: 17 }, (_, i) => 7 + i))('keeps its meaning in operator set %i', async (opset) => {
    const model = classifier(opset);
    const file = writeOnnx(model);
    expect(readOnnx(file)).toEqual(model);
    await using session = await openSession(writeOnnx(readOnnx(file)));
    const { y } = await session.run({ x: { dims: [2, 1, 2], data: Float32Array.of(1, 2, 3, -4) } });
    // relu(x·w + b) is [1.5, 0] and [0, 6.5]
    expect(y!.dims).toEqual([2, 2]);
    const [e, f] = [Math.exp(1.5), Math.exp(6.5)];
    expectClose(y!.data, Float32Array.of(e / (e + 1), 1 / (e + 1), 1 / (1 + f), f / (1 + f)));
  });
});

describe('an admitted ONNX file', () => {
  const admitted = modelFiles.filter(
    ({ name, bytes }) => readOnnx(bytes).opsets.get('')! >= 7 && !/gradient/.test(name),
  );

  itEachModel('has the signature ONNX Runtime sees', admitted, async ({ bytes }) => {
    const { signature } = checkAdmission(bytes);
    const opened = await openSession(bytes, { graphOptimization: 'disabled' }).catch(String);
    if (typeof opened === 'string') return expect(opened).toContain('locale');
    await using session = opened;
    expect(signature).toEqual({ inputs: session.inputs, outputs: session.outputs });
  });
});

describe('an edited ONNX file', () => {
  const x = { dims: [2, 1, 2], data: Float32Array.of(1, 2, 3, -4) };
  const logits = Float32Array.of(1.5, 0, 0, 6.5);
  const run = async (model: Model) => {
    await using session = await openSession(writeOnnx(model));
    const results = await session.run({ x });
    return { names: Object.keys(results), data: Object.values(results)[0]!.data };
  };

  it('gives the logits once its softmax is cut', async () => {
    const model = classifier(18);
    const name = cutFinalSoftmax(model);
    expect(await run(model)).toEqual({ names: [name], data: logits });
  });

  it.each([
    ['a zero', [-1, 1, 1, -1], [0, 2]],
    ['zeros', [-1, 1, 1, -1], [0, 1, 2]],
    ['nothing but zeros', [-1, 1, 1, -1], [0, 1, 2, 3]],
  ])('gives the same with %s stored sparsely', async (_, weights, zeros) => {
    const model = cloneModel(classifier(18));
    const values = weights.map((value, i) => (zeros.includes(i) ? 0 : value));
    model.graph.initializers.set('w', floatTensor('w', [2, 2], values));
    const sparse = sparsify(model, 0.25);
    expect([...sparse.graph.sparseInitializers.keys()]).toEqual(['w']);
    const wanted = await run(model);
    expect(await run(sparse)).toEqual(wanted);
    expect(await run(densify(readOnnx(writeOnnx(sparse))))).toEqual(wanted);
  });
});

/** softmax(relu(x·w + b)) of [n, 1, 2]; Squeeze's axes moved from attribute to input with operator set 13. */
function classifier(opset: number): Model {
  const inside = opset < 13;
  return {
    irVersion: opset < 9 ? 3 : 8,
    opsets: new Map([['', opset]]),
    producer: 'test',
    metadata: new Map([['made for', 'a test']]),
    functions: [],
    graph: {
      ...emptyGraph('classifier'),
      nodes: [
        inside
          ? makeNode('Squeeze', ['x'], ['flat'], { axes: attribute([1]) })
          : makeNode('Squeeze', ['x', 'axes'], ['flat']),
        makeNode('Gemm', ['flat', 'w', 'b'], ['sum'], { beta: floatAttribute(0.5), transB: attribute(1) }),
        makeNode('Relu', ['sum'], ['relu']),
        makeNode('Softmax', ['relu'], ['y'], { axis: attribute(1) }),
      ],
      initializers: new Map([
        ['w', floatTensor('w', [2, 2], [-1, 1, 1, -1])],
        ['b', floatTensor('b', [2], [1, -1])],
        ...(inside ? [] : ([['axes', int64Tensor('axes', [1], [1])]] as const)),
      ]),
      // up to version 3 of the format a weight is an input, too
      inputs: [
        { name: 'x', dataType: 'float', shape: ['n', 1, 2] },
        ...(opset < 9
          ? ([
              { name: 'w', dataType: 'float', shape: [2, 2] },
              { name: 'b', dataType: 'float', shape: [2] },
            ] as const)
          : []),
      ],
      outputs: [{ name: 'y', dataType: 'float', shape: ['n', 2] }],
    },
  };
}
