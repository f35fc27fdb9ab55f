import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseTrainingSpec } from '@modelmill/client';
import { readSpecs } from './read-specs.js';

describe('a spec file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'mill-specs-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const read = (text: string) => {
    writeFileSync(join(folder, 'spec.yaml'), text);
    return readSpecs(folder, 'spec.yaml', parseTrainingSpec);
  };

  it('holds one spec per document', async () =>
    expect((await read('model: a\n---\nmodel: b\nepochs: 3\n')).map(({ model, epochs }) => [model, epochs])).toEqual([
      ['a', 0],
      ['b', 3],
    ]));

  it('may be JSON', async () => expect((await read('{"model": "a"}'))[0]!.model).toBe('a'));

  it.each([
    [
      'model: a\n---\nmodle: b\n',
      "spec.yaml, document 2: modle: TrainingSpec has no field 'modle'; did you mean 'mode' or 'model'?",
    ],
    ['model: [a\n', 'spec.yaml: '],
    ['', 'spec.yaml holds no spec'],
    ['- 1\n', 'spec.yaml: the spec is [1], wanted an object with'],
  ])('%j is refused with the file, the document and the place', (text, message) =>
    expect(read(text)).rejects.toThrow(message),
  );

  it('that is not there is named', () =>
    expect(readSpecs(folder, 'nowhere.yaml', parseTrainingSpec)).rejects.toThrow('nowhere.yaml cannot be read'));
});
