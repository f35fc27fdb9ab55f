// The child process of one optimization: takes orders over IPC, and reads and writes artifacts itself.
import { setPriority } from 'node:os';
import { openCalls } from './calls.js';
import type { CallEnd, CallMessage } from './calls.js';
import type { PassNeeds, PassWork } from './pass-calls.js';
import { passWork } from './pass-work.js';

/** A nice value: who computes for long lets those pass who take a message and pass it on. */
const behindServices = 10;

setPriority(behindServices);
// nobody is left to report to
process.on('disconnect', () => process.exit(1));

const optimizer: CallEnd<PassNeeds> = openCalls<PassWork, PassNeeds>(
  (message) => void process.send!(message),
  passWork((name, asked) => optimizer.call(name, asked)),
  (error) => console.error(error),
);
process.on('message', (message) => optimizer.receive(message as CallMessage));
