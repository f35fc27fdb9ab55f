/** HTTP/2 as gRPC uses it: one end of a connection, with what a call costs in mind. */
export { ConnectionEndingError, openClientConnection, openServerConnection } from './connection.js';
export type { Connection, ConnectionOptions } from './connection.js';
export type { Stream, StreamListener } from './stream.js';
export type { HeaderField } from './header-table.js';
export { keepAlive } from './keep-alive.js';
export { encodeHeaders } from './header-encoder.js';
export { hostAndPort } from './host-and-port.js';
export { createAllowance } from './allowance.js';
export type { Allowance } from './allowance.js';
export { Http2Error, errorCode, errorName } from './protocol.js';

// gRPC on it
export { MessageGatherer, framedMessage } from './grpc-message.js';
