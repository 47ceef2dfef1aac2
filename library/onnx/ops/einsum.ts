/** Sums of products by the letters of their axes, of one operand or more: pair by pair, each a product of matrices. */
import type { Tensor } from '../../../compiler/dsl/index.ts';
import type { Call, Ops } from '../call.ts';

/** A tensor with a letter for each of its axes. */
interface Lettered {
  readonly x: Tensor;
  readonly letters: readonly string[];
}

function einsum(call: Call): Tensor {
  const equation = call.text('equation', '').replace(/\s/g, '');
  const [left, right] = equation.split('->');
  const terms = left.split(',');
  if (terms.length !== call.count) throw call.damaged(`${equation} is not of ${call.count} operands`);
  const operands = terms.map((term, i) => lettered(call, term, call.tensor(i)));
  const result = right === undefined ? once(operands) : expanded(right, dotsOf(operands));
  const all = operands.reduce((a, b, i) => {
    const later = operands.slice(i + 1).flatMap(({ letters }) => letters);
    return product(a, b, new Set([...result, ...later]));
  });
  const missing = result.find((letter) => !all.letters.includes(letter));
  if (missing) throw call.damaged(`${missing} of ${equation} is no axis of an operand`);
  const { x, letters } = summed(all, new Set(result));
  return x.permute(...result.map((letter) => letters.indexOf(letter)));
}

/** Axes under the dots are numbered from the last. */
const expanded = (term: string, dots: number): string[] =>
  term.split(/(\.\.\.|.)/).flatMap((letter) => {
    if (letter === '...') return Array.from({ length: dots }, (_, i) => String(dots - 1 - i));
    return letter ? [letter] : [];
  });

const dotsOf = (operands: readonly Lettered[]): number =>
  Math.max(...operands.map(({ letters }) => letters.filter((letter) => /\d/.test(letter)).length));

function lettered(call: Call, term: string, x: Tensor): Lettered {
  const letters = expanded(term, x.rank - term.replace('...', '').length);
  if (letters.length !== x.rank) throw call.damaged(`${term} is not of ${x.rank} axes`);
  if (new Set(letters).size === x.rank) return { x, letters };
  throw call.fail(`${term} names an axis twice`, undefined, 'take the diagonal by other ops');
}

/** Without an arrow: the axes under dots, then letters that stand once, in their order. */
function once(operands: readonly Lettered[]): string[] {
  const letters = operands.flatMap((operand) => operand.letters);
  const dots = Array.from({ length: dotsOf(operands) }, (_, i) => String(dotsOf(operands) - 1 - i));
  const single = letters.filter((letter) => !/\d/.test(letter) && letters.filter((own) => own === letter).length === 1);
  return [...dots, ...single.sort()];
}

/** Sums over axes that nobody wants. */
function summed({ x, letters }: Lettered, wanted: ReadonlySet<string>): Lettered {
  const axes = letters.flatMap((letter, i) => (wanted.has(letter) ? [] : [i]));
  return axes.length ? { x: x.sum(axes), letters: letters.filter((letter) => wanted.has(letter)) } : { x, letters };
}

/** Axes of both that are wanted are a batch, others of both the depth. */
function product(first: Lettered, second: Lettered, wanted: ReadonlySet<string>): Lettered {
  const a = summed(first, new Set([...wanted, ...second.letters]));
  const b = summed(second, new Set([...wanted, ...first.letters]));
  const shared = a.letters.filter((letter) => b.letters.includes(letter));
  const [batch, depth] = [true, false].map((isWanted) => shared.filter((letter) => wanted.has(letter) === isWanted));
  const own = (of: Lettered) => of.letters.filter((letter) => !shared.includes(letter));
  const sizes = (letters: readonly string[]) =>
    letters.map((letter) =>
      Math.max(...[a, b].map(({ x, letters: all }) => (all.includes(letter) ? x.shape[all.indexOf(letter)] : 1))),
    );
  const ordered = ({ x, letters }: Lettered, order: readonly string[], shape: readonly number[]) =>
    x
      .permute(...order.map((letter) => letters.indexOf(letter)))
      .broadcastTo(...sizes(order))
      .reshape(...shape);
  const count = (letters: readonly string[]) => sizes(letters).reduce((n, size) => n * size, 1);
  const [rows, columns] = [own(a), own(b)];
  const x = ordered(a, [...batch, ...rows, ...depth], [count(batch), count(rows), count(depth)]);
  const y = ordered(b, [...batch, ...depth, ...columns], [count(batch), count(depth), count(columns)]);
  const letters = [...batch, ...rows, ...columns];
  return { x: x.matmul(y).reshape(...sizes(letters)), letters };
}

export const sums: Ops = { Einsum: einsum };
