import { byteLength } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { startRunner } from '@modelmill/runtime';
import type { Runner } from '@modelmill/runtime';
import { sum } from './weighted-layers.js';

/** What examples and answers may take, and ONNX Runtime itself. */
const besidesWeights = 4 * 2 ** 30;
/** The file's pages, and what ONNX Runtime packs for its kernels. */
const timesInMemory = 2;

/** A runner for a job's own models: their weights, in bytes and in all, are not held against it. */
export const startOwnRunner = (weightBytes: number, threads: number): Promise<Runner> =>
  startRunner({
    providers: ['cpu'],
    threads,
    requestTimeoutMs: 120_000,
    memoryLimitBytes: besidesWeights + timesInMemory * weightBytes,
  });

export const weightBytesOf = (model: Model): number => sum([...model.graph.initializers.values()].map(byteLength));
