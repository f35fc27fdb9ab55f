import { activations } from '@modelmill/autodiff';
import type { PresetSpec } from '@modelmill/autodiff';
import type { layers as contract } from '@modelmill/contracts';
import { badLayer, outOfRange } from './errors.js';
import { positive, positiveOr, share, word } from './spec-fields.js';

/** A preset as autodiff takes it, defaults filled in. Throws an RpcError naming the field. */
export function presetSpec({ kind }: contract.Preset): PresetSpec {
  switch (kind?.$case) {
    case undefined:
      throw badLayer('preset names no network');
    case 'mlp': {
      const { hidden, activation, dropout } = kind.mlp;
      return {
        kind: 'mlp',
        hidden: (hidden.length === 0 ? [128, 64] : hidden).map((units, i) =>
          positive(units, `preset.mlp.hidden[${i}]`),
        ),
        activation: word(activation || 'relu', activations, 'preset.mlp.activation'),
        dropout: share(dropout, 'preset.mlp.dropout'),
      };
    }
    case 'cnn': {
      const { filters, units, dropout, batchNorm } = kind.cnn;
      return {
        kind: 'cnn',
        filters: (filters.length === 0 ? [32, 64] : filters).map((count, i) =>
          positive(count, `preset.cnn.filters[${i}]`),
        ),
        units: positiveOr(128, units, 'preset.cnn.units'),
        dropout: share(dropout, 'preset.cnn.dropout'),
        batchNorm,
      };
    }
    case 'resnet': {
      const { depth, width } = kind.resnet;
      if (depth !== 0 && depth !== 10 && depth !== 18) throw outOfRange('preset.resnet.depth', depth, '10 or 18');
      return { kind: 'resnet', depth: depth === 10 ? 10 : 18, width: positiveOr(64, width, 'preset.resnet.width') };
    }
    case 'textClassifier': {
      const at = 'preset.text_classifier';
      const { encoder, embedding, units, depth, dropout } = kind.textClassifier;
      return {
        kind: 'text_classifier',
        encoder: word(encoder || 'lstm', ['lstm', 'transformer'], `${at}.encoder`),
        embedding: positiveOr(128, embedding, `${at}.embedding`),
        units: positiveOr(128, units, `${at}.units`),
        depth: count(depth || 1, `${at}.depth`),
        dropout: share(dropout, `${at}.dropout`),
      };
    }
    case 'gpt': {
      const { layers, heads, width, dropout, bias, tied } = kind.gpt;
      return {
        kind: 'gpt',
        layers: count(layers || 4, 'preset.gpt.layers'),
        heads: positiveOr(4, heads, 'preset.gpt.heads'),
        width: positiveOr(128, width, 'preset.gpt.width'),
        dropout: share(dropout, 'preset.gpt.dropout'),
        bias,
        tied,
      };
    }
  }
}

/** How many times a block is repeated. */
function count(value: number, field: string): number {
  if (value > 100) throw outOfRange(field, value, '1 to 100');
  return value;
}
