/** Gives names that are not taken; each given name is taken then. */
export type FreshNames = (wanted: string) => string;

export function freshNames(taken: Iterable<string>): FreshNames {
  const all = new Set(taken);
  const next = new Map<string, number>();
  return (wanted) => {
    let name = wanted;
    let i = next.get(wanted) ?? 0;
    if (i > 0) name = `${wanted}_${i}`;
    for (; all.has(name); name = `${wanted}_${i}`) i++;
    next.set(wanted, i + 1);
    all.add(name);
    return name;
  };
}
