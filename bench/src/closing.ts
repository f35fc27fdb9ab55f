/** What was opened, closed in reverse order; Node 22 has no AsyncDisposableStack. */
export interface Closing extends AsyncDisposable {
  use<T extends AsyncDisposable | Disposable>(opened: T): T;
  defer(close: () => PromiseLike<void> | void): void;
  /** Hands everything to a new owner. */
  move(): AsyncDisposable;
}

export function createClosing(): Closing {
  let closers: (() => PromiseLike<void> | void)[] = [];
  const closeAll = async (all: (() => PromiseLike<void> | void)[]) => {
    for (const close of all.reverse()) await close();
  };
  return {
    use(opened) {
      closers.push(() => (Symbol.asyncDispose in opened ? opened[Symbol.asyncDispose]() : opened[Symbol.dispose]()));
      return opened;
    },
    defer: (close) => void closers.push(close),
    move() {
      const kept = closers;
      closers = [];
      return { [Symbol.asyncDispose]: () => closeAll(kept) };
    },
    [Symbol.asyncDispose]: () => closeAll(closers),
  };
}
