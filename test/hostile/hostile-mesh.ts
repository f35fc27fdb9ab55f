import { classifier, identity, serve } from '../identity-models.js';
import { residentBytes } from '../processes.js';
import { startMesh } from '../start-mesh.js';
import type { Mesh } from '../start-mesh.js';

export const mib = 2 ** 20;
/** What valid requests and the garbage collector move by themselves. */
const noise = 64 * mib;
/** A second on quiet cores; another test's mesh shares them. */
const soonMs = 5_000;
const door = ['gateway', 'inference'] as const;

export interface HostileMesh extends Mesh {
  /** Does something hostile, then holds the mesh to it: no process gone, its memory bound, a valid answer soon. */
  withstands<T>(attack: () => Promise<T>, boundBytes?: number): Promise<T>;
}

/** A mesh that serves `classes` [n, 4] → [n, 3] and `same` [n] → [n], and takes messages of 4 MiB. */
export async function startHostileMesh(env: Record<string, string> = {}): Promise<HostileMesh> {
  const mesh = await startMesh({ MILL_MAX_MESSAGE_BYTES: String(4 * mib), MILL_RUNNERS: '1', ...env });
  await serve(mesh, 'classes', classifier());
  await serve(mesh, 'same', identity('float'));
  const ask = () =>
    mesh.mill.inference.infer({
      model: 'classes',
      inputs: [{ name: 'input', datatype: 'FP32', shape: [1, 4], data: [1, 2, 3, 4] }],
    });
  for (let i = 0; i < 50; i++) await ask();
  return {
    ...mesh,
    async withstands(attack, boundBytes = 0) {
      const before = door.map((name) => ({
        pid: mesh.service(name).pid,
        resident: residentBytes(mesh.service(name).pid),
      }));
      const seen = await attack();
      const began = performance.now();
      await ask();
      expect(performance.now() - began).toBeLessThan(soonMs);
      for (const [i, name] of door.entries()) {
        const { pid } = mesh.service(name);
        expect(pid).toBe(before[i]!.pid);
        expect({ name, grew: Math.max(0, residentBytes(pid) - before[i]!.resident - noise - boundBytes) }).toEqual({
          name,
          grew: 0,
        });
      }
      return seen;
    },
  };
}
