export { run } from './run.js';
export { configSchema } from './config.js';
// the bench and tests of whole models
export { openFileBytes as openModelFile } from '@modelmill/store';
export { calibrate } from './quantize/calibrate.js';
export { computeHalves } from './halves/compute-halves.js';
export { createRanges } from './quantize/quantization-ranges.js';
export { quantizeDynamic } from './quantize/quantize-dynamic.js';
export { quantizableTensors, quantizeStatic } from './quantize/quantize-static.js';
export { quantizeWeights } from './quantize/quantize-weights.js';
export { leftovers } from './quantize/leftovers.js';
export { simplify } from './simplify/simplify.js';
