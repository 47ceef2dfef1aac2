/**
 * Memory that may be taken by fours is declared in fours where every access takes all of one, or a known place in it. Where one does
 * not, all are by element, fours too.
 *
 * Before: let v = x[four i]; y[i] = v.1                After: let v = x[i]; y[i] = v.1
 *         let v = z[four i]; y[i] = v.1 + z[j]                let v_y = z[4 i + 1]; y[i] = v_y + z[j]
 */
import type { Buffer, Expr, Kernel, Stmt } from '../ir.ts';
import { shapeOf } from '../types.ts';
import { forEachExpr, forEachStmt, mapExpr, namesIn, operandsOf, withOperands } from '../walk.ts';

type Load = Extract<Expr, { kind: 'load' }>;

export function vectorize(kernel: Kernel): Kernel {
  const { buffers, body } = kernel;
  if (buffers.every(({ fours }) => fours !== 'open')) return kernel;
  const single = takenSingly(body);
  const declared = new Map(buffers.map((buffer) => [buffer, declare(buffer, single.has(buffer))]));
  return { ...kernel, buffers: [...declared.values()], body: new Rewriting(kernel, declared).block(body) };
}

function declare(buffer: Buffer, isSingle: boolean): Buffer {
  if (buffer.fours !== 'open') return buffer;
  const { fours: _, ...plain } = buffer;
  return isSingle ? plain : { ...plain, fours: true };
}

/** Buffers of which an element is accessed by itself, or a fragment. */
function takenSingly(body: readonly Stmt[]): Set<Buffer> {
  const single = new Set<Buffer>();
  forEachExpr(body, (expr) => {
    if (expr.kind === 'load' && lanesOf(expr) === 1) single.add(expr.buffer);
    if (expr.kind === 'loadFragment' && 'access' in expr.array) single.add(expr.array);
  });
  forEachStmt(body, (stmt) => {
    if (stmt.kind === 'store' && lanesOf(stmt.value) === 1) single.add(stmt.buffer);
    if (stmt.kind === 'storeFragment' && 'access' in stmt.array) single.add(stmt.array);
  });
  return single;
}

const lanesOf = ({ type }: Expr): number => shapeOf(type).lanes;

class Rewriting {
  private readonly declared: ReadonlyMap<Buffer, Buffer>;
  /** Of names that stood for fours, and of what stands in their place: the elements. */
  private readonly byName = new Map<string, readonly Expr[]>();
  private readonly elements = new Map<Expr, readonly Expr[]>();

  private readonly taken: Set<string>;

  constructor(kernel: Kernel, declared: ReadonlyMap<Buffer, Buffer>) {
    this.declared = declared;
    this.taken = namesIn(kernel);
  }

  block = (stmts: readonly Stmt[]): Stmt[] => stmts.flatMap((stmt) => this.statement(stmt));

  private statement(stmt: Stmt): Stmt[] {
    const next = withOperands(
      stmt,
      operandsOf(stmt).map((expr) => mapExpr(expr, this.expr)),
    );
    if ('body' in next) return [{ ...next, body: this.block(next.body) }];
    if (next.kind === 'let') return this.named(next.name, next.value) ?? [next];
    return next.kind === 'store' ? this.stores(next) : [next];
  }

  private readonly expr = (expr: Expr): Expr => {
    if (expr.kind === 'load') return this.load(expr);
    if (expr.kind === 'component') return this.elements.get(expr.of)?.[expr.lane] ?? expr;
    const elements = expr.kind === 'name' ? this.byName.get(expr.name) : undefined;
    return elements ? this.four(expr, elements) : expr;
  };

  private load(load: Load): Expr {
    const buffer = this.declared.get(load.buffer) ?? load.buffer;
    if (buffer.fours || lanesOf(load) === 1) return { ...load, buffer };
    const type = shapeOf(load.type).of;
    return this.four(
      load,
      places(load.index).map((index) => ({ ...load, buffer, index, type })),
    );
  }

  /** A vector of elements, which are known from then on. */
  private four({ id, level, type }: Expr, elements: readonly Expr[]): Expr {
    const made = { id, level, type, kind: 'call', fn: 'vec4f', args: elements } as const;
    this.elements.set(made, elements);
    return made;
  }

  /** A name for each element of a four: those that nothing reads go later. */
  private named(name: string, value: Expr): Stmt[] | undefined {
    const elements = this.elements.get(value);
    if (!elements) return undefined;
    const names = elements.map((_, u) => this.fresh(`${name}_${'xyzw'[u]}`));
    this.byName.set(
      name,
      elements.map(({ id, level, type }, u) => ({ kind: 'name', name: names[u], type, id, level })),
    );
    return elements.map((value, u) => ({ kind: 'let', name: names[u], value }));
  }

  private fresh(name: string): string {
    const free = this.taken.has(name) ? this.fresh(`${name}_`) : name;
    this.taken.add(free);
    return free;
  }

  private stores(store: Extract<Stmt, { kind: 'store' }>): Stmt[] {
    const buffer = this.declared.get(store.buffer) ?? store.buffer;
    const { value } = store;
    if (buffer.fours || lanesOf(value) === 1) return [{ ...store, buffer }];
    return places(store.index).map((index, u) => ({ ...store, buffer, index, value: this.elementOf(value, u) }));
  }

  private elementOf(value: Expr, lane: number): Expr {
    const { id, level, type } = value;
    const known = value.kind === 'call' && value.args.length === 4 ? value.args : this.elements.get(value);
    return known?.[lane] ?? { kind: 'component', of: value, lane, type: shapeOf(type).of, id, level };
  }
}

/** Where the elements of a four lie. */
const places = (four: Expr): Expr[] => [0, 1, 2, 3].map((u) => plus(fourTimes(four), u));

const literal = ({ id, level, type }: Expr, value: number): Expr => ({ kind: 'literal', value, id, level, type });

function fourTimes(index: Expr): Expr {
  if (index.kind === 'literal') return literal(index, Number(index.value) * 4);
  if (index.kind !== 'binary') return binary('*', index, literal(index, 4));
  const { op, a, b } = index;
  if (op === '+') return { ...index, a: fourTimes(a), b: fourTimes(b) };
  return op === '*' && b.kind === 'literal' ? { ...index, b: fourTimes(b) } : binary('*', index, literal(index, 4));
}

function plus(index: Expr, more: number): Expr {
  if (more === 0) return index;
  if (index.kind === 'literal') return literal(index, Number(index.value) + more);
  const isOffset = index.kind === 'binary' && index.op === '+' && index.b.kind === 'literal';
  return isOffset ? { ...index, b: plus(index.b, more) } : binary('+', index, literal(index, more));
}

const binary = (op: '+' | '*', a: Expr, b: Expr): Expr => ({ kind: 'binary', op, a, b, type: a.type, id: a.id, level: a.level }); // prettier-ignore
