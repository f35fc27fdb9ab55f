import { byteLength } from '@modelmill/onnx';
import { deepModel, freeNeeds, openWorkshop, peakBytes } from './pass-process-for-tests.js';
import type { Workshop } from './pass-process-for-tests.js';
import { startPassProcess } from './start-pass-process.js';

jest.setTimeout(600_000);

const never = new AbortController().signal;
/** 50 MB in layers of 4 MB. */
const model = deepModel(Array<number>(13).fill(1024));
const modelBytes = [...model.graph.initializers.values()].reduce((sum, tensor) => sum + byteLength(tensor), 0);
/** What V8 has not looked at yet, and a tensor or two that are being worked on. */
const rest = 2 ** 25;

describe('the memory of a pass process', () => {
  let shop: Workshop;
  let base: number;

  async function peakOf(about: typeof model, pass: object): Promise<number> {
    await using passes = await startPassProcess({ memoryBytes: 2 ** 33 }, never, freeNeeds);
    await passes.call('make', await shop.order(about, [pass]));
    return peakBytes(passes.pid);
  }

  beforeAll(async () => {
    shop = await openWorkshop();
    base = await peakOf(deepModel([256]), { store_halves: {} });
  });
  afterAll(() => shop[Symbol.dispose]());

  it.each([
    { quantize_static: { calibration_samples: 64 } },
    { quantize_dynamic: {} },
    { quantize_weights: {} },
    { share_weights: {} },
    { store_bytes: {} },
    { store_halves: {} },
    { prune_magnitude: { sparsity: 0.5 } },
  ])('is at most one and a half times the model, beyond what Node takes: %j', async (pass) => {
    const peak = await peakOf(model, pass);
    expect((peak - base - rest) / modelBytes).toBeLessThan(1.5);
  });

  it.each(['minmax', 'entropy'])('does not grow with the examples that are calibrated on (%s)', async (calibration) => {
    const few = await peakOf(model, { quantize_static: { calibration, calibration_samples: 10 } });
    const of1000 = () => peakOf(model, { quantize_static: { calibration, calibration_samples: 1000 } });
    // when garbage is collected is up to V8, which only ever adds to a peak; what is kept is there every time
    const many = Math.min(await of1000(), await of1000());
    expect(many - few).toBeLessThan(rest);
  });
});
