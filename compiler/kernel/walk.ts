/** Walking over kernel IR: what a statement or an expression is made of. */
import type { Expr, Kernel, Stmt } from './ir.ts';

export function childrenOf(expr: Expr): readonly Expr[] {
  switch (expr.kind) {
    case 'binary':
      return [expr.a, expr.b];
    case 'call':
    case 'op':
      return expr.args;
    case 'load':
    case 'shared':
      return [expr.index];
    case 'component':
    case 'convert':
      return [expr.of];
    case 'loadFragment':
      return [expr.offset, expr.stride];
    case 'literal':
    case 'name':
    case 'fill':
      return [];
  }
}

/** The expressions that a statement reads itself, without those of the statements in it. */
export function operandsOf(stmt: Stmt): readonly Expr[] {
  switch (stmt.kind) {
    case 'let':
    case 'var':
    case 'assign':
      return [stmt.value];
    case 'if':
    case 'returnIf':
      return [stmt.condition];
    case 'store':
    case 'storeShared':
      return [stmt.index, stmt.value];
    case 'storeFragment':
      return [stmt.offset, stmt.stride, stmt.value];
    case 'array':
      return stmt.values;
    case 'for':
    case 'barrier':
    case 'comment':
      return [];
  }
}

/** The same with other operands, in the order of `childrenOf`; itself where all are what they were. */
export function withChildren(expr: Expr, children: readonly Expr[]): Expr {
  const before = childrenOf(expr);
  if (before.every((child, i) => child === children[i])) return expr;
  const [a, b] = children;
  switch (expr.kind) {
    case 'binary':
      return { ...expr, a, b };
    case 'call':
    case 'op':
      return { ...expr, args: children };
    case 'load':
    case 'shared':
      return { ...expr, index: a };
    case 'component':
    case 'convert':
      return { ...expr, of: a };
    case 'loadFragment':
      return { ...expr, offset: a, stride: b };
    default:
      return expr;
  }
}

/** A statement with other operands, in the order of `operandsOf`. */
export function withOperands(stmt: Stmt, operands: readonly Expr[]): Stmt {
  const [a, b, c] = operands;
  switch (stmt.kind) {
    case 'let':
    case 'var':
    case 'assign':
      return { ...stmt, value: a };
    case 'if':
    case 'returnIf':
      return { ...stmt, condition: a };
    case 'store':
    case 'storeShared':
      return { ...stmt, index: a, value: b };
    case 'storeFragment':
      return { ...stmt, offset: a, stride: b, value: c };
    case 'array':
      return { ...stmt, values: operands };
    default:
      return stmt;
  }
}

/** Calls `visit` with all expressions of statements and of those in them, inner ones last. */
export function forEachExpr(stmts: readonly Stmt[], visit: (expr: Expr) => void): void {
  const walk = (expr: Expr): void => {
    visit(expr);
    childrenOf(expr).forEach(walk);
  };
  for (const stmt of stmts) {
    operandsOf(stmt).forEach(walk);
    if ('body' in stmt) forEachExpr(stmt.body, visit);
  }
}

/** Calls `visit` with all statements and those in them, outer ones first. */
export function forEachStmt(stmts: readonly Stmt[], visit: (stmt: Stmt) => void): void {
  for (const stmt of stmts) {
    visit(stmt);
    if ('body' in stmt) forEachStmt(stmt.body, visit);
  }
}

/** Whether it is done by all of a subgroup together: where it is written, it stays. */
export const isCollective = (expr: Expr): boolean =>
  expr.kind === 'loadFragment' ||
  (expr.kind === 'call' && (expr.fn.startsWith('subgroup') || expr.fn === 'multiplyAccumulate'));

/** Whether it holds of an expression or of what it is made of. */
export const some = (expr: Expr, holds: (expr: Expr) => boolean): boolean =>
  holds(expr) || childrenOf(expr).some((child) => some(child, holds));

/** An expression with each of its parts, innermost first, as `change` has it. */
export const mapExpr = (expr: Expr, change: (expr: Expr) => Expr): Expr =>
  change(
    withChildren(
      expr,
      childrenOf(expr).map((child) => mapExpr(child, change)),
    ),
  );

/** Names as what they stand for. */
export const named =
  (values: ReadonlyMap<string, Expr>) =>
  (expr: Expr): Expr =>
    (expr.kind === 'name' && values.get(expr.name)) || expr;

/** Statements, and those in them, with each expression as `change` has it. */
export const substitute = (stmts: readonly Stmt[], change: (expr: Expr) => Expr): Stmt[] =>
  stmts.map((stmt) => {
    const changed = withOperands(
      stmt,
      operandsOf(stmt).map((expr) => mapExpr(expr, change)),
    );
    return 'body' in changed ? { ...changed, body: substitute(changed.body, change) } : changed;
  });

/** All names that a kernel gives. */
export function namesIn({ buffers, shared, body }: Kernel): Set<string> {
  const found = new Set([...buffers, ...shared].map(({ name }) => name));
  forEachStmt(body, (stmt) => {
    if (stmt.kind === 'let') found.add(stmt.name);
    if (stmt.kind === 'var') found.add(stmt.variable.name);
    if (stmt.kind === 'array') found.add(stmt.array.name);
    if (stmt.kind === 'for') found.add(stmt.index);
  });
  return found;
}

/** The names of variables: what they hold changes. */
export function variablesIn(stmts: readonly Stmt[], found = new Set<string>()): Set<string> {
  for (const stmt of stmts) {
    if (stmt.kind === 'var') found.add(stmt.variable.name);
    if ('body' in stmt) variablesIn(stmt.body, found);
  }
  return found;
}

/**
 * Whether an expression is the same wherever its names are known: nothing in it is done by a subgroup together, or comes from memory
 * that invocations write or from variables.
 */
export const isSteady = (expr: Expr, variables: ReadonlySet<string>): boolean =>
  !some(
    expr,
    (part) =>
      isCollective(part) ||
      part.kind === 'shared' ||
      (part.kind === 'load' && part.buffer.access === 'read_write') ||
      (part.kind === 'name' && variables.has(part.name)),
  );
