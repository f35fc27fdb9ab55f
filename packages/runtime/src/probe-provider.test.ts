import { availableProviders } from './providers.js';
import { probeProvider } from './probe-provider.js';

describe('probeProvider', () => {
  it('finds the CPU everywhere', async () => {
    expect(await probeProvider('cpu')).toBeUndefined();
  });

  it('says that WebGPU finds no device where no driver is', async () => {
    expect(await probeProvider('webgpu', { VK_DRIVER_FILES: '/no/such/driver.json' })).toBe('it finds no device');
  });

  const without = availableProviders().includes('cuda') ? it.skip : it;
  without('says that libraries are not installed', async () => {
    expect(await probeProvider('cuda')).toBe('its libraries are not installed');
  });
});
