import { UnsupportedOpError } from './errors.js';
import * as op from './ops.js';
import type { Reading } from './reading.js';
import { constant, scalar } from './value.js';
import type { Value } from './value.js';

const { add } = op;

/** What stands for minus infinity: rows in which everything is masked still have numbers. */
const masked = -1e30;

const attributesKnown: ReadonlySet<string> = new Set(
  'is_causal kv_num_heads q_num_heads qk_matmul_output_mode scale softcap softmax_precision'.split(' '),
);

/**
 * Attention of operator set 23 in older operators: softmax(scale · Q Kᵀ + mask) V, with heads beside each other in three
 * axes or apart in four, keys and values that several heads share, and those of earlier calls before them, which come out
 * with them.
 */
export function attention({ node, x, int, float, outputs }: Reading): readonly Value[] {
  const [q, k, v, mask, pastKeys, pastValues, lengths] = x;
  const refuse = (reason: string) => new UnsupportedOpError(node.opType, node.name, reason);
  if (lengths) throw refuse('has a length of keys per example (nonpad_kv_seqlen), which training cannot follow');
  const strange = [...node.attributes.keys()].find((name) => !attributesKnown.has(name));
  if (strange !== undefined) throw refuse(`has ${strange}, which training cannot follow`);
  const flat = q!.shape.length === 3;
  const heads = flat ? int('q_num_heads', 1) : q!.shape[1]!;
  const shared = flat ? int('kv_num_heads', 1) : k!.shape[1]!;
  const queries = flat ? apart(q!, heads) : q!;
  const behind = (past: Value | undefined, now: Value) => (past ? op.concat([past, now], 2) : now);
  const allKeys = behind(pastKeys, flat ? apart(k!, shared) : k!);
  const allValues = behind(pastValues, flat ? apart(v!, shared) : v!);
  const keys = repeated(allKeys, heads / shared);
  const values = repeated(allValues, heads / shared);
  const [batch = 0, , time = 0, width = 0] = queries.shape;
  const seen = keys.shape[2]!;

  let scores = op.times(op.matMul(queries, op.transposeLast(keys)), float('scale', 0) || 1 / Math.sqrt(width));
  const cap = float('softcap', 0);
  if (cap > 0) scores = op.times(op.tanh(op.times(scores, 1 / cap)), cap);
  if (int('is_causal', 0) === 1) {
    const before = pastKeys?.shape[2] ?? 0;
    const later = Array.from({ length: time * seen }, (_, i) =>
      i % seen > Math.floor(i / seen) + before ? masked : 0,
    );
    scores = add(scores, constant(later, [time, seen]));
  }
  if (mask) {
    if (mask.shape.at(-1) !== seen) {
      throw refuse(`has a mask of ${mask.shape.at(-1)} keys, there are ${seen}`);
    }
    scores = add(scores, mask.dataType === 'bool' ? op.where(mask, scalar(0), scalar(masked)) : mask);
  }
  const found = op.matMul(op.softmax(scores, -1), values);
  const y = flat ? op.reshape(op.transpose(found, [0, 2, 1, 3]), [batch, time, heads * values.shape[3]!]) : found;
  return [y, allKeys, allValues].slice(0, outputs.length);
}

/** [batch, time, heads · width] as [batch, heads, time, width]. */
function apart(x: Value, heads: number): Value {
  const [batch = 0, time = 0, width = 0] = x.shape;
  return op.transpose(op.reshape(x, [batch, time, heads, width / heads]), [0, 2, 1, 3]);
}

/** Every head as many times as there are queries that share it. */
function repeated(x: Value, times: number): Value {
  if (times === 1) return x;
  const [batch = 0, heads = 0, time = 0, width = 0] = x.shape;
  const beside = op.expand(op.reshape(x, [batch, heads, 1, time, width]), [batch, heads, times, time, width]);
  return op.reshape(beside, [batch, heads * times, time, width]);
}
