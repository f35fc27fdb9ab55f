import { ShapeError } from './model.js';
import { sizes } from './quoted.js';
import { known } from './shape-question.js';
import type { ShapeQuestion, StaticType } from './shape-question.js';

/** Y, the keys and values of this call and those before, and the scores; [batch, heads, time, width] but for a flat Y. */
export function attentionTypes({ x: [q, k, v, , past], int }: ShapeQuestion): StaticType[] {
  const { dataType, shape } = known(q);
  const flat = shape.length === 3;
  if (!flat && shape.length !== 4) throw new ShapeError(`takes 3 or 4 axes, got ${sizes(shape)}`);
  const heads = int('q_num_heads', 0);
  const shared = int('kv_num_heads', 0);
  if (flat && (heads < 1 || shared < 1)) throw new ShapeError('takes q_num_heads and kv_num_heads for 3 axes');
  const apart = ({ shape: of }: StaticType, count: number) =>
    flat ? [of[0]!, count, of[1]!, of[2]! / count] : [...of];
  const [batch = 0, ofQuery = 0, time = 0] = apart(known(q), heads);
  const [, ofKeys = 0, own = 0, width = 0] = apart(known(k), shared);
  const [, , , wide = 0] = apart(known(v), shared);
  const seen = own + (past?.shape[2] ?? 0);
  return [
    flat ? [batch, time, ofQuery * wide] : [batch, ofQuery, time, wide],
    [batch, ofKeys, seen, width],
    [batch, ofKeys, seen, wide],
    [batch, ofQuery, time, seen],
  ].map((of) => ({ dataType, shape: of }));
}
