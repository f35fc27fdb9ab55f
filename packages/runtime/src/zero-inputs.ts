import { elementBytes, elementCount, encodeStrings } from './tensor.js';
import type { TensorData, TensorSignature } from './tensor.js';

/** Zeros (or empty strings) for every input; a variable dimension has size 1, or the batch where it comes first. */
export function zeroInputs(inputs: readonly TensorSignature[], batch = 1): Map<string, TensorData> {
  return new Map(
    inputs.map(({ name, datatype, shape }) => {
      const sizes = shape.map((size, axis) => (size >= 0 ? size : axis === 0 ? batch : 1));
      const count = elementCount(sizes);
      const bytes = elementBytes(datatype);
      if (bytes === undefined) throw new Error(`input '${name}' has datatype '${datatype}', which cannot be served`);
      const data = bytes === 0 ? encodeStrings(Array<string>(count).fill('')) : new Uint8Array(count * bytes);
      return [name, { datatype, shape: sizes, data }];
    }),
  );
}
