import { createReadStream } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseTrainingSpec } from '@modelmill/client';
import type { Contest } from './alternate.js';
import { createClosing } from './closing.js';
import { layersJson } from './networks.js';
import { openMesh } from './open-mesh.js';
import type { BenchMesh } from './open-mesh.js';
import { ourRacer, torchRacer, torchVersion } from './racer.js';
import { races } from './races.js';
import type { RaceName } from './races.js';

const digits = fileURLToPath(new URL('../../examples/data/digits.csv.gz', import.meta.url));
const batchSize = 64;
/** A job of this size trains for a second or two. */
const epochs = 5;

/** Training steps against PyTorch's, in speed and memory, and a whole job of a mesh against its step alone. */
export async function trainContests(): Promise<{ contests: Contest[] } & AsyncDisposable> {
  await using opened = createClosing();
  const contests = torchRaces(opened.use.bind(opened));
  const mesh = opened.use(await openMesh());
  await mesh.mill.datasets.upload({
    dataset: 'digits',
    content: createReadStream(digits) as AsyncIterable<Uint8Array>,
  });
  const alone = opened.use(ourRacer('digits'));
  contests.push({
    unit: 'examples/s',
    better: 'higher',
    case: `train digits CNN, batch ${batchSize}, a whole job`,
    against: 'ONNX Runtime running the same step in one process, data at hand',
    goal: 0.9,
    ours: () => jobSpeed(mesh),
    theirs: () => alone.train(races.digits.steps),
  });
  const kept = opened.move();
  return { contests, [Symbol.asyncDispose]: () => kept[Symbol.asyncDispose]() };
}

function torchRaces(use: <T extends AsyncDisposable>(opened: T) => T): Contest[] {
  const version = torchVersion();
  if (version === undefined) {
    process.stderr.write('the cases against PyTorch are skipped: needs torch (MILL_BENCH_PYTHON names a Python)\n');
    return [];
  }
  const against = `PyTorch ${version} eager on the CPU`;
  return (Object.keys(races) as RaceName[]).flatMap((name): Contest[] => {
    const { words, steps } = races[name];
    const ours = use(ourRacer(name));
    const theirs = use(torchRacer(name));
    return [
      {
        case: `step: ${words}`,
        unit: 'examples/s',
        better: 'higher',
        against,
        goal: 1,
        ours: () => ours.train(steps),
        theirs: () => theirs.train(steps),
      },
      {
        case: `peak memory: ${words}`,
        unit: 'MiB',
        better: 'lower',
        against,
        goal: 0.8,
        ours: () => ours.memory(),
        theirs: () => theirs.memory(),
      },
    ];
  });
}

/** Examples per second of a whole job: data, shuffling, progress, checkpoints and validation included. */
async function jobSpeed({ mill }: BenchMesh): Promise<number> {
  const spec = parseTrainingSpec({
    model: 'digits',
    data: { dataset: 'digits' },
    layers: layersJson('digits'),
    epochs,
    batch_size: batchSize,
    seed: 1,
  });
  const { status } = await mill.trainer.submit(spec);
  let speed = 0;
  for await (const job of mill.trainer.watch(status?.jobId ?? '')) {
    speed = job.progress?.examplesPerSecond ?? speed;
    const state = job.status?.state;
    if (state?.$case === 'failed') throw new Error(`the training failed: ${state.failed.reason}`);
  }
  return speed;
}
