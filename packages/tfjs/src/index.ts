export { openTfjsSession, unsupportedByTfjs } from './session.js';
export type { Numbers, TfjsSession } from './session.js';
