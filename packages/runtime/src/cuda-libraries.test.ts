import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { installCudaLibraries } from './cuda-libraries.js';
import { libraryFolder } from './library-folder.js';

const folder = mkdtempSync(join(tmpdir(), 'mill-wheel-'));
afterAll(() => rmSync(folder, { recursive: true }));

const onLinux = `${process.platform}-${process.arch}` === 'linux-x64' ? it : it.skip;
const capi = 'onnxruntime/capi/libonnxruntime_providers_';
const metadata = (version: string) => ({
  [`onnxruntime_gpu-${version}.dist-info/METADATA`]: `Name: onnxruntime-gpu\nVersion: ${version}\n`,
});

/** A package of files that are stored as they are. */
function packed(files: Readonly<Record<string, string>>): string {
  const locals: Buffer[] = [];
  const central: Buffer[] = [];
  let offset = 0;
  for (const [name, content] of Object.entries(files)) {
    const header = Buffer.alloc(26);
    header.writeUInt16LE(20, 0);
    header.writeUInt32LE(crc32(content), 10);
    header.writeUInt32LE(content.length, 14);
    header.writeUInt32LE(content.length, 18);
    header.writeUInt16LE(name.length, 22);
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), header, Buffer.from(name + content)]);
    const rest = Buffer.alloc(14);
    rest.writeUInt32LE(offset, 10);
    central.push(Buffer.concat([Buffer.from('PK\x01\x02\x14\x00'), header, rest, Buffer.from(name)]));
    locals.push(local);
    offset += local.length;
  }
  const end = Buffer.alloc(18);
  const directory = Buffer.concat(central);
  end.writeUInt16LE(central.length, 4);
  end.writeUInt16LE(central.length, 6);
  end.writeUInt32LE(directory.length, 8);
  end.writeUInt32LE(offset, 12);
  const path = join(folder, 'package.whl');
  writeFileSync(path, Buffer.concat([...locals, directory, Buffer.from('PK\x05\x06'), end]));
  return path;
}

describe('installing the libraries of CUDA', () => {
  onLinux.each([
    [
      'a package of another version',
      { ...metadata('1.2.3'), [`${capi}cuda.so`]: 'x', [`${capi}shared.so`]: 'y' },
      /has ONNX Runtime 1\.2\.3, wants 1\.\d+\.\d+$/,
    ],
    [
      'a package that says no version',
      { [`${capi}cuda.so`]: 'x', [`${capi}shared.so`]: 'y' },
      /has ONNX Runtime of no version, wants/,
    ],
    [
      'a package without them',
      metadata('1.30.0'),
      /has no libonnxruntime_providers_shared\.so and no libonnxruntime_providers_cuda\.so$/,
    ],
  ])('refuses %s and leaves everything as it was', async (_, files, said) => {
    const before = readdirSync(libraryFolder);
    await expect(installCudaLibraries(packed(files as Record<string, string>))).rejects.toThrow(said);
    expect(readdirSync(libraryFolder)).toEqual(before);
  });

  onLinux('refuses what is no package', async () => {
    const path = join(folder, 'text.whl');
    writeFileSync(path, 'no package');
    await expect(installCudaLibraries(path)).rejects.toThrow(/text\.whl' is no package: /);
    await expect(installCudaLibraries(join(folder, 'none.whl'))).rejects.toThrow(/none\.whl' is no package: ENOENT/);
  });
});
