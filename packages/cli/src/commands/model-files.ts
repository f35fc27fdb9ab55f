import { createReadStream, createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Cli } from '../command.js';
import { connect, connectionFlags } from '../connection.js';
import { digestOf } from '../digest-of.js';
import { printMessage } from '../print-json.js';
import { readArgs, words } from '../read-args.js';
import { bytes } from '../terminal/format.js';

const flags = { ...connectionFlags, json: { type: 'boolean' } } as const;

/** mill models upload MODEL FILE. */
export async function upload(args: readonly string[], cli: Cli): Promise<void> {
  const { values, positionals } = readArgs(args, flags);
  const [model, file] = words(positionals, 'MODEL', 'FILE');
  const read = () => createReadStream(resolve(cli.cwd, file)) as AsyncIterable<Uint8Array>;
  const sha256 = await digestOf(read());
  await using mill = await connect(values, cli);
  const version = await mill.registry.uploadVersion({ model, content: read(), sha256 }, { signal: cli.signal });
  if (values.json) return printMessage(cli, 'modelmill.v1.Version', version);
  cli.out.print(`${model} version ${version.version}, ${bytes(version.sizeBytes)}; admission follows`);
}

/** mill models download MODEL VERSION [FILE]; a download that breaks off leaves no file. */
export async function download(args: readonly string[], cli: Cli): Promise<void> {
  const { values, positionals } = readArgs(args, flags);
  const [model, version, file = `${model}-${version}.onnx`] = words(positionals, 'MODEL', 'VERSION', 'FILE?');
  const path = resolve(cli.cwd, file);
  const part = `${path}.part`;
  await using mill = await connect(values, cli);
  try {
    await pipeline(mill.registry.downloadVersion(model, version, { signal: cli.signal }), createWriteStream(part));
    await rename(part, path);
  } finally {
    await rm(part, { force: true });
  }
  cli.out.print(path);
}
