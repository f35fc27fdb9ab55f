/** Does work when its turn has come. */
export type InTurn = <T>(work: () => Promise<T>) => Promise<T>;

/** One at a time, in the order of asking: what measures must not be measured beside its like. */
export function createTurns(): InTurn {
  let line: Promise<unknown> = Promise.resolve();
  return (work) => {
    const mine = line.then(work);
    line = mine.catch(() => {}); // its own caller is told
    return mine;
  };
}
