import type { Provider } from '@modelmill/runtime';
import type { Contest } from '../alternate.js';
import { ourRacer, torchRacer } from '../racer.js';
import { races } from '../races.js';
import type { Asked } from './asked.js';

/** Steps of a round. */
const trained = [
  { name: 'mlp', cuda: 192, webgpu: 200 },
  { name: 'cnn', cuda: 96, webgpu: 8 },
  { name: 'gpt', cuda: 64, webgpu: 10 },
  { name: 'resnet', cuda: 32, webgpu: 5 },
] as const;

export function trainingSteps(provider: Exclude<Provider, 'cpu'>, { opened, against }: Asked): Contest[] {
  return trained.map(({ name, [provider]: steps }) => {
    const ours = opened.use(ourRacer(name, provider));
    const theirs = opened.use(torchRacer(name, 'cuda'));
    return {
      case: `${provider}, step: ${races[name].words}`,
      unit: 'examples/s',
      better: 'higher',
      against,
      goal: null,
      ours: () => ours.train(steps),
      theirs: () => theirs.train(steps),
    };
  });
}
