/** The command line of a mesh: `mill …`. */
export { runMill } from './run-mill.js';
export type { Cli, Command } from './command.js';
