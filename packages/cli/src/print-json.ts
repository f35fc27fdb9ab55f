import { toJson } from '@modelmill/client';
import type { MessageName, MessageOf } from '@modelmill/client';
import type { Cli } from './command.js';

/** One JSON document on stdout. */
export function printJson({ out }: Pick<Cli, 'out'>, value: unknown): void {
  out.print(JSON.stringify(value, null, 2));
}

/** One message as the contracts spell it. */
export function printMessage<N extends MessageName>(cli: Pick<Cli, 'out'>, name: N, message: MessageOf<N>): void {
  printJson(cli, toJson(name, message, { defaults: true }));
}
