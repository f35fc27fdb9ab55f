/** Running sums over a split; `figures` gives the means. */
export interface Evaluation {
  /** Adds one batch. `outputs` are [size, width] row-major: probabilities of each class, or predictions. */
  add(outputs: Float32Array, targets: Float32Array, size: number): void;
  figures(): Record<string, number>;
}

/** Accuracy and mean cross-entropy (nats) of class probabilities; the target is a class's index. */
export function evaluateClasses(classes: number): Evaluation {
  let rows = 0;
  let right = 0;
  let loss = 0;
  return {
    add(probabilities, targets, size) {
      for (let row = 0; row < size; row++) {
        const of = probabilities.subarray(row * classes, (row + 1) * classes);
        let best = 0;
        for (let c = 1; c < classes; c++) if (of[c]! > of[best]!) best = c;
        if (best === targets[row]) right++;
        // the smallest float32 above 0: a probability that underflowed costs much, not everything
        loss -= Math.log(Math.max(of[targets[row]!]!, 1.2e-38));
      }
      rows += size;
    },
    figures: () => ({ accuracy: right / rows, loss: loss / rows }),
  };
}

/** Mean squared and mean absolute error, and R², of numbers. */
export function evaluateNumbers(): Evaluation {
  let rows = 0;
  let squares = 0;
  let absolutes = 0;
  let sum = 0;
  let sumOfSquares = 0;
  return {
    add(predictions, targets, size) {
      for (let row = 0; row < size; row++) {
        const target = targets[row]!;
        const error = predictions[row]! - target;
        squares += error * error;
        absolutes += Math.abs(error);
        sum += target;
        sumOfSquares += target * target;
      }
      rows += size;
    },
    figures() {
      const spread = sumOfSquares - (sum * sum) / rows;
      return {
        loss: squares / rows,
        mae: absolutes / rows,
        rmse: Math.sqrt(squares / rows),
        r2: spread > 0 ? 1 - squares / spread : 0,
      };
    },
  };
}
