import { createRouter } from './router.js';
import type { RestRoute, Verb } from './rest-request.js';

const route = (verb: Verb, path: string): RestRoute => ({
  verb,
  path,
  handle: async () => ({ type: 'text/plain', body: '' }),
  doc: { tag: '', summary: '', answer: { type: '', schema: {} } },
});

const find = createRouter([
  route('GET', '/v2/models/stats'),
  route('GET', '/v2/models/{model}'),
  route('DELETE', '/v2/models/{model}'),
  route('POST', '/v1/models/{model}:predict'),
  route('POST', '/v1/models/{model}/labels/{label}:predict'),
]);

describe('a router', () => {
  it.each([
    ['GET', '/v2/models/stats', '/v2/models/stats', {}],
    ['GET', '/v2/models/digits', '/v2/models/{model}', { model: 'digits' }],
    ['HEAD', '/v2/models/digits', '/v2/models/{model}', { model: 'digits' }],
    ['GET', '/v2/models/a%20b', '/v2/models/{model}', { model: 'a b' }],
    ['POST', '/v1/models/digits:predict', '/v1/models/{model}:predict', { model: 'digits' }],
    [
      'POST',
      '/V1/Models/digits/Labels/stable:Predict',
      '/v1/models/{model}/labels/{label}:predict',
      { model: 'digits', label: 'stable' },
    ],
  ])('%s %s is %s', (verb, path, template, params) =>
    expect(find(verb, path)).toMatchObject({ route: { path: template }, params }),
  );

  it('names the verbs that a path takes', () =>
    expect(() => find('POST', '/v2/models/digits')).toThrow(
      expect.objectContaining({ httpStatus: 405, headers: { allow: 'GET, DELETE' } }),
    ));

  it.each(['/v2/models', '/v2/models/a/b', '/v2/models/', '/V2/models/a', '/v1/models/a/predict'])(
    'does not know %s',
    (path) => expect(() => find('GET', path)).toThrow(expect.objectContaining({ httpStatus: 404 })),
  );

  it.each(['..', '%2e%2E', '..%2f..%2fetc', 'a%2Fb', '..%5Cetc', 'a%00', 'a%0d%0ab'])(
    'does not take %s for a name',
    (name) => expect(() => find('GET', `/v2/models/${name}`)).toThrow(expect.objectContaining({ httpStatus: 404 })),
  );

  it('refuses bytes that are no UTF-8', () =>
    expect(() => find('GET', '/v2/models/%c0%ae')).toThrow(/not percent-encoded UTF-8/));
});
