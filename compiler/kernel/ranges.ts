/**
 * Between which numbers an index lies: from the sizes of the grid and of the workgroup, the rounds of loops, and the conditions that it
 * stands under.
 */
import type { BinaryOp, Expr, Kernel, Stmt } from './ir.ts';

/** Least and most, both included. */
export type Range = readonly [least: number, most: number];

const MOST = 2 ** 32 - 1;
/** What a u32 may be. */
export const ANY: Range = [0, MOST];

/** What is known of names where a statement stands. */
export class Ranges {
  private readonly known: ReadonlyMap<string, Range>;
  /** Names of variables: what is known of one does not stay so. */
  private readonly variables: ReadonlySet<string>;

  private constructor(known: ReadonlyMap<string, Range>, variables: ReadonlySet<string> = new Set()) {
    this.known = known;
    this.variables = variables;
  }

  static of({ workgroupSize, grid: [x, y, z] }: Pick<Kernel, 'workgroupSize' | 'grid'>): Ranges {
    const sizes = { lane: workgroupSize, 'group.x': x, 'group.y': y, 'group.z': z };
    return new Ranges(new Map(Object.entries(sizes).map(([name, size]) => [name, [0, size - 1]])));
  }

  /** Whatever the grid: kernels are shared between grids (emit/sharing.ts), and would not be if what they say depended on one. */
  static inWorkgroup(size: number): Ranges {
    return new Ranges(new Map([['lane', [0, size - 1]]]));
  }

  private with(name: string, range: Range): Ranges {
    return this.variables.has(name) ? this : new Ranges(new Map([...this.known, [name, range]]), this.variables);
  }

  /** After a statement: a `let` says what its name is, a return that its condition does not hold. */
  after(stmt: Stmt): Ranges {
    if (stmt.kind === 'var') return new Ranges(this.known, new Set([...this.variables, stmt.variable.name]));
    if (stmt.kind === 'let' && stmt.value.type === 'u32') return this.with(stmt.name, this.rangeOf(stmt.value));
    return stmt.kind === 'returnIf' ? this.given(stmt.condition, false) : this;
  }

  /** Inside of a loop or a condition. */
  inside(stmt: Stmt): Ranges {
    if (stmt.kind === 'for') return this.with(stmt.index, [0, stmt.count - 1]);
    return stmt.kind === 'if' ? this.given(stmt.condition, true) : this;
  }

  /** Where a condition holds, or does not: of names that it compares with numbers. */
  given(condition: Expr, holds: boolean): Ranges {
    if (condition.kind !== 'binary') return this;
    const { op, a, b } = condition;
    if (op === (holds ? '&&' : '||')) return this.given(a, holds).given(b, holds);
    if (a.kind !== 'name' || a.type !== 'u32' || b.type !== 'u32') return this;
    const limits = between(holds ? op : OPPOSITE[op], this.rangeOf(b));
    const [least, most] = this.rangeOf(a);
    return limits ? this.with(a.name, [Math.max(least, limits[0]), Math.min(most, limits[1])]) : this;
  }

  /** Of a u32; what may wrap around may be anything. */
  rangeOf(expr: Expr): Range {
    if (expr.type !== 'u32') return ANY;
    switch (expr.kind) {
      case 'literal':
        return [Number(expr.value), Number(expr.value)];
      case 'name':
        return this.known.get(expr.name) ?? ANY;
      case 'binary':
        return calculated(expr.op, this.rangeOf(expr.a), this.rangeOf(expr.b));
      case 'call':
        return this.ofCall(expr.fn, expr.args);
      default:
        return ANY;
    }
  }

  private ofCall(fn: string, args: readonly Expr[]): Range {
    const [[a, b], [c, d]] = [args[0], args[1] ?? args[0]].map((arg) => this.rangeOf(arg));
    if (fn === 'min') return [Math.min(a, c), Math.min(b, d)];
    if (fn === 'max') return [Math.max(a, c), Math.max(b, d)];
    return fn === 'select' ? [Math.min(a, c), Math.max(b, d)] : ANY;
  }

  /** Whether a condition holds always (true) or never (false); undefined where that depends. */
  truth(condition: Expr): boolean | undefined {
    if (condition.kind === 'literal') return Boolean(condition.value);
    if (condition.kind !== 'binary') return undefined;
    const { op, a, b } = condition;
    if (op === '&&' || op === '||') {
      const sides = [this.truth(a), this.truth(b)];
      const decides = op === '||';
      return sides.includes(decides) ? decides : sides.includes(undefined) ? undefined : !decides;
    }
    if (a.type !== 'u32' || b.type !== 'u32') return undefined;
    const [x, y] = [this.rangeOf(a), this.rangeOf(b)];
    const lies = between(op, y);
    if (!lies) return undefined;
    // All of one range must compare with all of the other.
    const [least, most] = always(op, y);
    if (x[0] >= least && x[1] <= most) return true;
    return x[1] < lies[0] || x[0] > lies[1] ? false : undefined;
  }
}

const OPPOSITE: Partial<Record<BinaryOp, BinaryOp>> = { '<': '>=', '<=': '>', '>': '<=', '>=': '<' };

/** Where a number lies that compares so with one of a range. */
function between(op: BinaryOp | undefined, [least, most]: Range): Range | undefined {
  if (op === '<') return [0, most - 1];
  if (op === '<=') return [0, most];
  if (op === '>') return [least + 1, MOST];
  if (op === '>=') return [least, MOST];
  return op === '==' ? [least, most] : undefined;
}

/** Where it lies if it compares so with each of them. */
function always(op: BinaryOp, [least, most]: Range): Range {
  if (op === '<') return [0, least - 1];
  if (op === '<=') return [0, least];
  if (op === '>') return [most + 1, MOST];
  if (op === '>=') return [most, MOST];
  return least === most ? [least, most] : [1, 0];
}

function calculated(op: BinaryOp, [a, b]: Range, [c, d]: Range): Range {
  const exact = (least: number, most: number): Range => (least < 0 || most > MOST ? ANY : [least, most]);
  switch (op) {
    case '+':
      return exact(a + c, b + d);
    case '-':
      return exact(a - d, b - c);
    case '*':
      return exact(a * c, b * d);
    case '/':
      return c > 0 ? [Math.floor(a / d), Math.floor(b / c)] : ANY;
    case '%':
      return c > 0 ? (b < c ? [a, b] : [0, Math.min(b, d - 1)]) : ANY;
    default:
      return ANY;
  }
}
