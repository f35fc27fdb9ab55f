import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { vulkanEnvironment } from './vulkan.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const { PATH = '', HOME = '' } = process.env;

/** What `mill gpu check` says in an environment. */
function checked(environment: Record<string, string>) {
  const entry = fileURLToPath(new URL('../packages/cli/dist/main.js', import.meta.url));
  const env = { PATH, HOME, MILL_ROOT: root, MILL_CALLED_FROM: root, ...environment };
  const said = execFileSync(process.execPath, [entry, 'gpu', 'check', '--json'], { env, encoding: 'utf8' });
  return JSON.parse(said) as { engine: string; providers: { provider: string; works: boolean; why?: string }[] };
}

it('a machine without a device is told so, provider by provider', () => {
  const { engine, providers } = checked({ VK_DRIVER_FILES: '/no/such/driver.json' });
  expect(engine).toMatch(/^\d+\.\d+\.\d+$/);
  expect(providers).toContainEqual({ provider: 'webgpu', works: false, why: 'it finds no device' });
  expect(providers).toContainEqual({ provider: 'cpu', works: true });
  expect(providers.map(({ provider }) => provider)).toEqual(['cuda', 'webgpu', 'cpu']);
});

const vulkan = vulkanEnvironment(process.env);
(vulkan ? it : it.skip)('a software Vulkan device is found by what names its driver', () => {
  expect(checked(vulkan ?? {}).providers).toContainEqual({ provider: 'webgpu', works: true });
});
