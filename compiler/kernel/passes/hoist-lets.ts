/**
 * What is the same in every round of a loop is computed before it. A loop has at least one round, so nothing is computed that would not
 * be; what stands under a condition stays there, with what it reads.
 *
 * Before: for k < 4 { let a = x[lane]; … }       After: let a = x[lane]; for k < 4 { … }
 */
import type { Kernel, Stmt } from '../ir.ts';
import { isSteady, operandsOf, some, variablesIn } from '../walk.ts';

export const hoistLets = (kernel: Kernel): Kernel => {
  const variables = variablesIn(kernel.body);
  return { ...kernel, body: hoisted(kernel.body, variables) };
};

const hoisted = (stmts: readonly Stmt[], variables: ReadonlySet<string>): Stmt[] =>
  stmts.flatMap((stmt) => {
    if (!('body' in stmt)) return [stmt];
    const body = hoisted(stmt.body, variables);
    if (stmt.kind !== 'for') return [{ ...stmt, body }];
    const inside = new Set([stmt.index, ...body.flatMap(namesOf)]);
    const [before, rest]: Stmt[][] = [[], []];
    for (const inner of body) {
      const isSame = inner.kind === 'let' && isSteady(inner.value, variables) && !reads(inner, inside);
      if (isSame) inside.delete(inner.name);
      (isSame ? before : rest).push(inner);
    }
    return [...before, { ...stmt, body: rest }];
  });

const namesOf = (stmt: Stmt): string[] => (stmt.kind === 'let' ? [stmt.name] : []);

const reads = (stmt: Stmt, names: ReadonlySet<string>): boolean =>
  operandsOf(stmt).some((expr) => some(expr, (part) => part.kind === 'name' && names.has(part.name)));
