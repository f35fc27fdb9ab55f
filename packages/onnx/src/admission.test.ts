import { AdmissionError } from './admission-error.js';
import { checkAdmission } from './admission.js';
import {
  floatRaw,
  floats,
  functionDef,
  graph,
  graphAttribute,
  message,
  model,
  node,
  packed,
  tensor,
  tensorAttribute,
  value,
  varint,
} from './bytes-for-tests.js';

const external = tensor('w', [1], [2, 1], [13, message([1, 'location'], [2, '/etc/passwd'])], [14, 1]);
const flagOnly = tensor('w', [1], [2, 1], [9, floats(0)], [14, 1]);
const constant = (content: Uint8Array) =>
  node('Constant', [], ['c'], { name: 'c', attributes: [tensorAttribute('value', content)] });
const call = (name: string, input = 'x', output = 'y') => node(name, [input], [output], { domain: 'local' });
const local = [
  ['', 18],
  ['local', 1],
] as const;
const chain = (length: number) =>
  Array.from({ length }, (_, i) =>
    functionDef(`f${i}`, [i + 1 < length ? call(`f${i + 1}`) : node('Relu', ['x'], ['y'])]),
  );
const doubling = (levels: number) =>
  Array.from({ length: levels }, (_, i) => {
    const inner = (from: string, to: string) =>
      i + 1 < levels ? call(`f${i + 1}`, from, to) : node('Relu', [from], [to]);
    return functionDef(`f${i}`, [inner('x', 'm'), inner('m', 'y')]);
  });
const sparse = (dims: readonly (number | bigint)[], count: number, indices: Uint8Array, indexDims = [count]) =>
  message(
    [1, floatRaw('s', [count], ...Array.from({ length: count }, () => 1))],
    [2, tensor('', indexDims, [2, 7], [7, indices])],
    ...dims.map((size) => [3, size] as const),
  );
const nested = (levels: number): Uint8Array => {
  let inner = graph({ inputs: [] });
  for (let i = 0; i < levels; i++) {
    inner = graph({ inputs: [], nodes: [node('Relu', ['x'], ['y'], { attributes: [graphAttribute('body', inner)] })] });
  }
  return inner;
};
/** A graph whose one node is the one given, and Relu after it. */
const before = (given: Uint8Array) => model({ nodes: [given, node('Relu', ['x'], ['y'])] });

