/** WGSL text of a kernel. The only place where shader text is written. */
import type { DType } from '../ir/index.ts';
import { opDef } from '../ops/index.ts';
import type { Buffer, Expr, Kernel, Stmt, ValueType } from '../kernel/ir.ts';
import { childrenOf } from '../kernel/prune.ts';

const MAX_F32 = 3.4028234663852886e38;

/** The shader; `header` lines become comments at its top. */
export function printKernel(kernel: Kernel, header: readonly string[]): string {
  const lines = [
    ...header.map((line) => `// ${line}`.trimEnd()),
    ...featuresOf(kernel).map((feature) => `enable ${feature === 'shader-f16' ? 'f16' : feature};`),
    '',
    ...kernel.buffers.map(printBinding),
    ...kernel.shared.map((a) => `var<workgroup> ${a.name}: array<f32, ${a.elements}>;`),
    ...[...helpersOf(kernel)].map((helper) => helper.trimEnd()),
    '',
    `@compute @workgroup_size(${kernel.workgroupSize})`,
    `fn main(@builtin(workgroup_id) group: vec3u, @builtin(${laneBuiltin(kernel)}) lane: u32) {`,
    // Unrolled, an epilogue of 48 elements takes lavapipe's LLVM nine times longer to compile (4.0 s against 0.45 s).
    ...(hasRolledLoop(kernel.body)
      ? ['  let zero = group.z >> 31u;  // unknown to the driver: loops stay rolled']
      : []),
    ...kernel.body.flatMap((stmt) => printStmt(stmt, '  ')),
    '}',
    '',
  ];
  return lines.join('\n');
}

const hasRolledLoop = (stmts: readonly Stmt[]): boolean =>
  stmts.some((s) => (s.kind === 'for' && s.rolled) || ('body' in s && hasRolledLoop(s.body)));

/** A kernel of one subgroup numbers its lanes as the subgroup does: broadcasts address them by that number. */
const laneBuiltin = (kernel: Kernel) => (kernel.usesSubgroups ? 'subgroup_invocation_id' : 'local_invocation_index');

export function featuresOf(kernel: Kernel): string[] {
  const features: string[] = [];
  if (kernel.usesSubgroups) features.push('subgroups');
  if (kernel.buffers.some((b) => b.dtype === 'f16')) features.push('shader-f16');
  return features;
}

const memoryType = (dtype: DType): string => (dtype === 'bool' ? 'u32' : dtype);

function printBinding(buffer: Buffer, i: number): string {
  const { name, access, dtype, fours, elements } = buffer;
  const of = fours ? 'vec4f' : memoryType(dtype);
  const length = buffer.unsized ? '' : `, ${fours ? elements / 4 : elements}`;
  return `@group(0) @binding(${i}) var<storage, ${access}> ${name}: array<${of}${length}>;`;
}

function printStmt(stmt: Stmt, indent: string): string[] {
  const block = (head: string, body: readonly Stmt[]) => [
    `${indent}${head} {`,
    ...body.flatMap((s) => printStmt(s, `${indent}  `)),
    `${indent}}`,
  ];
  switch (stmt.kind) {
    case 'let':
      return [`${indent}let ${stmt.name} = ${top(stmt.value)};`];
    case 'var':
      return [`${indent}var ${stmt.variable.name}: ${stmt.variable.type} = ${top(stmt.value)};`];
    case 'assign':
      return [indent + printAssign(stmt.variable.name, stmt.value)];
    case 'for':
      return block(`for (var ${stmt.index} = 0u; ${stmt.index} < ${countOf(stmt)}; ${stmt.index}++)`, stmt.body);
    case 'if':
      return block(`if (${top(stmt.condition)})`, stmt.body);
    case 'store':
      return [`${indent}${stmt.buffer.name}[${top(stmt.index)}] = ${toMemory(stmt.buffer.dtype, top(stmt.value))};`];
    case 'storeShared':
      return [`${indent}${stmt.array.name}[${top(stmt.index)}] = ${top(stmt.value)};`];
    case 'array':
      return printArray(stmt.array.name, stmt.values.map(print), indent);
    case 'returnIf':
      return [`${indent}if (${top(stmt.condition)}) { return; }`];
    case 'barrier':
      return [`${indent}workgroupBarrier();`];
    case 'comment':
      return [`${indent}// ${stmt.text}`];
  }
}

const countOf = ({ count, rolled }: Stmt & { kind: 'for' }) => (rolled ? `${count}u + zero` : `${count}u`);

/** `x += y` where the value is the variable plus something. */
function printAssign(name: string, value: Expr): string {
  if (value.kind === 'binary' && value.op === '+' && value.a.kind === 'name' && value.a.name === name) {
    return `${name} += ${top(value.b)};`;
  }
  return `${name} = ${top(value)};`;
}

