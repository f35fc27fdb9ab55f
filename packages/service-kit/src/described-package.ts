import { loadFileDescriptorSetFromBuffer } from '@grpc/proto-loader';
import type { PackageDefinition } from '@grpc/proto-loader';

/**
 * What reflection tells, of a serialized FileDescriptorSet: its files as they are. proto-loader writes them anew, with map
 * entries whose names strict readers such as grpcurl refuse.
 */
export function describedPackage(descriptorSet: Uint8Array): PackageDefinition {
  const described = loadFileDescriptorSetFromBuffer(Buffer.from(descriptorSet), { keepCase: true });
  let files = filesIn(descriptorSet);
  const entries = Object.entries(described).map(([name, found]) => {
    if (!('fileDescriptorProtos' in found)) return [name, found] as const;
    // reflection decodes the files of every entry: hundreds of times the same ones, which takes seconds
    const own = { ...found, fileDescriptorProtos: files };
    files = [];
    return [name, own] as const;
  });
  return Object.fromEntries(entries) as PackageDefinition;
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
