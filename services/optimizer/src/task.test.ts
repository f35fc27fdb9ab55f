import { datasets } from '@modelmill/contracts';
import { learnBytePairs, learnCharacters } from '@modelmill/data';
import type { Tokenizer } from '@modelmill/data';
import { modelOf, someCnn } from './models-for-tests.js';
import { taskOf, tokenizerSpec } from './task.js';

const version = (fields: Parameters<typeof datasets.DatasetVersion.fromPartial>[0]) =>
  datasets.DatasetVersion.fromPartial({ dataset: 'd', ...fields });
const text = version({ format: { $case: 'text', text: {} } });
const said = (fields: object = {}) => ({ tokenizer: undefined, context: 0, ...fields });
const characters = learnCharacters(['the mill turns']);

function withMetadata(metadata: Readonly<Record<string, string>>, time: number | string = 'time') {
  const model = modelOf([1], someCnn().graph.nodes, [], [1]);
  model.graph.inputs = [{ name: 'input', dataType: 'int64', shape: ['batch', time] }];
  model.metadata = new Map(Object.entries(metadata));
  return model;
}
const speaking = (tokenizer: Tokenizer, more: Readonly<Record<string, string>> = {}, time?: number) =>
  withMetadata({ 'modelmill.tokenizer': JSON.stringify(tokenizer.toJSON()), ...more }, time);

describe('what a dataset asks of a model', () => {
  it('is a class where it has classes, and else a number', () => {
    const schema = { featureShape: [8n], classes: ['a', 'b'] };
    expect(taskOf(version({ schema }), said(), 'version 1', someCnn())).toEqual({
      kind: 'classes',
      dataset: 'd',
      featureShape: [8],
      classes: 2,
    });
    const number = version({ schema: { ...schema, classes: [] } });
    expect(taskOf(number, said(), 'version 1', someCnn())).toEqual({
      kind: 'numbers',
      dataset: 'd',
      featureShape: [8],
    });
  });

  it("is what follows every token of a text, by the model's own tokenizer", () => {
    const task = taskOf(text, said(), 'version 1', speaking(characters));
    if (task.kind !== 'text') throw new Error(`wanted text, got ${task.kind}`);
    expect(task.context).toBe(64);
    expect(task.tokenizer.decode(task.tokenizer.encode('mill'))).toBe('mill');
    expect(tokenizerSpec(task.tokenizer)).toEqual({ kind: 'character', vocabulary: 0 });
    const pairs = learnBytePairs(['the mill turns the mill'], 260);
    expect(tokenizerSpec(pairs)).toEqual({ kind: 'byte_pair', vocabulary: pairs.size });
  });

  it('has windows as long as the spec says, or the graph takes, or the training had', () => {
    const contextOf = (fields: object, model: ReturnType<typeof speaking>) =>
      taskOf(text, said(fields), 'version 1', model);
    const trained = { 'modelmill.context': '24' };
    expect(contextOf({}, speaking(characters, trained))).toMatchObject({ context: 24 });
    expect(contextOf({}, speaking(characters, trained, 12))).toMatchObject({ context: 12 });
    expect(contextOf({ context: 8 }, speaking(characters, trained))).toMatchObject({ context: 8 });
    expect(() => contextOf({ context: 70_000 }, speaking(characters))).toThrow(
      'data.context is 70000, wants 1 to 65536',
    );
  });

  it.each([
    [{}, {}, "version 1 has no tokenizer (metadata 'modelmill.tokenizer'), wants one: dataset 'd' is text"],
    [{ 'modelmill.tokenizer': '{' }, {}, 'got a tokenizer of kind none whose tokens are not as wanted'],
    [
      { 'modelmill.tokenizer': JSON.stringify(characters.toJSON()) },
      { tokenizer: { kind: 'byte_pair', vocabulary: 512 } },
      "data.tokenizer.kind is 'byte_pair', but version 1 has its own, 'character': leave the field out",
    ],
  ])('is refused of a model with metadata %j for %j', (metadata, fields, message) =>
    expect(() => taskOf(text, said(fields), 'version 1', withMetadata(metadata))).toThrow(message),
  );
});
