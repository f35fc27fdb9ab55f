import { descriptorSetBase64 } from './gen/descriptor-set.js';

/** A serialized google.protobuf.FileDescriptorSet of every contract, comments included. */
export const descriptorSet: Uint8Array = Buffer.from(descriptorSetBase64, 'base64');
