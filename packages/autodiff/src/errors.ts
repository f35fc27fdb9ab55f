/** An operator without a gradient rule lies between a trained weight and the loss. */
export class UnsupportedOpError extends Error {
  override readonly name = 'UnsupportedOpError';

  constructor(
    readonly opType: string,
    readonly node: string,
    reason = 'has no gradient rule, and trained weights lie before it',
  ) {
    super(`operator ${opType} (node '${node}') ${reason}`);
  }
}

/** A layer does not fit what comes before it. The message names the layer, what it got and what it wants. */
export class LayerError extends Error {
  override readonly name = 'LayerError';
}

/** A graph, or what was asked for it, cannot be trained. */
export class TrainingFormError extends Error {
  override readonly name = 'TrainingFormError';
}
