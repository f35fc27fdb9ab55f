/** What of WebAssembly is used here; Node's types leave it out. */
declare const WebAssembly: {
  readonly Memory: new (size: { initial: number }) => KernelMemory;
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: object };
};

export interface KernelMemory {
  /** Another one after each growth. */
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}

/** Of WebAssembly; a kernel's first page is the compiler's. */
export const pageBytes = 2 ** 16;

/** Opens a module that tools/compile-kernel.sh wrote, over so many pages of memory. The functions are what its source exports. */
export function openKernel<Functions extends object>(
  base64: string,
  pages: number,
): { readonly kernel: Functions; readonly memory: KernelMemory } {
  const memory = new WebAssembly.Memory({ initial: pages });
  const module = new WebAssembly.Module(Buffer.from(base64, 'base64'));
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  return { kernel: exports as Functions, memory };
}
