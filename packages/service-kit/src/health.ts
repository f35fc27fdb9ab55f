import { status } from '@grpc/grpc-js';
import type { ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import { fromJSON } from '@grpc/proto-loader';
import type { PackageDefinition } from '@grpc/proto-loader';
import { aborted } from './aborted.js';
import { serverStream, unary } from './adapters.js';
import type { AdapterOptions } from './adapters.js';
import { RpcError } from './rpc-error.js';

/** The public health protocol, https://github.com/grpc/grpc/blob/master/doc/health-checking.md, as protobufjs reads it. */
export const healthPackage: PackageDefinition = fromJSON({
  nested: {
    grpc: {
      nested: {
        health: {
          nested: {
            v1: {
              nested: {
                HealthCheckRequest: { fields: { service: { type: 'string', id: 1 } } },
                HealthCheckResponse: {
                  fields: { status: { type: 'ServingStatus', id: 1 } },
                  nested: {
                    ServingStatus: { values: { UNKNOWN: 0, SERVING: 1, NOT_SERVING: 2, SERVICE_UNKNOWN: 3 } },
                  },
                },
                Health: {
                  methods: {
                    Check: { requestType: 'HealthCheckRequest', responseType: 'HealthCheckResponse', comment: '' },
                    Watch: {
                      requestType: 'HealthCheckRequest',
                      responseType: 'HealthCheckResponse',
                      responseStream: true,
                      comment: '',
                    },
                  },
                },
              },
            },
          },
        },
      },
    },
  },
});

const servingStatus = { serving: 1, notServing: 2, serviceUnknown: 3 } as const;

interface HealthCheckRequest {
  readonly service?: string;
}

/** What grpc.health.v1 answers for the server (``) and each of its services. */
export function createHealth(services: readonly string[], serving: boolean, options: AdapterOptions) {
  const known = new Set(['', ...services]);
  let closed = false;
  const watches = new Set<() => void>();
  const wake = () => watches.forEach((changed) => changed());
  const now = (service: string) =>
    !known.has(service) ? servingStatus.serviceUnknown : serving ? servingStatus.serving : servingStatus.notServing;

  async function* watch(service: string, signal: AbortSignal) {
    let changed = () => {};
    const onChange = () => changed();
    watches.add(onChange);
    try {
      for (let told: number | undefined; ;) {
        const change = new Promise<void>((resolve) => (changed = resolve));
        const status = now(service);
        if (status !== told) yield { status };
        told = status;
        if (closed) return;
        await Promise.race([change, aborted(signal)]);
        if (signal.aborted) return;
      }
    } finally {
      watches.delete(onChange);
    }
  }

  const implementation: UntypedServiceImplementation = {
    Check: unary(async ({ service = '' }: HealthCheckRequest) => {
      if (!known.has(service)) throw new RpcError(status.NOT_FOUND, `service '${service}' is not known here`);
      return { status: now(service) };
    }, options),
    Watch: serverStream(({ service = '' }: HealthCheckRequest, signal) => watch(service, signal), options),
  };
  return {
    definition: healthPackage['grpc.health.v1.Health'] as ServiceDefinition,
    implementation,
    setServing(value: boolean) {
      serving = value;
      wake();
    },
    /** Not serving any more; watches are told and end. */
    close() {
      serving = false;
      closed = true;
      wake();
    },
  };
}
