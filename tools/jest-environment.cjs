const { TestEnvironment } = require('jest-environment-node');

// onnxruntime checks its tensors with `instanceof`: tests must see the same typed arrays as native code.
const typedArrays = [
  'Float32Array',
  'Float64Array',
  'Int8Array',
  'Int16Array',
  'Int32Array',
  'Uint8ClampedArray',
  'Uint16Array',
  'Uint32Array',
  'BigInt64Array',
  'BigUint64Array',
];

module.exports = class extends TestEnvironment {
  constructor(config, context) {
    super(config, context);
    for (const name of typedArrays) this.global[name] = globalThis[name];
  }

  /** For test/start-mesh.ts, which has processes to show and to end. */
  handleTestEvent({ name }) {
    if (name === 'test_start') this.global.onTestEvent?.('starts');
    if (name === 'test_fn_failure' || name === 'hook_failure') this.global.onTestEvent?.('failed');
  }

  async teardown() {
    this.global.onTestEvent?.('all over');
    await super.teardown();
  }
};
