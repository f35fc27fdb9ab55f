import * as op from './ops.js';
import type { Reading } from './reading.js';
import type { Value } from './value.js';

const { add, sub, mul } = op;

/**
 * RotaryEmbedding of operator set 23 in older operators (Su et al. 2021): pairs of a head's numbers are turned by an angle
 * that grows with the place. X is [batch, time, heads · width] or [batch, heads, time, width]; the caches are
 * [places, half] with positions [batch, time], or [batch, time, half].
 */
export function rotaryEmbedding({ x, int }: Reading): Value {
  const [input, cosines, sines, positions] = x;
  const [batch = 0, second = 0, third = 0, last = 0] = input!.shape;
  const flat = input!.shape.length === 3;
  const heads = flat ? int('num_heads', 1) : second;
  const whole = flat ? op.reshape(input!, [batch, second, heads, third / heads]) : input!;
  const width = flat ? third / heads : last;
  const turned = int('rotary_embedding_dim', 0) || width;
  const half = turned / 2;
  const [pairs, rest] = turned === width ? [whole] : op.split(whole, [turned, width - turned], 3);
  const angle = (cache: Value) => {
    const each = positions ? op.gather(cache, positions, 0) : cache;
    return op.reshape(each, flat ? [batch, second, 1, half] : [batch, 1, third, half]);
  };
  const together = spun(pairs!, angle(cosines!), angle(sines!), int('interleaved', 0) === 1);
  return op.reshape(rest ? op.concat([together, rest], 3) : together, input!.shape);
}

/** Pairs beside each other, or one from each half. */
function spun(x: Value, cosine: Value, sine: Value, interleaved: boolean): Value {
  const [a = 0, b = 0, c = 0, width = 0] = x.shape;
  const half = width / 2;
  const shape = interleaved ? [a, b, c, half, 2] : [a, b, c, 2, half];
  const axis = interleaved ? 4 : 3;
  const [first, second] = op.split(op.reshape(x, shape), [1, 1], axis).map((part) => op.reshape(part, [a, b, c, half]));
  const real = sub(mul(first!, cosine), mul(second!, sine));
  const imaginary = add(mul(first!, sine), mul(second!, cosine));
  const beside = (part: Value) => op.reshape(part, interleaved ? [a, b, c, half, 1] : [a, b, c, 1, half]);
  return op.reshape(op.concat([beside(real), beside(imaginary)], axis), x.shape);
}
