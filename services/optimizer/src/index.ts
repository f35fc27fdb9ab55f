export { run } from './run.js';
export { configSchema } from './config.js';
// the bench
export { createRanges } from './quantization-ranges.js';
export { quantizeDynamic } from './quantize-dynamic.js';
export { quantizableTensors, quantizeStatic } from './quantize-static.js';
export { leftovers } from './leftovers.js';
