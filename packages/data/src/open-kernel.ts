/** What of WebAssembly is used here; Node's types leave it out. */
declare const WebAssembly: {
  readonly Memory: {
    new (size: { initial: number }): KernelMemory;
    new (size: { initial: number; maximum: number; shared: true }): SharedKernelMemory;
  };
  readonly Module: new (bytes: Uint8Array) => KernelModule;
  readonly Instance: new (module: object, imports: object) => { readonly exports: object };
};

export interface KernelMemory {
  /** Another one after each growth. */
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}

/** May be given to threads. */
export interface SharedKernelMemory {
  readonly buffer: SharedArrayBuffer;
}

/** A compiled module, which may be given to threads. */
export type KernelModule = object;

/** Of WebAssembly; a kernel's first page is the compiler's. */
export const pageBytes = 2 ** 16;

/** Opens a module that tools/compile-kernel.sh wrote, over so many pages of memory. The functions are what its source exports. */
export function openKernel<Functions extends object>(
  base64: string,
  pages: number,
): { readonly kernel: Functions; readonly memory: KernelMemory } {
  const memory = new WebAssembly.Memory({ initial: pages });
  const { exports } = new WebAssembly.Instance(compileKernel(base64), { env: { memory } });
  return { kernel: exports as Functions, memory };
}

/** A module that tools/compile-kernel.sh wrote. */
export const compileKernel = (base64: string): KernelModule => new WebAssembly.Module(Buffer.from(base64, 'base64'));

const mostPages = 2 ** 16;

/** Memory of so many bytes, the first page among them; undefined where a kernel cannot address as much, or the system has none. */
export function sharedKernelMemory(bytes: number): SharedKernelMemory | undefined {
  const pages = Math.ceil(bytes / pageBytes);
  if (pages > mostPages) return undefined;
  try {
    return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  } catch {
    return undefined;
  }
}
