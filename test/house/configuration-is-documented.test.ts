import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describeConfig } from '@modelmill/service-kit';
import { configSchema as gateway } from '@modelmill/gateway';
import { configSchema as inference } from '@modelmill/inference';
import { configSchema as optimizer } from '@modelmill/optimizer';
import { configSchema as trainer } from '@modelmill/trainer';
import { root } from './run-tool.js';

const schemas = { gateway, inference, optimizer, trainer };

/** Variable, services, default and meaning, as the README has them. */
function rows(): string[][] {
  const found = new Map<string, { services: string[]; default: string; meaning: string }>();
  for (const [service, schema] of Object.entries(schemas)) {
    for (const { name, default: value, meaning } of describeConfig(schema)) {
      const row = found.get(name) ?? { services: [], default: value, meaning };
      row.services.push(service);
      found.set(name, row);
    }
  }
  return [...found].map(([name, { services, default: value, meaning }]) => [
    `\`${name}\``,
    services.length === Object.keys(schemas).length ? 'all' : services.join(', '),
    value === '' ? '' : `\`${value}\``,
    meaning,
  ]);
}

describe("the README's table of configuration", () => {
  it('has exactly the variables the services read, with their defaults and meanings', () => {
    const readme = readFileSync(join(root, 'README.md'), 'utf8');
    const [, section = ''] = /## Configuration\n([\s\S]*?)(?=\n## |$)/.exec(readme) ?? [];
    const written = section
      .split('\n')
      .filter((line) => line.startsWith('| `'))
      .map((line) =>
        line
          .slice(1, -1)
          .split('|')
          .map((cell) => cell.trim()),
      );
    expect(written).toEqual(rows());
  });
});
