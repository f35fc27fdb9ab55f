import { attribute, makeNode } from '@modelmill/onnx';
import type { InitialWeights } from '../initial-weights.js';
import type { LayerOf } from '../layer-spec.js';
import { add, constantInts, text, weight } from './building.js';
import type { Building, Place } from './building.js';

/** A layer of an ONNX operator that keeps a state per unit; `gates` numbers per unit and step. */
export const recurrent =
  (opType: 'LSTM' | 'GRU', gates: number) =>
  (to: Building, layer: Omit<LayerOf<'lstm'>, 'kind'>, at: Place): void => {
    const [time, width] = text(to, at);
    const { units, bidirectional, sequences } = layer;
    const directions = bidirectional ? 2 : 1;
    // as PyTorch begins
    const start: InitialWeights = { kind: 'uniform', limit: 1 / Math.sqrt(units) };
    const weights = weight(to, `${at.name}.weight`, [directions, gates * units, width], start);
    const recurrence = weight(to, `${at.name}.recurrence`, [directions, gates * units, units], start);
    const bias = weight(to, `${at.name}.bias`, [directions, 2 * gates * units], start);
    // ONNX Runtime's CPU provider takes [time, batch, width] only
    add(to, 'Transpose', [], `${at.name}.steps`, to.shape, { perm: attribute([1, 0, 2]) });
    const states = `${at.name}.states`;
    const outputs = sequences ? [states] : ['', states];
    to.graph.nodes.push(
      makeNode(
        opType,
        [to.value, weights, recurrence, bias],
        outputs,
        {
          hidden_size: attribute(units),
          direction: { kind: 'string', value: bidirectional ? 'bidirectional' : 'forward' },
          ...(opType === 'GRU' ? { linear_before_reset: attribute(1) } : {}),
        },
        states,
      ),
    );
    to.value = states;
    const all = directions * units;
    if (sequences) beSequences(to, at.name, [time, all], bidirectional);
    else beLast(to, at.name, all, bidirectional);
  };

/** [time, directions, batch, units] as [batch, time, directions · units]. */
function beSequences(to: Building, name: string, shape: readonly number[], bidirectional: boolean): void {
  if (!bidirectional) {
    add(to, 'Squeeze', [constantInts(to, 'time_axis', [1])], `${name}.one_way`, shape);
    return add(to, 'Transpose', [], name, shape, { perm: attribute([1, 0, 2]) });
  }
  add(to, 'Transpose', [], `${name}.both_ways`, shape, { perm: attribute([2, 0, 1, 3]) });
  add(to, 'Reshape', [constantInts(to, `${name}.shape`, [0, 0, shape[1]!])], name, shape);
}

/** [directions, batch, units] as [batch, directions · units]. */
function beLast(to: Building, name: string, width: number, bidirectional: boolean): void {
  if (!bidirectional) return add(to, 'Squeeze', [constantInts(to, 'first_axis', [0])], name, [width]);
  add(to, 'Transpose', [], `${name}.both_ways`, [width], { perm: attribute([1, 0, 2]) });
  add(to, 'Reshape', [constantInts(to, `${name}.shape`, [0, width])], name, [width]);
}