const hostile: [string, () => Uint8Array, string][] = [
  ['nothing', () => new Uint8Array(), 'got 0'],
  ['a web page', () => Buffer.from('<!doctype html><html><body>404</body></html>'), 'wire type 4'],
  ['a pickle', () => Buffer.from('80049515000000000000008c', 'hex'), ''],
  ['a zip', () => Buffer.from('PK\u0003\u0004somewhere over the rainbow'), ''],
  ['zeros', () => new Uint8Array(1000), 'field number 0'],
  ['a varint without end', () => new Uint8Array(1000).fill(0xff), 'longer than ten bytes'],
  ['a length beyond the end', () => Uint8Array.from([0x3a, ...varint(2n ** 63n)]), `wants ${2 ** 63} bytes`],
  ['a length of all ones', () => Uint8Array.from([0x3a, ...varint(2n ** 64n - 1n), 1]), '1 are left'],
  ['a group', () => message([7, Uint8Array.of(0x0b, 0x0c)]), 'wire type 3'],
  [
    'messages in messages',
    () => model({ nodes: [node('If', ['x'], ['y'], { attributes: [graphAttribute('g', nested(60))] })] }),
    'nested more than 100',
  ],
  ['names that are no UTF-8', () => before(message([1, Uint8Array.of(0xc0, 0xae)], [2, 'z'], [4, 'Relu'])), 'UTF-8'],
  ['no graph', () => message([1, 9], [8, message([2, 18])]), 'got 0'],
  ['no operator set', () => model({ opsets: [] }), 'got none'],
  ['operator set 6', () => model({ opsets: [['', 6]] }), 'operator set 6'],
  ['operator set 24', () => model({ opsets: [['', 24]] }), 'operator set 24'],
  ['operator set -1', () => model({ opsets: [['', -1n]] }), 'operator set -1'],
  [
    'two operator sets of one domain',
    () =>
      model({
        opsets: [
          ['', 18],
          ['ai.onnx', 6],
        ],
      }),
    'twice',
  ],

  [
    'an initializer in another file',
    () => model({ initializers: [external] }),
    "tensor 'w' keeps its data in another file",
  ],
  [
    'an initializer that says so beside its data',
    () => model({ initializers: [flagOnly] }),
    "tensor 'w' keeps its data in another file",
  ],
  ['a constant in another file', () => before(constant(external)), "tensor 'w' keeps its data in another file"],
  [
    'a tensor of a subgraph in another file',
    () =>
      before(node('Relu', ['x'], ['z'], { attributes: [graphAttribute('g', graph({ initializers: [external] }))] })),
    "tensor 'w' keeps its data in another file",
  ],
  [
    'a tensor of a function in another file',
    () => model({ opsets: local, functions: [functionDef('f', [constant(external)])] }),
    "tensor 'w' keeps its data in another file",
  ],
  [
    'a default of a function in another file',
    () => model({ opsets: local, functions: [message([1, 'f'], [10, 'local'], [11, tensorAttribute('a', external)])] }),
    "tensor 'w' keeps its data in another file",
  ],
  [
    'sparse values in another file',
    () => model({ sparse: [message([1, external], [2, tensor('', [0], [2, 7])], [3, 4])] }),
    "tensor 'w' keeps its data in another file",
  ],
  [
    'a training graph',
    () => model({ more: [[20, message([1, graph({ initializers: [external] })])]] }),
    'training graphs',
  ],
  [
    'a constant hidden under another type',
    () => before(node('Constant', [], ['c'], { attributes: [message([1, 'value'], [5, external], [3, 1], [20, 2])] })),
    "attribute 'value'",
  ],
  [
    'an attribute without a type',
    () => before(node('Constant', [], ['c'], { attributes: [message([1, 'value'], [5, external])] })),
    "attribute 'value' of a type that is not taken",
  ],

  [
    'a circle',
    () => model({ nodes: [node('Add', ['x', 'y'], ['z'], { name: 'one' }), node('Relu', ['z'], ['y'])] }),
    'circle',
  ],
  [
    'a node that reads itself',
    () => model({ nodes: [node('Add', ['x', 'y'], ['y'], { name: 'one' })] }),
    "'one' (Add)",
  ],
  [
    'two nodes that make one value',
    () => model({ nodes: [node('Relu', ['x'], ['y']), node('Abs', ['x'], ['y'])] }),
    "two values named 'y'",
  ],
  ['a node that makes an input', () => model({ nodes: [node('Relu', ['x'], ['x', 'y'])] }), "two values named 'x'"],
  ['a node that makes an initializer', () => model({ initializers: [floatRaw('y', [0])] }), "two values named 'y'"],
  ['two initializers of one name', () => model({ initializers: [floatRaw('w', [0]), floatRaw('w', [1], 1)] }), "'w'"],
  ['two inputs of one name', () => model({ inputs: [value('x', [1]), value('x', [2])] }), "two values named 'x'"],
  ['two outputs of one name', () => model({ outputs: [value('y', [1]), value('y', [2])] }), 'two outputs'],
  [
    'an unknown initializer',
    () => before(node('Add', ['x', 'bias'], ['z'], { name: 'add' })),
    "node 'add' (Add) reads 'bias'",
  ],
  ['an output that nothing makes', () => model({ outputs: [value('z', [1])] }), "output 'z'"],
  ['no output', () => model({ outputs: [] }), 'no output'],
  [
    'a value of a subgraph used outside of it',
    () =>
      model({
        nodes: [
          node('Relu', ['x'], ['z'], {
            attributes: [
              graphAttribute(
                'g',
                graph({ inputs: [], nodes: [node('Abs', ['x'], ['inner'])], outputs: [value('inner', [])] }),
              ),
            ],
          }),
          node('Abs', ['inner'], ['y'], { name: 'out' }),
        ],
      }),
    "node 'out' (Abs) reads 'inner'",
  ],
  [
    'an unknown value inside a function',
    () =>
      model({
        opsets: local,
        functions: [functionDef('f', [node('Add', ['x', 'w'], ['y'])])],
        initializers: [floatRaw('w', [0])],
      }),
    "reads 'w'",
  ],

  ['negative sizes', () => model({ initializers: [floatRaw('w', [-1n], 1)] }), "tensor 'w' has sizes [-1]"],
  [
    'two negative sizes',
    () => model({ initializers: [floatRaw('w', [-1n, -1n], 1)] }),
    "tensor 'w' has sizes [-1, -1]",
  ],
  [
    'sizes whose product overflows to 0',
    () => model({ initializers: [floatRaw('w', [2n ** 32n, 2n ** 32n])] }),
    "tensor 'w' has sizes",
  ],
  [
    'absurd sizes beside a zero',
    () => model({ initializers: [floatRaw('w', [2n ** 62n, 0])] }),
    "tensor 'w' has sizes",
  ],
  [
    'absurd sizes of typed data',
    () => model({ initializers: [tensor('w', [2 ** 36], [2, 7], [7, packed(1)])] }),
    `tensor 'w' has at most 1 numbers, wants ${2 ** 36}`,
  ],
  [
    'data too short',
    () => model({ initializers: [floatRaw('w', [3], 1, 2)] }),
    "tensor 'w' of float [3] has 8 bytes, wants 12",
  ],
  [
    'data too long',
    () => model({ initializers: [floatRaw('w', [1], 1, 2)] }),
    "tensor 'w' of float [1] has 8 bytes, wants 4",
  ],
  [
    'an unknown element type',
    () => model({ initializers: [tensor('w', [1], [2, 99], [9, floats(1)])] }),
    'element type 99',
  ],
  ['9 axes', () => model({ initializers: [floatRaw('w', [1, 1, 1, 1, 1, 1, 1, 1, 1], 1)] }), "tensor 'w' has 9 axes"],
  [
    'a million axes',
    () => model({ initializers: [message([1, new Uint8Array(1e6).fill(1)], [2, 1], [8, 'w'])] }),
    'axes',
  ],
  ['an input of 9 axes', () => model({ inputs: [value('x', [1, 1, 1, 1, 1, 1, 1, 1, 1])] }), "'x' has 9 axes"],
  ['an input of a negative size', () => model({ inputs: [value('x', [-5])] }), "'x' has sizes [-5]"],
  [
    'an input without a shape',
    () => model({ inputs: [message([1, 'x'], [2, message([1, message([1, 1])])])] }),
    "input 'x' has no shape",
  ],
  [
    'an input that is a sequence',
    () => model({ inputs: [message([1, 'x'], [2, message([4, message()])])] }),
    "'x' is no tensor",
  ],
  ['an input of complex numbers', () => model({ inputs: [value('x', [1], 14)] }), "'x' has elements of complex64"],
  ['a sparse tensor of terabytes', () => model({ sparse: [sparse([2 ** 20, 2 ** 20], 1, packed(0))] }), 'dense form'],
  [
    'sparse indices beyond the end',
    () => model({ sparse: [sparse([2, 3], 1, packed(6))] }),
    "sparse tensor 's' has index 6, wants 0 to 5",
  ],
  [
    'negative sparse indices',
    () => model({ sparse: [sparse([2, 3], 1, packed(-1n))] }),
    "sparse tensor 's' has index -1",
  ],
  [
    'sparse coordinates beyond an axis',
    () => model({ sparse: [sparse([2, 3], 1, packed(1, 3), [1, 2])] }),
    'index 3, wants 0 to 2',
  ],
  [
    'fewer sparse indices than values',
    () => model({ sparse: [sparse([2, 3], 2, packed(0), [1])] }),
    'values [2] and indices [1]',
  ],

  [
    'an operator of com.microsoft',
    () => before(node('FusedConv', ['x'], ['z'], { domain: 'com.microsoft' })),
    "domain 'com.microsoft'",
  ],
  [
    'an operator of ai.onnx.training',
    () => before(node('Gradient', ['x'], ['z'], { domain: 'ai.onnx.training' })),
    "domain 'ai.onnx.training'",
  ],
  [
    'an operator of nobody',
    () => before(node('Evil', ['x'], ['z'], { name: 'e', domain: 'evil' })),
    "node 'e' (Evil) is of domain 'evil'",
  ],
  [
    'an operator ONNX does not have',
    () => before(node('ImageScaler', ['x'], ['z'], { name: 'e' })),
    "node 'e' (ImageScaler) is no operator",
  ],
  ['an operator named like what every object has', () => before(node('__proto__', ['x'], ['z'])), '__proto__'],
  ...['Loop', 'Scan', 'If'].map((op): [string, () => Uint8Array, string] => [
    `a ${op}`,
    () => before(node(op, ['x'], ['z'], { name: 'l' })),
    `node 'l' (${op}) is refused`,
  ]),
  [
    'a Loop inside a function',
    () => model({ opsets: local, functions: [functionDef('f', [node('Loop', ['x'], ['y'])])] }),
    '(Loop) is refused',
  ],
  [
    'a Loop inside a subgraph',
    () =>
      before(
        node('Relu', ['x'], ['z'], {
          attributes: [graphAttribute('g', graph({ inputs: [], nodes: [node('Loop', ['x'], ['y'])] }))],
        }),
      ),
    '(Loop) is refused',
  ],
  [
    'a Loop that a function pretends to be',
    () =>
      model({
        functions: [functionDef('Loop', [node('Relu', ['x'], ['y'])], '')],
        nodes: [node('Loop', ['x'], ['y'])],
      }),
    "function 'Loop' is of domain ''",
  ],
  [
    'an operator of com.microsoft that a function pretends to be',
    () => model({ functions: [functionDef('FusedConv', [node('Relu', ['x'], ['y'])], 'com.microsoft')] }),
    "'com.microsoft'",
  ],
  ['two functions of one name', () => model({ opsets: local, functions: [...chain(1), ...chain(1)] }), 'one name'],
  [
    'an overload',
    () => before(message([1, 'x'], [2, 'z'], [4, 'f'], [7, 'local'], [8, 'second'])),
    "overload 'second'",
  ],
  [
    'a function that calls itself',
    () => model({ opsets: local, functions: [functionDef('f', [call('f')])], nodes: [call('f')] }),
    "function 'f' calls itself",
  ],
  [
    'functions that call each other',
    () =>
      model({
        opsets: local,
        functions: [functionDef('f', [call('g')]), functionDef('g', [call('f')])],
        nodes: [call('f')],
      }),
    'calls itself',
  ],
  ['functions 33 deep', () => model({ opsets: local, functions: chain(33), nodes: [call('f0')] }), 'more than 32 deep'],
  [
    'functions 3000 deep',
    () => model({ opsets: local, functions: chain(3000), nodes: [call('f0')] }),
    'functions, wants at most 256',
  ],
  [
    '23 functions that double',
    () => model({ opsets: local, functions: doubling(23), nodes: [call('f0')] }),
    `has ${2 ** 23} nodes`,
  ],
  [
    'subgraphs 9 deep',
    () => before(node('Relu', ['x'], ['z'], { attributes: [graphAttribute('g', nested(8))] })),
    'a subgraph has 9 graphs around it',
  ],

  [
    '200,000 nodes',
    () => model({ nodes: Array.from({ length: 200_000 }, () => node('Relu', ['x'], [])) }),
    'wants at most 50000',
  ],
  [
    '300,000 nodes in functions',
    () =>
      model({
        functions: Array.from({ length: 10 }, (_, i) =>
          functionDef(
            `f${i}`,
            Array.from({ length: 30_000 }, () => message()),
          ),
        ),
      }),
    'nodes in functions',
  ],
  [
    '10 million nodes of two bytes',
    () => message([7, Buffer.alloc(2e7, Uint8Array.of(0x0a, 0))]),
    'wants at most 50000',
  ],
  [
    '100,000 initializers',
    () => model({ initializers: Array.from({ length: 100_000 }, () => message()) }),
    'wants at most 10000',
  ],
  [
    '65 inputs',
    () => model({ inputs: Array.from({ length: 65 }, (_, i) => value(i ? `x${i}` : 'x', [1])) }),
    '65 inputs',
  ],
  [
    '65 outputs',
    () =>
      model({
        nodes: [
          node(
            'Split',
            ['x'],
            Array.from({ length: 65 }, (_, i) => `y${i}`),
          ),
        ],
        outputs: Array.from({ length: 65 }, (_, i) => value(`y${i}`, [1])),
      }),
    '65 outputs',
  ],
  ['a name of 257 bytes', () => before(node('Relu', ['x'], ['z'.repeat(257)])), '257 bytes'],
  ['a name of 86 wide characters', () => before(node('Relu', ['x'], ['あ'.repeat(86)])), '258 bytes'],
  ['an operator with a name of a megabyte', () => before(node('R'.repeat(2 ** 20), ['x'], ['z'])), `${2 ** 20} bytes`],
  ['a domain of a megabyte', () => before(node('Relu', ['x'], ['z'], { domain: 'd'.repeat(2 ** 20) })), 'domain'],
];

