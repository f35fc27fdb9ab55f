const swc = { jsc: { parser: { syntax: 'typescript' }, target: 'es2022' }, module: { type: 'commonjs' } };

/** Unit tests lie beside their files and read sources; test/ starts the built processes. */
module.exports = {
  testEnvironment: '<rootDir>/tools/jest-environment.cjs',
  roots: ['<rootDir>/packages', '<rootDir>/services', '<rootDir>/test', '<rootDir>/bench'],
  testPathIgnorePatterns: ['/node_modules/', '/dist/'],
  modulePathIgnorePatterns: ['/dist/'],
  transform: { '^.+\\.ts$': ['@swc/jest', swc] },
  moduleNameMapper: {
    '^@modelmill/(trainer|optimizer|inference|gateway)$': '<rootDir>/services/$1/src/index.ts',
    '^@modelmill/([^/]+)$': '<rootDir>/packages/$1/src/index.ts',
    '^(\\.{1,2}/.*)\\.js$': '$1',
  },
  maxWorkers: 2,
  // a machine that does other things is slow, not wrong
  testTimeout: 180_000,
};
