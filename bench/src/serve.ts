import type { Contest } from './alternate.js';
import { createClosing } from './closing.js';
import { openMesh } from './open-mesh.js';
import { batchedAnswers } from './serve/batched-answers.js';
import { largeAnswers } from './serve/large-answers.js';
import { overload } from './serve/overload.js';
import { smallAnswers } from './serve/small-answers.js';
import { warmDoors } from './serve/stage.js';

/** A mesh's answers against bare servers and bare ONNX Runtime on the same cores. */
export async function serveContests(): Promise<{ contests: Contest[] } & AsyncDisposable> {
  await using opened = createClosing();
  const mesh = opened.use(await openMesh());
  const stage = { mesh, inference: await mesh.inference(), opened };
  await warmDoors(stage);
  const contests: Contest[] = [];
  for (const cases of [smallAnswers, batchedAnswers, largeAnswers, overload]) contests.push(...(await cases(stage)));
  const kept = opened.move();
  return { contests, [Symbol.asyncDispose]: () => kept[Symbol.asyncDispose]() };
}
