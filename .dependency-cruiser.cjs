const arrows = require('./tools/arrows.cjs');

const beneath = (name) => arrows[name].flatMap((below) => [`packages/${below}`, ...beneath(`packages/${below}`)]);
const inside = (names) => `^(${names.join('|')})/`;
const test = '([.]test|-for-tests)[.]ts$';

const standsOn = Object.keys(arrows).map((name) => ({
  name: `${name.split('/')[1]}-stands-on-${arrows[name].join('-and-') || 'nothing'}`,
  severity: 'error',
  from: { path: inside([name]) },
  to: { path: '^packages/', pathNot: inside([name, ...beneath(name)]) },
}));

module.exports = {
  forbidden: [
    ...standsOn,
    { name: 'no-circles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'services-meet-only-on-the-wire',
      severity: 'error',
      from: { path: '^services/([^/]+)/' },
      to: { path: '^services/', pathNot: '^services/$1/' },
    },
    {
      name: 'packages-know-no-service',
      severity: 'error',
      from: { path: '^packages/' },
      to: { path: '^(services|test|bench)/' },
    },
    {
      name: 'every-folder-has-its-arrows',
      severity: 'error',
      from: { path: '^(packages|services)/', pathNot: inside(Object.keys(arrows)) },
      to: {},
    },
    {
      name: 'enter-by-the-front-door',
      severity: 'error',
      from: { path: '^(packages|services|test|bench)/([^/]+)' },
      to: {
        path: '^(packages|services)/',
        pathNot: ['^(packages|services)/$2/', '^(packages|services)/[^/]+/(src|dist)/index[.](js|d[.]ts|ts)$'],
      },
    },
    {
      name: 'onnx-and-autodiff-do-no-io',
      severity: 'error',
      from: { path: '^packages/(onnx|autodiff)/', pathNot: test },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'onnx-and-autodiff-know-no-network',
      severity: 'error',
      from: { path: '^packages/(onnx|autodiff)/' },
      to: { path: 'node_modules/(@grpc|@nats-io)/' },
    },
    {
      name: 'only-runtime-loads-onnxruntime',
      severity: 'error',
      from: { pathNot: ['^packages/runtime/', '^bench/', test, '^node_modules/'] },
      to: { path: 'node_modules/onnxruntime-' },
    },
    {
      name: 'declared-dependencies-only',
      severity: 'error',
      from: {},
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown'] },
    },
    { name: 'shared-is-not-the-product', severity: 'error', from: {}, to: { path: '^([.][.]/)*shared/' } },
  ],
  options: {
    tsPreCompilationDeps: true, // type-only imports are arrows too
    tsConfig: { fileName: 'tsconfig.base.json' },
    doNotFollow: { path: ['node_modules', '/dist/'] },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'types', 'default'] },
  },
};