describe('checkAdmission', () => {
  it('admits an honest model and tells its signature', () => {
    const weight = floatRaw('w', [2], 1, 2);
    const { signature, model: read } = checkAdmission(
      model({
        nodes: [node('Add', ['x', 'w'], ['m']), node('Relu', ['m'], ['y'])],
        initializers: [weight],
        inputs: [value('x', ['n', 2]), value('w', [2])],
      }),
    );
    expect(signature).toEqual({
      inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }],
      outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, 2] }],
    });
    expect(read.graph.nodes).toHaveLength(2);
  });

  it.each<[string, () => Uint8Array]>([
    ['functions 32 deep', () => model({ opsets: local, functions: chain(32), nodes: [call('f0')] })],
    ['16 functions that double', () => model({ opsets: local, functions: doubling(16), nodes: [call('f0')] })],
    ['sparse weights', () => model({ sparse: [sparse([2, 3], 2, packed(0, 5))] })],
    [
      'optional inputs and outputs left out',
      () => model({ nodes: [node('LSTM', ['x', 'x', 'x', '', ''], ['', 'y'])] }),
    ],
    ['nodes out of order', () => model({ nodes: [node('Relu', ['m'], ['y']), node('Abs', ['x'], ['m'])] })],
    ['a scalar input', () => model({ inputs: [value('x', [])] })],
    [
      'operators of ai.onnx.ml',
      () =>
        model({
          opsets: [
            ['', 18],
            ['ai.onnx.ml', 3],
          ],
          nodes: [node('Scaler', ['x'], ['y'], { domain: 'ai.onnx.ml' })],
        }),
    ],
  ])('admits %s', (_, make) => {
    expect(checkAdmission(make()).signature.outputs.map(({ name }) => name)).toEqual(['y']);
  });

  it.each(hostile)('refuses %s, names the problem in a short line, and takes less than 2 s', (_, make, problem) => {
    const bytes = make();
    const refusal = refusalOf(bytes);
    expect(refusal.message).toContain(problem);
    expect(refusal.message).toMatch(/^.{1,400}$/);
    expect(refusal.cpuMs).toBeLessThan(2000);
  });

  it('refuses a file that breaks off, wherever it does', () => {
    const whole = model({
      nodes: [constant(floatRaw('', [2], 1, 2)), node('Add', ['x', 'c'], ['y'])],
      initializers: [floatRaw('w', [2], 1, 2)],
    });
    checkAdmission(whole);
    for (let length = 0; length < whole.length; length++) {
      expect(() => checkAdmission(whole.subarray(0, length))).toThrow(AdmissionError);
    }
  });

  it('lets no other error out, whichever byte is wrong', () => {
    const whole = model({
      nodes: [constant(floatRaw('', [2], 1, 2)), node('Add', ['x', 'c'], ['y'])],
      initializers: [tensor('w', [2], [2, 7], [7, packed(1, 300)])],
      sparse: [sparse([2, 3], 2, packed(0, 5))],
    });
    for (let at = 0; at < whole.length; at++) {
      for (const changed of [0, 0x7f, 0x80, 0xff, whole[at]! ^ 1, whole[at]! ^ 8]) {
        const wrong = Uint8Array.from(whole);
        wrong[at] = changed;
        try {
          checkAdmission(wrong);
        } catch (error) {
          expect(error).toBeInstanceOf(AdmissionError);
        }
      }
    }
  });

  it('takes other limits', () => {
    expect(() => checkAdmission(model(), { fileBytes: 10 })).toThrow('wants at most 10');
    expect(() => checkAdmission(model(), { opsets: [19, 23] })).toThrow('wants 19 to 23');
  });

  it('admits 50,000 nodes that read one value within 2 s', () => {
    const nodes = Array.from({ length: 49_999 }, (_, i) => node('Relu', ['y'], [`z${i}`]));
    const bytes = model({ nodes: [node('Relu', ['x'], ['y']), ...nodes] });
    const from = process.cpuUsage();
    checkAdmission(bytes);
    expect(process.cpuUsage(from).user / 1000).toBeLessThan(2000);
  });
});

function refusalOf(bytes: Uint8Array): { message: string; cpuMs: number } {
  const from = process.cpuUsage();
  try {
    checkAdmission(bytes);
  } catch (error) {
    const { user, system } = process.cpuUsage(from);
    if (error instanceof AdmissionError) return { message: error.message, cpuMs: (user + system) / 1000 };
    throw error;
  }
  throw new Error('it was admitted');
}
