import { openApi } from './openapi.js';
import { jsonAnswer, json } from './rest-request.js';
import type { RestRoute } from './rest-request.js';

export interface HomeDeps {
  readonly version: string;
  readonly grpcPort: number;
  metricsText(): Promise<string>;
}

/** The page that says what this is, the OpenAPI document of all routes, and the gateway's own figures. */
export function homeRoutes({ version, grpcPort, metricsText }: HomeDeps, routes: readonly RestRoute[]): RestRoute[] {
  const home: RestRoute[] = [
    {
      verb: 'GET',
      path: '/',
      open: true,
      handle: async () =>
        jsonAnswer({
          name: 'modelmill',
          version,
          status: 'alive',
          about: 'Trains, shrinks and serves neural networks.',
          grpc_port: grpcPort,
          links: {
            openapi: '/openapi.json',
            health: '/v2/health/ready',
            models: '/mill/v1/models',
            datasets: '/mill/v1/datasets',
            training_jobs: '/mill/v1/training-jobs',
            optimization_jobs: '/mill/v1/optimization-jobs',
            events: '/mill/v1/events',
            metrics: '/metrics',
          },
        }),
      doc: { tag: 'server', summary: 'What this is', answer: json({ type: 'object' }) },
    },
    {
      verb: 'GET',
      path: '/openapi.json',
      open: true,
      handle: async () => jsonAnswer(document),
      doc: { tag: 'server', summary: 'This document', answer: json({ type: 'object' }) },
    },
    {
      verb: 'GET',
      path: '/metrics',
      handle: async () => ({ type: 'text/plain; version=0.0.4; charset=utf-8', body: await metricsText() }),
      doc: {
        tag: 'server',
        summary: "The gateway's figures in Prometheus' text format",
        answer: { type: 'text/plain', schema: { type: 'string' } },
      },
    },
  ];
  const document = openApi([...home, ...routes], version);
  return home;
}
