import { boundInWords, dropOf, gateFault, qualityOf } from './gate.js';

const between = (parent: object, candidate: object) => ({
  parent: { loss: 1, ...parent },
  candidate: { loss: 1, ...candidate },
});
const bound = (maxDrop: number) => ({ maxDrop, field: 'max_drop' as const });

describe('the gate', () => {
  it.each([
    ['classes', { accuracy: 0.9 }, { accuracy: 0.87 }, 0.03],
    ['numbers', { r2: 0.8 }, { r2: 0.85 }, -0.05],
    ['text', { perplexity: 5 }, { perplexity: 5.1 }, 0.02],
  ] as const)('counts what is lost in %s', (kind, parent, candidate, drop) =>
    expect(dropOf(kind, { loss: 1, ...parent }, { loss: 1, ...candidate })).toBeCloseTo(drop, 12),
  );

  it('lets what is exactly at the bound through, in spite of the last bits', () => {
    expect(gateFault('classes', between({ accuracy: 0.9 }, { accuracy: 0.87 }), bound(0.03))).toBeUndefined();
    expect(gateFault('text', between({ perplexity: 5 }, { perplexity: 5.1 }), bound(0.02))).toBeUndefined();
  });

  it('says in figures what was lost beyond it', () => {
    expect(gateFault('text', between({ perplexity: 5 }, { perplexity: 5.2 }), bound(0.02), ' on 9 windows')).toBe(
      'perplexity rose from 5.0000 to 5.2000 on 9 windows: a rise of 4 %, max_drop is 0.02',
    );
    expect(gateFault('numbers', between({ r2: 0.8 }, { r2: 0.5 }), bound(0.05))).toBe(
      'r2 fell from 0.8000 to 0.5000: a drop of 0.3000, max_drop is 0.05',
    );
    expect(
      gateFault('classes', between({ accuracy: 0.9 }, { accuracy: 0.5 }), { maxDrop: 0.1, field: 'max_accuracy_drop' }),
    ).toBe('accuracy fell from 0.9000 to 0.5000: a drop of 0.4000, max_accuracy_drop is 0.1');
    expect(boundInWords('text', bound(0.02))).toBe('a rise of perplexity by at most 2 %');
  });

  it('lets nothing through whose figure is missing', () =>
    expect(gateFault('numbers', between({ r2: 0.8 }, {}), bound(10))).toMatch('r2 fell from 0.8000 to nothing'));

  it('takes a lower perplexity for the better one', () =>
    expect(qualityOf('text', { loss: 1, perplexity: 3 })).toBeGreaterThan(
      qualityOf('text', { loss: 1, perplexity: 4 }),
    ));
});
