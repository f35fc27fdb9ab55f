import { AdmissionError } from './admission-error.js';
import type { Graph, Node, Tensor } from './model.js';
import { sizes } from './quoted.js';

/**
 * What MatMulNBits trusts its node to say: constants of just the sizes that its attributes ask for
 * (https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md).
 */
export function checkMatMulNBits(node: Node, named: string, graph: Graph): void {
  const constant = (name: string | undefined): Tensor | undefined =>
    graph.inputs.some((input) => input.name === name) ? undefined : graph.initializers.get(name ?? '');
  const int = (name: string, otherwise = 0) => {
    const found = node.attributes.get(name);
    return found?.kind === 'int' ? found.value : otherwise;
  };
  const [k, n, bits, block] = [int('K'), int('N'), int('bits', 4), int('block_size')];
  const fits = k > 0 && n > 0 && [2, 4, 8].includes(bits) && [16, 32, 64, 128, 256].includes(block);
  if (!fits) {
    throw new AdmissionError(
      `node ${named} has K ${k}, N ${n}, bits ${bits} and block_size ${block}, wants 2, 4 or 8 bits and blocks of 16 to 256`,
    );
  }
  const blocks = Math.ceil(k / block);
  const [, weights, scales, zeroPoints, ...more] = node.inputs;
  expect(weights, 'uint8', [[n, blocks, (block * bits) / 8]]);
  expect(scales, 'float', [[n, blocks], [n * blocks]]);
  if (zeroPoints) {
    const packed = Math.ceil((blocks * bits) / 8);
    const isFloat = constant(zeroPoints)?.dataType === 'float';
    const forms = isFloat ? [[n, blocks], [n * blocks]] : [[n, packed], [n * packed]];
    expect(zeroPoints, isFloat ? 'float' : 'uint8', forms);
  }
  if (more.some((name) => name !== '')) throw new AdmissionError(`node ${named} has more inputs than zero points`);

  function expect(name: string | undefined, dataType: string, forms: readonly (readonly number[])[]) {
    const got = constant(name);
    const sized = got !== undefined && forms.some((form) => sizes(form) === sizes(got.dims));
    if (got?.dataType === dataType && sized) return;
    const said = got ? `${got.dataType} ${sizes(got.dims)}` : 'no constant';
    throw new AdmissionError(`node ${named} has '${name ?? ''}', ${said}, wants ${dataType} ${sizes(forms[0]!)}`);
  }
}
