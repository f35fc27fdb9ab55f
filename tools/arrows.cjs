/** The architecture. An arrow says "stands on", and permits what lies beneath, too. docs/architecture.md draws it. */
module.exports = {
  'services/gateway': ['client', 'data', 'http2', 'onnx', 'store', 'service-kit'],
  'services/trainer': ['tfjs', 'data', 'runtime', 'store', 'service-kit'],
  'services/optimizer': ['client', 'data', 'runtime', 'store', 'service-kit'],
  'services/inference': ['runtime', 'store', 'service-kit'],
  'packages/cli': ['client'],
  'packages/client': ['contracts', 'http2'],
  'packages/store': ['contracts'],
  'packages/tfjs': ['autodiff'],
  'packages/autodiff': ['onnx'],
  'packages/runtime': ['onnx', 'wire'],
  'packages/onnx': [],
  'packages/data': [],
  'packages/contracts': [],
  'packages/http2': ['wire'],
  'packages/wire': [],
  'packages/service-kit': ['http2'], // takes service definitions and codecs as arguments, so it needs no contracts
};
