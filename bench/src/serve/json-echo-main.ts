// A bare Fastify server that parses what is posted to /echo as JSON and writes it back. Prints its port.
import type { AddressInfo } from 'node:net';
import { fastify } from 'fastify';

const app = fastify({ bodyLimit: 2 ** 30 });
app.post('/echo', (request) => request.body);
await app.listen({ host: '127.0.0.1', port: 0 });
console.log((app.server.address() as AddressInfo).port);
// Ends with the process that started it, however that one ends.
process.stdin.on('end', () => process.exit(0)).resume();
