import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './run-tool.js';

const page = readFileSync(join(root, 'docs/architecture.md'), 'utf8');
const [, table = ''] = page.split('## Words');
const words = [...table.split('## ')[0]!.matchAll(/^\| ([a-z]+) +\|/gm)].map(([, word]) => word!).slice(1);

const sources = ['packages', 'services'].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\/src\/(?!gen).*\.ts$/.test(name) && !name.includes('node_modules'))
    // come and go in the-house-rules.test.ts
    .filter((name) => !name.includes('planted-by-a-test'))
    .map((name) => join(folder, name)),
);

describe('the words of docs/architecture.md', () => {
  it('are ten or so', () => expect(words.length).toBeGreaterThanOrEqual(10));

  it.each(words)('%s is the name of a file or a type', (word) => {
    const inFileName = sources.filter((path) => new RegExp(`(^|[/-])${word}s?([.-]|$)`).test(path.split('/').at(-1)!));
    const typeName = new RegExp(`export (interface|type|class) [A-Za-z]*${word[0]!.toUpperCase()}${word.slice(1)}`);
    const inTypeName = () => sources.filter((path) => typeName.test(readFileSync(join(root, path), 'utf8')));
    expect(inFileName.length + inTypeName().length).toBeGreaterThan(0);
  });
});
