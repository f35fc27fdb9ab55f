import type { Model } from '@modelmill/onnx';
import { multiplyAddsOf } from '../analyze.js';
import { byMagnitude } from './channel-importance.js';
import { nets } from './nets-for-tests.js';
import { pruneByParts } from './prune-by-parts.js';
import type { PruningByParts } from './prune-by-parts.js';

const { model } = nets['residual']!;

async function partsOf(asked: Partial<PruningByParts>) {
  const recovered: { part: number; left: number }[] = [];
  const measured: Model[] = [];
  const pruned = await pruneByParts(
    model,
    { ratio: 0, multiplyAdds: 0, roundTo: 1, parts: 3, ...asked },
    {
      async measureOf(current) {
        measured.push(current);
        return byMagnitude;
      },
      async recover(cut, part) {
        recovered.push({ part, left: multiplyAddsOf(cut) });
        return cut;
      },
    },
  );
  return { ...pruned, recovered, measured };
}

describe('pruning by parts', () => {
  it('removes as many channels as at once, each time as large a part, by what matters then', async () => {
    const { removed, channels, recovered, measured, model: cut } = await partsOf({ ratio: 0.55 }); // 6 of 11
    expect([removed, channels]).toEqual([6, 11]);
    expect(recovered.map(({ part }) => part)).toEqual([0, 1, 2]);
    expect(measured[0]).toBe(model);
    expect(measured.map(multiplyAddsOf)).toEqual([
      multiplyAddsOf(model),
      ...recovered.slice(0, 2).map(({ left }) => left),
    ]);
    expect(multiplyAddsOf(cut)).toBe(recovered[2]!.left);
  });

  it('comes down to a share of the multiply-adds in even steps', async () => {
    const { multiplyAdds, recovered } = await partsOf({ multiplyAdds: 0.4 });
    const [dense, left] = multiplyAdds;
    expect(left).toBe(recovered.at(-1)!.left);
    for (const { part, left: now } of recovered) expect(now).toBeLessThanOrEqual((1 - 0.2 * (part + 1)) * dense);
    expect(recovered[0]!.left).toBeGreaterThan(0.6 * dense);
  });

  it('leaves out parts in which rounded widths allow for nothing', async () => {
    const { recovered, removed } = await partsOf({ ratio: 0.4, roundTo: 4, parts: 4 });
    expect(removed).toBeGreaterThan(0);
    expect(recovered.length).toBeLessThan(4);
    await expect(partsOf({ ratio: 0.2, roundTo: 64 })).rejects.toThrow(
      "no channel is removed: the layers' widths, of 11 channels together, cannot become less as asked and stay " +
        'multiples of 64',
    );
  });
});
