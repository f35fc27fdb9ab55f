import { registry } from '@modelmill/contracts';
import { classifierFor, registrySignature } from './classifier.js';
import { someCnn } from './models-for-tests.js';

const tensor = (name: string, datatype: string, shape: number[]) => ({ name, datatype, shape: shape.map(String) });
const digits = { dataset: 'digits', featureShape: [64], classes: 10 };
const fit = (inputs: object[], outputs: object[], form = digits) =>
  classifierFor('net', registry.Signature.fromJSON({ inputs, outputs }), form);
const x = tensor('x', 'FP32', [-1, 64]);
const y = tensor('y', 'FP32', [-1, 10]);

describe('a classifier for a dataset', () => {
  it('is found by its signature', () =>
    expect(classifierFor('net', registrySignature(someCnn()), digits)).toEqual({
      input: 'input',
      exampleShape: [64],
      output: 'probabilities',
    }));

  it('takes rows of 64 numbers as images of 8 by 8, and gives more than its scores', () =>
    expect(fit([tensor('x', 'FP32', [-1, 1, 8, 8])], [tensor('class', 'INT64', [-1]), y])).toEqual({
      input: 'x',
      exampleShape: [1, 8, 8],
      output: 'y',
    }));

  it("takes the dataset's sizes where its own are open", () =>
    expect(fit([tensor('x', 'FP32', [-1, -1, 28])], [y], { ...digits, featureShape: [28, 28] }).exampleShape).toEqual([
      28, 28,
    ]));

  it.each([
    [[x, x], [y], "model 'net' takes FP32 [-1, 64] and FP32 [-1, 64], wants one FP32 input whose first"],
    [[tensor('x', 'FP32', [1, 64])], [y], "model 'net' takes FP32 [1, 64], wants one FP32 input whose first"],
    [[tensor('x', 'INT64', [-1, 64])], [y], "model 'net' takes INT64 [-1, 64], wants one FP32 input"],
    [[tensor('x', 'FP32', [-1, 63])], [y], "model 'net' takes [63] per example, the dataset has [64]"],
    [[tensor('x', 'FP32', [-1, -1, 8])], [y], "model 'net' takes [-1, 8] per example, the dataset has [64]"],
    [
      [x],
      [tensor('y', 'FP32', [-1, 9])],
      "model 'net' gives FP32 [-1, 9], wants FP32 [-1, 10]: dataset 'digits' has 10 classes",
    ],
    [[x], [], "model 'net' gives nothing, wants FP32 [-1, 10]"],
  ])('is refused where the two do not fit: %j %j', (inputs, outputs, message) =>
    expect(() => fit(inputs, outputs)).toThrow(message),
  );
});
