/** Kernel IR as text, with the types that WGSL leaves out: for tests and errors. Shaders are written in target/wgsl.ts. */
import type { Expr, FragmentPlace, Kernel, Stmt } from './ir.ts';

export function printIr({ buffers, shared, workgroupSize, subgroupSize, grid, body }: Kernel): string {
  const subgroups = subgroupSize ? ` in subgroups of ${subgroupSize}` : '';
  return [
    `kernel of ${workgroupSize}${subgroups}, grid ${grid.join('×')} {`,
    ...buffers.map(({ name, dtype, elements, access, fours }) => {
      return `  ${access} ${name}: ${dtype}[${elements}]${fours ? (fours === true ? ' by fours' : ' or fours') : ''}`;
    }),
    ...shared.map(({ name, type, elements }) => `  shared ${name}: ${type}[${elements}]`),
    ...body.flatMap((stmt) => printStmt(stmt, '  ')),
    '}',
    '',
  ].join('\n');
}

export function printStmt(stmt: Stmt, indent = ''): string[] {
  const block = (head: string, body: readonly Stmt[]) => [
    `${indent}${head} {`,
    ...body.flatMap((inner) => printStmt(inner, `${indent}  `)),
    `${indent}}`,
  ];
  switch (stmt.kind) {
    case 'let':
      return [`${indent}let ${stmt.name}: ${stmt.value.type} = ${printExpr(stmt.value)}`];
    case 'var':
      return [`${indent}var ${stmt.variable.name}: ${stmt.variable.type} = ${printExpr(stmt.value)}`];
    case 'assign':
      return [`${indent}${stmt.variable.name} = ${printExpr(stmt.value)}`];
    case 'for':
      return block(`for ${stmt.index} < ${stmt.count}${stmt.rolled ? ' rolled' : ''}`, stmt.body);
    case 'if':
      return block(`if ${printExpr(stmt.condition)}`, stmt.body);
    case 'store':
      return [`${indent}${stmt.buffer.name}[${printExpr(stmt.index)}] = ${printExpr(stmt.value)}`];
    case 'storeShared':
      return [`${indent}${stmt.array.name}[${printExpr(stmt.index)}] = ${printExpr(stmt.value)}`];
    case 'storeFragment':
      return [`${indent}${fragmentText(stmt)} = ${printExpr(stmt.value)}`];
    case 'array':
      return [`${indent}array ${stmt.array.name}: ${stmt.array.type} = ${stmt.values.map(printExpr).join(', ')}`];
    case 'returnIf':
      return [`${indent}return if ${printExpr(stmt.condition)}`];
    case 'barrier':
      return [`${indent}barrier`];
    case 'comment':
      return [`${indent}// ${stmt.text}`];
  }
}

const fragmentText = ({ array, offset, stride, by }: FragmentPlace): string =>
  `${array.name}[${printExpr(offset)} by ${by} of ${printExpr(stride)}]`;

export function printExpr(expr: Expr): string {
  const list = (args: readonly Expr[]) => args.map(printExpr).join(', ');
  switch (expr.kind) {
    case 'literal':
      return String(expr.value);
    case 'name':
      return expr.name;
    case 'binary':
      return `(${printExpr(expr.a)} ${expr.op} ${printExpr(expr.b)})`;
    case 'call':
      return `${expr.fn}(${list(expr.args)})`;
    case 'op': {
      const attrs = Object.entries(expr.attrs).map(([name, value]) => `${name} = ${String(value)}`);
      return `${expr.op}(${list(expr.args)}${attrs.length ? `; ${attrs.join(', ')}` : ''})`;
    }
    case 'load':
      return `${expr.buffer.name}[${printExpr(expr.index)}]`;
    case 'shared':
      return `${expr.array.name}[${printExpr(expr.index)}]`;
    case 'component':
      return `${printExpr(expr.of)}.${expr.lane}`;
    case 'convert':
      return `${expr.type}(${printExpr(expr.of)})`;
    case 'fill':
      return String(expr.value);
    case 'loadFragment':
      return fragmentText(expr);
  }
}
