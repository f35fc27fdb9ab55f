import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { configSchema as gateway } from '@modelmill/gateway';
import { configSchema as inference } from '@modelmill/inference';
import { configSchema as optimizer } from '@modelmill/optimizer';
import { configSchema as trainer } from '@modelmill/trainer';
import { root } from './run-tool.js';

const known: Record<string, ReadonlySet<string>> = Object.fromEntries(
  Object.entries({ gateway, inference, optimizer, trainer }).map(([name, schema]) => [
    name,
    new Set(Object.keys(schema.shape)),
  ]),
);

const read = (path: string) => readFileSync(join(root, path), 'utf8');

interface Compose {
  services: Record<string, { environment?: Record<string, string> }>;
}

const set: [service: string, variable: string, where: string][] = [
  ...Object.entries((parse(read('deploy/compose.yaml'), { merge: true }) as Compose).services)
    .filter(([service]) => service !== 'nats')
    .flatMap(([service, { environment = {} }]) =>
      Object.keys(environment).map((variable) => [service, variable, 'compose.yaml'] as [string, string, string]),
    ),
  ...helm('deploy/helm/modelmill/templates/_env.tpl', Object.keys(known)),
  ...helm('deploy/helm/modelmill/templates/gateway.yaml', ['gateway']),
  // what only inference gets stands behind a condition; the others must know the rest
  ...helm('deploy/helm/modelmill/templates/workers.yaml', ['inference']),
  ...helm('deploy/helm/modelmill/templates/workers.yaml', ['trainer', 'optimizer']).filter(
    ([, variable]) => variable !== 'MILL_PROVIDERS',
  ),
  ...[...read('deploy/docker/Dockerfile').matchAll(/\b(MILL_[A-Z_]+)=/g)].flatMap(([, variable]) =>
    Object.keys(known).map((service) => [service, variable!, 'Dockerfile'] as [string, string, string]),
  ),
];

function helm(path: string, services: string[]): [string, string, string][] {
  return [...read(path).matchAll(/- name: ((?:MILL|OTEL)_[A-Z_]+)/g)].flatMap(([, variable]) =>
    services.map((service) => [service, variable!, path] as [string, string, string]),
  );
}

describe('a deployment file', () => {
  it('sets at least the address of NATS for each service', () =>
    expect(new Set(set.filter(([, variable]) => variable === 'MILL_NATS_URL').map(([service]) => service)).size).toBe(
      4,
    ));

  it.each(set)('gives %s %s, which its configuration knows (%s)', (service, variable) =>
    expect([...known[service]!]).toContain(variable),
  );
});
