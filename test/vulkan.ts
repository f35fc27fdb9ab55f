import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const brought = fileURLToPath(new URL('../.tools/vulkan/usr/lib/chromium', import.meta.url));
const driver = 'vk_swiftshader_icd.json';

/**
 * The environment in which a process finds a Vulkan device: the driver VK_DRIVER_FILES names, or SwiftShader, which
 * computes on the CPU, as `./mill test` brings it or Chromium's package installs it. Undefined where there is none.
 */
export function vulkanEnvironment(env: NodeJS.ProcessEnv): Record<string, string> | undefined {
  const { VK_DRIVER_FILES: named, LD_LIBRARY_PATH: libraries = '' } = env;
  const found = [named, join(brought, driver), join('/usr/lib/chromium', driver)].find(
    (path) => path && existsSync(path),
  );
  if (found === undefined) return undefined;
  const beside = dirname(found); // Chromium's package has Vulkan's loader, too
  return { VK_DRIVER_FILES: found, LD_LIBRARY_PATH: [beside, libraries].filter(Boolean).join(':') };
}
