interface Given {
  readonly LD_LIBRARY_PATH?: string | undefined;
  readonly VK_DRIVER_FILES?: string | undefined;
}

/** What a process that uses a device is given of the environment: where its libraries and drivers are found. */
export function deviceEnvironment({ LD_LIBRARY_PATH = '', VK_DRIVER_FILES = '' }: Given): Record<string, string> {
  return { ...(LD_LIBRARY_PATH && { LD_LIBRARY_PATH }), ...(VK_DRIVER_FILES && { VK_DRIVER_FILES }) };
}
