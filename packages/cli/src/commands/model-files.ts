import { createReadStream, createWriteStream } from 'node:fs';
import { rename, rm, stat } from 'node:fs/promises';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Cli } from '../command.js';
import { connect, connectionFlags } from '../connection.js';
import { digestOf } from '../digest-of.js';
import { printMessage } from '../print-json.js';
import { readArgs, words } from '../read-args.js';
import { bytes } from '../terminal/format.js';

const flags = { ...connectionFlags, json: { type: 'boolean' } } as const;

/** mill models upload MODEL FILE [--data FILE …]. */
export async function upload(args: readonly string[], cli: Cli): Promise<void> {
  const { values, positionals } = readArgs(args, { ...flags, data: { type: 'string', multiple: true, default: [] } });
  const [model, file] = words(positionals, 'MODEL', 'FILE');
  const path = resolve(cli.cwd, file);
  const beside = values.data.map((name) => resolve(cli.cwd, name));
  const read = () => oneAfterTheOther([path, ...beside]);
  const sizeOf = async (name: string) => (await stat(name)).size;
  // as the ONNX file calls them: from where it lies itself
  const locations = beside.map((name) => relative(dirname(path), name).split(sep).join('/'));
  const externalData = await Promise.all(
    beside.map(async (name, i) => ({ location: locations[i]!, bytes: await sizeOf(name) })),
  );
  const onnxBytes = beside.length > 0 ? await sizeOf(path) : 0;
  const sha256 = await digestOf(read());
  await using mill = await connect(values, cli);
  const wanted = { model, content: read(), sha256, onnxBytes, externalData };
  const version = await mill.registry.uploadVersion(wanted, { signal: cli.signal });
  if (values.json) return printMessage(cli, 'modelmill.v1.Version', version);
  cli.out.print(`${model} version ${version.version}, ${bytes(version.sizeBytes)}; admission follows`);
}

/** mill models download MODEL VERSION [FILE]; a download that breaks off leaves no file. */
export async function download(args: readonly string[], cli: Cli): Promise<void> {
  const { values, positionals } = readArgs(args, flags);
  const [model, version, file = `${model}-${version}.onnx`] = words(positionals, 'MODEL', 'VERSION', 'FILE?');
  const path = resolve(cli.cwd, file);
  await using mill = await connect(values, cli);
  const found = await mill.registry.getVersion(model, version, { signal: cli.signal });
  if (found.externalData) {
    // the ONNX file names it so, and finds it beside itself
    const data = join(dirname(path), found.externalData.sha256);
    await save(mill.registry.downloadExternalData(found, { signal: cli.signal }), data);
    cli.out.print(data);
  }
  await save(mill.registry.downloadVersion(model, found.version, { signal: cli.signal }), path);
  cli.out.print(path);
}

async function save(content: AsyncIterable<Uint8Array>, path: string): Promise<void> {
  const part = `${path}.part`;
  try {
    await pipeline(content, createWriteStream(part));
    await rename(part, path);
  } finally {
    await rm(part, { force: true });
  }
}

async function* oneAfterTheOther(paths: readonly string[]): AsyncGenerator<Uint8Array, void, undefined> {
  for (const path of paths) yield* createReadStream(path) as AsyncIterable<Uint8Array>;
}