function printArray(name: string, values: string[], indent: string): string[] {
  const rows: string[] = [];
  for (let i = 0; i < values.length; i += 8) rows.push(`${indent}  ${values.slice(i, i + 8).join(', ')},`);
  return [`${indent}var ${name} = array<f32, ${values.length}>(`, ...rows, `${indent});`];
}

function toMemory(dtype: DType, value: string): string {
  if (dtype === 'f16') return `f16(${value})`;
  return dtype === 'bool' ? `select(0u, 1u, ${value})` : value;
}

function fromMemory(dtype: DType, value: string): string {
  if (dtype === 'f16') return `f32(${value})`;
  return dtype === 'bool' ? `(${value} != 0u)` : value;
}

/** An expression where no parentheses are needed around it. */
function top(expr: Expr): string {
  const text = print(expr);
  return isWrapped(text) ? text.slice(1, -1) : text;
}

/** Whether the first parenthesis closes at the very end. */
function isWrapped(text: string): boolean {
  if (!text.startsWith('(')) return false;
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '(') depth++;
    else if (text[i] === ')' && --depth === 0) return i === text.length - 1;
  }
  return false;
}

function print(expr: Expr): string {
  switch (expr.kind) {
    case 'literal':
      return printLiteral(expr.value, expr.type);
    case 'name':
      return expr.name;
    case 'binary':
      return printBinary(expr.op, expr.a, expr.b);
    case 'call':
      return `${expr.fn}(${expr.args.map(top).join(', ')})`;
    case 'op': {
      // Each operand is printed once: twice would double the work at every level of a long chain.
      const args = expr.args.map(print).map((text) => (text.startsWith('-') ? `(${text})` : text));
      const code = opDef(expr.op).wgsl!;
      if (expr.type === 'vec4u') return code.vector!(args);
      return code.expression(args, { output: expr.type as DType, attrs: expr.attrs });
    }
    case 'load':
      return fromMemory(expr.buffer.dtype, `${expr.buffer.name}[${top(expr.index)}]`);
    case 'shared':
      return `${expr.array.name}[${top(expr.index)}]`;
    case 'component':
      return `${print(expr.of)}.${'xyzw'[expr.lane]}`;
    case 'convert':
      return `${expr.type}(${top(expr.of)})`;
  }
}

/** Products bind tighter than sums and sums of one kind associate, so index sums read without nested parentheses. */
function printBinary(op: string, a: Expr, b: Expr): string {
  const [left, right] = [print(a), print(b)];
  if (op === '+') return `(${bare(left, a, ['+', '*'])} + ${bare(right, b, ['*'])})`;
  return `(${left} ${op} ${right})`;
}

const bare = (text: string, expr: Expr, ops: string[]): string =>
  expr.kind === 'binary' && ops.includes(expr.op) && isWrapped(text) ? text.slice(1, -1) : text;

export function printLiteral(value: number | boolean, type: ValueType): string {
  if (typeof value === 'boolean') return String(value);
  if (type === 'u32') return `${value}u`;
  if (type === 'i32') return value < 0 ? `i32(${value})` : `${value}i`;
  const bounded = Math.max(-MAX_F32, Math.min(MAX_F32, value));
  const target = Math.fround(bounded);
  for (let digits = 1; digits < 17; digits++) {
    const text = bounded.toPrecision(digits);
    // WGSL rejects a literal above the largest float even where rounding would bring it back.
    if (Math.fround(Number(text)) === target && Math.abs(Number(text)) <= MAX_F32)
      return withPoint(String(Number(text)));
  }
  return withPoint(String(target));
}

const withPoint = (text: string): string => (/[.e]/.test(text) ? text.replace('e+', 'e') : `${text}.0`);

/** Helper functions of the pointwise ops used, each once. */
function helpersOf(kernel: Kernel): Set<string> {
  const functions = new Map<string, string>();
  const visit = (expr: Expr): void => {
    if (expr.kind === 'op') {
      for (const fn of splitFunctions(opDef(expr.op).wgsl!.helper ?? '')) functions.set(/fn (\w+)/.exec(fn)![1], fn);
    }
    childrenOf(expr).forEach(visit);
  };
  forEachExpr(kernel.body, visit);
  return new Set(functions.values());
}

const splitFunctions = (text: string): string[] => text.split(/^(?=fn )/m).filter((part) => part.startsWith('fn '));

function forEachExpr(stmts: readonly Stmt[], visit: (expr: Expr) => void): void {
  for (const stmt of stmts) {
    if ('value' in stmt) visit(stmt.value);
    if ('index' in stmt && typeof stmt.index !== 'string') visit(stmt.index);
    if ('condition' in stmt) visit(stmt.condition);
    if (stmt.kind === 'array') stmt.values.forEach(visit);
    if ('body' in stmt) forEachExpr(stmt.body, visit);
  }
}
