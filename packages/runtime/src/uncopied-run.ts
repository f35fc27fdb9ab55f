import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import type { InferenceSession, Tensor } from 'onnxruntime-node';

/** An output that JavaScript has no form for. */
export const formless = 'modelmill/formless';
/** What ONNX Runtime says of it, after the run. */
const stopped = 'Non tensor type is temporarily not supported.';

/** A message, or a text, of less than 128 bytes. */
const field = (number: number, ...content: readonly Uint8Array[]): Uint8Array => {
  const bytes = Buffer.concat(content);
  return Buffer.concat([Uint8Array.of((number << 3) | 2, bytes.byteLength), bytes]);
};
const text = (of: string) => Buffer.from(of);

/** A graph of that output alone, by the public onnx.proto. A message that follows another one of its kind adds to it. */
const formlessGraph = field(
  7,
  field(1, field(2, text(formless)), field(4, text('SequenceEmpty'))),
  field(12, field(1, text(formless)), field(2, field(4, field(1, field(1, Uint8Array.of(0x08, 1)))))),
);

/**
 * A model for `runUncopied`, of operator set 11 or later. ONNX Runtime's Node binding (1.30) copies outputs to new memory,
 * even those that were written where the caller wanted them: 8 MiB in 4 to 8 ms. It does so in the order of the outputs,
 * and gives up at one that it has no form for; such a one comes first here. No other may be an input: those are not written.
 */
export const uncopied = (model: Uint8Array): Uint8Array => Buffer.concat([formlessGraph, model]);

const mostBytes = 2 ** 31 - 1;

/** A model of a file, with and without that output, in the same memory. */
export function readUncopied(path: string): { readonly uncopied: Uint8Array; readonly model: Uint8Array } {
  const descriptor = openSync(path, 'r');
  try {
    const { size } = fstatSync(descriptor);
    if (size > mostBytes) throw new Error(`the model's file has ${size} bytes, wants at most ${mostBytes}`);
    const bytes = Buffer.allocUnsafeSlow(formlessGraph.byteLength + size);
    bytes.set(formlessGraph);
    for (let at = formlessGraph.byteLength; at < bytes.byteLength;) {
      const count = readSync(descriptor, bytes, at, bytes.byteLength - at, null);
      if (count === 0) throw new Error(`the model has become shorter than ${size} bytes while it was read`);
      at += count;
    }
    return { uncopied: bytes, model: bytes.subarray(formlessGraph.byteLength) };
  } finally {
    closeSync(descriptor);
  }
}

type Tensors = Readonly<Record<string, Tensor>>;

/** Computes outputs of a model that `uncopied` made, into the tensors given. */
export async function runUncopied(session: InferenceSession, inputs: Tensors, outputs: Tensors): Promise<void> {
  try {
    await session.run(inputs, { [formless]: null, ...outputs });
  } catch (error) {
    // all of it: other errors quote names of nodes, which a model may choose
    if ((error as Partial<Error>).message !== stopped) throw error;
  }
}
