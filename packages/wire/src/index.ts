/** What messages cost beneath every protocol: the memory that they lie in, and what sockets read into. */
export { grown } from './grown.js';
export { letGo, makeSole, soleMemory, wholeMemory } from './sole-memory.js';
export { onInput } from './socket-input.js';
