/**
 * The part of an index that is known before a loop bears the name of the first array that is read or written there.
 *
 * Before: let base = lane * 1152                 After: let x_base = lane * 1152
 *         for s: … x[base + s]                          for s: … x[x_base + s]
 */
import type { Expr, Kernel, Stmt } from '../ir.ts';
import { RESERVED } from '../reserved.ts';
import { childrenOf, forEachStmt, mapExpr, namesIn, operandsOf, substitute } from '../walk.ts';

/** What such a part is called before this pass (index-map.ts). */
export const BASE = 'base';

export function nameBases(kernel: Kernel): Kernel {
  const arrays = firstArrays(kernel.body);
  if (!arrays.size) return kernel;
  const taken = namesIn(kernel);
  const names = new Map<string, string>();
  for (const [base, array] of arrays) {
    const name = unused(`${array}_base`, taken);
    taken.add(name);
    names.set(base, name);
  }
  const renamed = substitute(kernel.body, (expr) => {
    const name = expr.kind === 'name' ? names.get(expr.name) : undefined;
    return name && expr.kind === 'name' ? { ...expr, name } : expr;
  });
  return { ...kernel, body: withNames(renamed, names) };
}

/** Of each base, outermost first, the array that its first index is of. */
function firstArrays(body: readonly Stmt[]): Map<string, string> {
  const values = new Map<string, Expr>();
  const found = new Map<string, string>();
  const isBase = new RegExp(`^${BASE}(_\\d+)?$`);
  const note = (index: Expr, array: string): void => {
    mapExpr(index, (part) => {
      const value = part.kind === 'name' ? values.get(part.name) : undefined;
      if (value && part.kind === 'name' && !found.has(part.name)) {
        note(value, array);
        found.set(part.name, array);
      }
      return part;
    });
  };
  const read = (expr: Expr): void => {
    childrenOf(expr).forEach(read);
    if (expr.kind === 'load') note(expr.index, expr.buffer.name);
    if (expr.kind === 'shared') note(expr.index, expr.array.name);
    if (expr.kind === 'loadFragment') note(expr.offset, expr.array.name);
  };
  forEachStmt(body, (stmt) => {
    operandsOf(stmt).forEach(read);
    if (stmt.kind === 'let' && isBase.test(stmt.name)) values.set(stmt.name, stmt.value);
    if (stmt.kind === 'store') note(stmt.index, stmt.buffer.name);
    if (stmt.kind === 'storeShared') note(stmt.index, stmt.array.name);
    if (stmt.kind === 'storeFragment') note(stmt.offset, stmt.array.name);
  });
  return found;
}

const withNames = (stmts: readonly Stmt[], names: ReadonlyMap<string, string>): Stmt[] =>
  stmts.map((stmt): Stmt => {
    if (stmt.kind === 'let') return { ...stmt, name: names.get(stmt.name) ?? stmt.name };
    return 'body' in stmt ? { ...stmt, body: withNames(stmt.body, names) } : stmt;
  });

function unused(name: string, taken: ReadonlySet<string>): string {
  let free = name;
  for (let i = 1; RESERVED.has(free) || taken.has(free); i++) free = `${name}_${i}`;
  return free;
}
