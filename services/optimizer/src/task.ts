import type { datasets, trainer } from '@modelmill/contracts';
import { contextKey, tokenizerIn, tokenizerKey } from '@modelmill/data';
import type { Tokenizer } from '@modelmill/data';
import type { Model } from '@modelmill/onnx';
import * as errors from './errors.js';
import { range } from './field-checks.js';

/** What a dataset asks of a model. */
export type Task =
  | {
      readonly kind: 'classes';
      readonly dataset: string;
      readonly featureShape: readonly number[];
      readonly classes: number;
    }
  | { readonly kind: 'numbers'; readonly dataset: string; readonly featureShape: readonly number[] }
  | {
      /** Each place of a window of `context` tokens is to tell the token that follows it. */
      readonly kind: 'text';
      readonly dataset: string;
      readonly context: number;
      /** The model's own. */
      readonly tokenizer: Tokenizer;
    };

/** What the tokens of an example are where neither the spec nor the model says. */
const defaultContext = 64;
const longestContext = 65_536;

/** What a dataset asks of a version of a model. Throws an RpcError where it cannot be asked of this one. */
export function taskOf(
  { dataset, schema, format }: datasets.DatasetVersion,
  data: Pick<trainer.TrainingData, 'tokenizer' | 'context'>,
  name: string,
  model: Model,
): Task {
  if (format?.$case === 'text') return textTask(dataset, data, name, model);
  const featureShape = (schema?.featureShape ?? []).map(Number);
  const classes = schema?.classes.length ?? 0;
  return classes > 0 ? { kind: 'classes', dataset, featureShape, classes } : { kind: 'numbers', dataset, featureShape };
}

function textTask(
  dataset: string,
  data: Pick<trainer.TrainingData, 'tokenizer' | 'context'>,
  name: string,
  { metadata, graph }: Model,
): Task {
  const tokenizer = tokenizerIn(metadata);
  if (tokenizer === undefined) throw errors.noTokenizer(name, tokenizerKey, dataset);
  const own = tokenizerSpec(tokenizer);
  const asked = data.tokenizer;
  if (asked && (asked.kind || 'character') !== own.kind) throw errors.otherTokenizer(asked.kind, own.kind, name);
  // the window is the model's own, where its graph or its training has one
  const fixed = graph.inputs.find(({ name: input }) => !graph.initializers.has(input))?.shape?.[1];
  const known = typeof fixed === 'number' ? fixed : Number(metadata.get(contextKey) ?? 0);
  const context = data.context || known || defaultContext;
  return { kind: 'text', dataset, context: range(context, 1, longestContext, 'data.context'), tokenizer };
}

/** What its examples are called. */
export const unitOf = ({ kind }: Pick<Task, 'kind'>) => (kind === 'text' ? 'windows' : 'rows');

/** As a training learns the same tokenizer from the same text. */
export function tokenizerSpec(tokenizer: Tokenizer): trainer.Tokenizer {
  const json = tokenizer.toJSON();
  return json.kind === 'character'
    ? { kind: json.kind, vocabulary: 0 }
    : { kind: json.kind, vocabulary: tokenizer.size };
}
