/** The indices of each operand and of the output, one letter each; an ellipsis stands for letters of its own. */
export function einsumTerms(equation: string, ranks: readonly number[]): { inputs: string[]; output: string } {
  const [left = '', right] = equation.replace(/\s/g, '').split('->');
  const terms = left.split(',');
  const widest = Math.max(0, ...terms.map((term, i) => (term.includes('...') ? ranks[i]! - (term.length - 3) : 0)));
  const unused = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZ'].filter((letter) => !equation.includes(letter));
  const dots = unused.slice(0, widest).join('');
  const spelled = (term: string, rank?: number) => {
    const count = rank === undefined ? widest : rank - (term.length - 3);
    return term.replace('...', dots.slice(widest - count));
  };
  const inputs = terms.map((term, i) => spelled(term, ranks[i]));
  if (right !== undefined) return { inputs, output: spelled(right) };
  const all = [...left.replace(/[.,]/g, '')];
  const once = all.filter((letter) => all.indexOf(letter) === all.lastIndexOf(letter)).sort();
  return { inputs, output: `${left.includes('...') ? dots : ''}${once.join('')}` };
}
