import { HeaderBlockError } from './header-table.js';

/**
 * Bits of each byte's code, RFC 7541 appendix B, sixteen bytes a row. The code is canonical: shorter codes come first,
 * and within a length the smaller byte, so that lengths are all there is to know.
 */
// prettier-ignore
const codeBits = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
  28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
  6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
  5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
  7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
  15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
  6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
  20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
  24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
  22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
  21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
  26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
  19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
  20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
  26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];
/** The end of a string: thirty ones, which no string may hold. */
const eos = 256;
const eosBits = 30;

type Node = { readonly state: number; readonly children: [Node | number | undefined, Node | number | undefined] };

/** The inner nodes of the code's tree by their states; a leaf is the byte it stands for, or EOS. */
function treeNodes(): Node[] {
  const nodes: Node[] = [];
  const newNode = (): Node => {
    const node: Node = { state: nodes.length, children: [undefined, undefined] };
    nodes.push(node);
    return node;
  };
  newNode();
  const plant = (code: number, bits: number, leaf: number): void => {
    let node = nodes[0]!;
    for (let bit = bits - 1; bit > 0; bit--) {
      const child = (node.children[(code >> bit) & 1] ??= newNode());
      if (typeof child === 'number') throw new Error(`the codes of ${child} and ${leaf} begin alike`);
      node = child;
    }
    node.children[code & 1] = leaf;
  };
  // first, so that a state counts the ones since the last byte as long as there was nothing else
  plant(2 ** eosBits - 1, eosBits, eos);
  let code = 0;
  for (let bits = 1; bits <= eosBits; bits++, code *= 2) {
    codeBits.forEach((length, byte) => {
      if (length === bits) plant(code++, bits, byte);
    });
  }
  return nodes;
}

const statesBits = 0x1ff0;
const longestPadding = 7;

/**
 * What four more bits do in each state: bit 0 whether a byte ends in them (no code is so short that two could), bits 4
 * to 12 the next state, bits 16 to 23 the byte. After EOS nothing leads away from the state after the tree's last one.
 */
function buildSteps(): Int32Array {
  const nodes = treeNodes();
  const lost = nodes.length;
  const steps = new Int32Array((nodes.length + 1) * 16).fill(lost << 4);
  for (const { state } of nodes) {
    for (let nibble = 0; nibble < 16; nibble++) {
      let node = nodes[state]!;
      let step = 0;
      for (let bit = 3; bit >= 0; bit--) {
        const child = node.children[(nibble >> bit) & 1];
        if (child === undefined) throw new Error(`state ${node.state} of the code's tree lacks a child`);
        if (typeof child !== 'number') node = child;
        else if (child === eos) {
          step = lost << 4;
          break;
        } else {
          step = (child << 16) | 1;
          node = nodes[0]!;
        }
      }
      if (step >> 4 !== lost) steps[(state << 4) | nibble] = step | (node.state << 4);
    }
  }
  return steps;
}

const steps = buildSteps();
const scratch = Buffer.alloc(4096);
/** Up to here a string is faster built of its characters than by a call out of the engine. */
const shortText = 8;

/** The latin1 text that Huffman-coded bytes stand for. */
export function huffmanDecode(bytes: Buffer, from: number, to: number): string {
  // no code has less than five bits
  const mostBytes = Math.ceil(((to - from) * 8) / 5);
  const out = mostBytes <= scratch.length ? scratch : Buffer.allocUnsafe(mostBytes);
  let length = 0;
  let step = 0;
  for (let at = from; at < to; at++) {
    const byte = bytes[at]!;
    step = steps[(step & statesBits) | (byte >> 4)]!;
    out[length] = step >> 16;
    length += step & 1;
    step = steps[(step & statesBits) | (byte & 15)]!;
    out[length] = step >> 16;
    length += step & 1;
  }
  const state = (step & statesBits) >> 4;
  if (state > longestPadding) throw badEnd(state);
  return textOf(out, 0, length);
}

/** A string of bytes as they are. */
export function textOf(bytes: Buffer, from: number, to: number): string {
  if (to - from > shortText) return bytes.toString('latin1', from, to);
  let text = '';
  for (let at = from; at < to; at++) text += String.fromCharCode(bytes[at]!);
  return text;
}

const badEnd = (state: number) =>
  new HeaderBlockError(
    state * 16 === steps.length - 16
      ? 'a Huffman-coded string holds the code for its end'
      : 'a Huffman-coded string is padded with something else than up to seven ones',
  );
