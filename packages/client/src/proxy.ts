/** Whether the environment names a proxy, as grpc-js reads it. */
export const hasProxy = (): boolean =>
  ['grpc_proxy', 'https_proxy', 'http_proxy'].some((name) => Boolean(process.env[name]));
