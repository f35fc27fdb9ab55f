import { loadFileDescriptorSetFromBuffer } from '@grpc/proto-loader';
import type { PackageDefinition } from '@grpc/proto-loader';

/**
 * What reflection tells, of a serialized FileDescriptorSet: its files as they are. proto-loader writes them anew, with map
 * entries whose names strict readers such as grpcurl refuse.
 */
export function describedPackage(descriptorSet: Uint8Array): PackageDefinition {
  const described = loadFileDescriptorSetFromBuffer(Buffer.from(descriptorSet), { keepCase: true });
  // reflection decodes the files of every entry: hundreds of times the same ones, which takes seconds
  const teller = Object.keys(described).find((name) => 'fileDescriptorProtos' in described[name]!);
  const files = filesIn(descriptorSet);
  return Object.fromEntries(
    Object.entries(described).map(([name, found]) => [
      name,
      'fileDescriptorProtos' in found ? { ...found, fileDescriptorProtos: name === teller ? files : [] } : found,
    ]),
  ) as PackageDefinition;
}

/** The bytes of each file: a set is field 1 again and again, behind their lengths. */
function filesIn(set: Uint8Array): Buffer[] {
  const files: Buffer[] = [];
  for (let at = 0; at < set.length;) {
    at++;
    let length = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = set[at++]!;
      length += (byte & 127) * scale;
      if (byte < 128) break;
    }
    files.push(Buffer.from(set.subarray(at, at + length)));
    at += length;
  }
  return files;
}
