import { registry } from '@modelmill/contracts';
import { learnCharacters } from '@modelmill/data';
import { bindingFor, registrySignature } from './binding.js';
import { someCnn } from './models-for-tests.js';
import type { Task } from './task.js';

const tensor = (name: string, datatype: string, shape: number[]) => ({ name, datatype, shape: shape.map(String) });
const digits: Task = { kind: 'classes', dataset: 'digits', featureShape: [64], classes: 10 };
const wine: Task = { kind: 'numbers', dataset: 'wine', featureShape: [64] };
const song: Task = { kind: 'text', dataset: 'song', context: 24, tokenizer: learnCharacters(['a mill']) };
const fit = (inputs: object[], outputs: object[], task: Task = digits) =>
  bindingFor('net', registry.Signature.fromJSON({ inputs, outputs }), task);
const x = tensor('x', 'FP32', [-1, 64]);
const y = tensor('y', 'FP32', [-1, 10]);
const number = tensor('y', 'FP32', [-1, 1]);
const tokens = tensor('tokens', 'INT64', [-1, -1]);

describe('a model for a dataset', () => {
  it('is found by its signature', () =>
    expect(bindingFor('net', registrySignature(someCnn()), digits)).toEqual({
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
    [[x], [number], wine, { input: 'x', exampleShape: [64], output: 'y' }],
    [[x], [tensor('y', 'FP32', [-1])], wine, { input: 'x', exampleShape: [64], output: 'y' }],
    [[tokens], [tensor('p', 'FP32', [-1, -1, 5])], song, { input: 'tokens', exampleShape: [24], output: 'p' }],
    [[tensor('t', 'INT64', [-1, 24])], [tensor('p', 'FP32', [-1, 24, -1])], song, { exampleShape: [24], output: 'p' }],
  ])('gives a number, or what follows every token: %j %j', (inputs, outputs, task, binding) =>
    expect(fit(inputs, outputs, task)).toMatchObject(binding),
  );

  it.each([
    [[x, x], [y], digits, "model 'net' takes FP32 [-1, 64] and FP32 [-1, 64], wants one FP32 input whose first"],
    [[tensor('x', 'FP32', [1, 64])], [y], digits, "model 'net' takes FP32 [1, 64], wants one FP32 input whose first"],
    [[tensor('x', 'INT64', [-1, 64])], [y], digits, "model 'net' takes INT64 [-1, 64], wants one FP32 input"],
    [[tensor('x', 'FP32', [-1, 63])], [y], digits, "model 'net' takes [63] per example, the dataset has [64]"],
    [[tensor('x', 'FP32', [-1, -1, 8])], [y], digits, "model 'net' takes [-1, 8] per example, the dataset has [64]"],
    [
      [x],
      [tensor('y', 'FP32', [-1, 9])],
      digits,
      "model 'net' gives FP32 [-1, 9], wants FP32 [-1, 10]: dataset 'digits' has 10 classes",
    ],
    [[x], [], digits, "model 'net' gives nothing, wants FP32 [-1, 10]"],
    [[x], [y, { ...y, name: 'z' }], digits, "wants one answer: 'y' and 'z' both fit"],
    [[x], [y], wine, "model 'net' gives FP32 [-1, 10], wants FP32 [-1, 1]: the target of dataset 'wine' is a number"],
    [[x], [number], song, "model 'net' takes FP32 [-1, 64], wants one INT64 input of tokens"],
    [
      [tensor('t', 'INT64', [-1, 16])],
      [tensor('p', 'FP32', [-1, 24, 5])],
      song,
      "model 'net' takes [16] per example, the dataset has [24]",
    ],
    [
      [tokens],
      [tensor('p', 'FP32', [-1, -1, 6])],
      song,
      "model 'net' gives FP32 [-1, -1, 6], wants FP32 [-1, 24, 5]: every token is followed by one of 5",
    ],
  ])('is refused where the two do not fit: %j %j', (inputs, outputs, task, message) =>
    expect(() => fit(inputs, outputs, task)).toThrow(message),
  );
});
