import { describedMethod, schemasOf } from './described.js';
import { transcodings } from './mill-routes.js';
import type { Content, RestRoute } from './rest-request.js';
import { schemas } from './v2-schemas.js';

/** The OpenAPI 3.1 document of the routes: what the REST door answers is what it says it answers. */
export function openApi(routes: readonly RestRoute[], version: string): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const route of routes) (paths[route.path] ??= {})[route.verb.toLowerCase()] = operation(route);
  const messages = [
    ...transcodings.map(({ rpc }) => describedMethod(`modelmill.v1.${rpc}`)),
    describedMethod('modelmill.v1.ModelRegistry/UploadVersion'),
    describedMethod('modelmill.v1.Datasets/UploadDataset'),
    describedMethod('modelmill.v1.Events/Subscribe'),
  ].flatMap(({ input, output }) => [input, output]);
  return {
    openapi: '3.1.0',
    info: {
      title: 'Modelmill',
      version,
      description: 'Trains, shrinks and serves neural networks. The gRPC door of the same server has the same calls.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    security: [{ key: [] }],
    tags: [...new Set(routes.map(({ doc }) => doc.tag))].map((name) => ({ name })),
    paths,
    components: {
      securitySchemes: { key: { type: 'http', scheme: 'bearer' } },
      schemas: { ...schemasOf(messages), Error: schemas.error },
    },
  };
}

function operation({ verb, path, open, doc }: RestRoute): object {
  const { tag, summary, query = {}, headers = {}, request, answer } = doc;
  const parameters = [
    ...[...path.matchAll(/\{([^}]+)\}/g)].map(([, name]) => parameter('path', name!, '', true)),
    ...Object.entries(query).map(([name, meaning]) => parameter('query', name, meaning, false)),
    ...Object.entries(headers).map(([name, meaning]) => parameter('header', name, meaning, false)),
  ];
  return {
    operationId: `${verb.toLowerCase()}${path.replaceAll(/[^a-zA-Z0-9]+(.)?/g, (_, next: string | undefined) => next?.toUpperCase() ?? '')}`,
    tags: [tag],
    summary,
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(request ? { requestBody: { content: content(request) } } : {}),
    ...(open ? { security: [] } : {}),
    responses: {
      200: { description: 'OK', content: content(answer) },
      default: {
        description: 'What went wrong: the value at fault, what was got and what was wanted',
        content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
      },
    },
  };
}

const content = ({ type, schema }: Content) => ({ [type]: { schema } });

const parameter = (place: string, name: string, description: string, required: boolean) => ({
  in: place,
  name,
  required,
  ...(description === '' ? {} : { description }),
  schema: { type: 'string' },
});
