import type { recipes } from '@modelmill/contracts';

interface Rate {
  readonly name: string;
  readonly rate: number;
  /** Whether its steps have the size of the rate, whatever the gradients'. */
  readonly isAdaptive: boolean;
}

/** What a training used, with the trainer's defaults filled in. */
function rateOf(optimizer: recipes.TrainingOptimizer | undefined): Rate | undefined {
  const kind = optimizer?.kind;
  switch (kind?.$case) {
    case 'sgd':
      return { name: 'SGD', rate: kind.sgd.learningRate, isAdaptive: false };
    case 'adam':
      return { name: 'Adam', rate: kind.adam.learningRate || 0.001, isAdaptive: true };
    case 'adamW':
      return { name: 'AdamW', rate: kind.adamW.learningRate || 0.001, isAdaptive: true };
    case 'rmsProp':
      return { name: 'RMSprop', rate: kind.rmsProp.learningRate || 0.01, isAdaptive: true };
    case 'adagrad':
      return { name: 'Adagrad', rate: kind.adagrad.learningRate || 0.01, isAdaptive: false };
    case 'lion':
      return { name: 'Lion', rate: kind.lion.learningRate || 0.0001, isAdaptive: true };
    case 'muon':
      return { name: 'Muon', rate: kind.muon.learningRate || 0.02, isAdaptive: false };
    case undefined:
      return undefined;
  }
}

/** A step that moves weights by this share of their size makes up for compression without undoing the training. */
const shareOfStep = 0.01;
const tidy = (value: number) => Number(value.toPrecision(1));

/** Which optimizer and learning rate to fine-tune with, and why. */
export function fineTuningAdvice(trained: recipes.TrainingOptimizer | undefined, weightSize: number): string[] {
  const known = rateOf(trained);
  if (!(weightSize > 0)) return [];
  const bySize = shareOfStep * weightSize;
  const byTraining = known?.isAdaptive ? known.rate / 10 : Infinity;
  const rate = tidy(Math.min(1e-2, Math.max(1e-5, Math.min(bySize, byTraining))));
  const why =
    `its weights have a root mean square of ${weightSize.toPrecision(2)}, of which a step of Adam at that rate is ` +
    `${((100 * rate) / weightSize).toPrecision(2)} %`;
  const before = known
    ? `; it was trained with ${known.name} at ${known.rate}${known.isAdaptive ? ', a tenth of which keeps what it learned' : ''}`
    : '';
  const heavy = tidy(known?.isAdaptive ? known.rate : Math.min(1e-2, 10 * rate));
  return [
    `Fine-tune with Adam at ${rate} (finetune_learning_rate), whose steps do not depend on the size of gradients that ` +
      `compression has changed: ${why}${before}. After removing more than half of the weights start at ${heavy}: ` +
      'much has to be learned anew (Renda et al. 2020).',
  ];
}
