/** WGSL text of a kernel. The only place where shader text is written. */
import type { DType } from '../ir/index.ts';
import { literal, opDef, SPECIAL_NUMBERS } from '../ops/index.ts';
import type { Buffer, Expr, Kernel, Stmt } from '../kernel/ir.ts';
import { childrenOf } from '../kernel/prune.ts';

/** The shader; `header` lines become comments at its top. */
export function printKernel(kernel: Kernel, header: readonly string[]): string {
  const body = kernel.body.flatMap((stmt) => printStmt(stmt, '  '));
  const lines = [
    ...header.map((line) => `// ${line}`.trimEnd()),
    ...featuresOf(kernel).map((feature) => `enable ${feature === 'shader-f16' ? 'f16' : feature};`),
    '',
    ...kernel.buffers.map(printBinding),
    ...kernel.shared.map((a) => `var<workgroup> ${a.name}: array<f32, ${a.elements}>;`),
    ...helpersOf(kernel, body.join('\n')),
    '',
    `@compute @workgroup_size(${kernel.workgroupSize})`,
    `fn main(@builtin(workgroup_id) group: vec3u, @builtin(${laneBuiltin(kernel)}) lane: u32) {`,
    // Unrolled, an epilogue of 48 elements takes lavapipe's LLVM nine times longer to compile (4.0 s against 0.45 s).
    ...(hasRolledLoop(kernel.body)
      ? ['  let zero = group.z >> 31u;  // unknown to the driver: loops stay rolled']
      : []),
    ...(body.some((line) => NOUGHT.test(line))
      ? [
          '  let nought = bitcast<f32>(group.z >> 31u);  // 0; of products with a 0 that drivers know NaN and ∞ are lost',
        ]
      : []),
    ...body,
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
      return literal(expr.value, expr.type as DType);
    case 'name':
      return expr.name;
    case 'binary':
      return printBinary(expr.op, expr.a, expr.b);
    case 'call':
      return `${expr.fn}(${expr.args.map(top).join(', ')})`;
    case 'op': {
      // Each operand is printed once: twice would double the work at every level of a long chain.
      const args = expr.args.map((arg) => printOperand(expr.op, arg));
      const code = opDef(expr.op).wgsl!;
      if (expr.type === 'vec4u') return code.vector!(args);
      const inputs = expr.args.map((arg) => arg.type as DType);
      return code.expression(args, { output: expr.type as DType, inputs, attrs: expr.attrs });
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

/** The name of a float zero that drivers do not know. */
const NOUGHT = /\bnought\b/;

function printOperand(op: string, arg: Expr): string {
  const isZero = arg.kind === 'literal' && arg.type === 'f32' && arg.value === 0;
  const text = isZero && opDef(op).wgsl!.hidesZeros ? (Object.is(arg.value, -0) ? '-nought' : 'nought') : print(arg);
  return text.startsWith('-') ? `(${text})` : text;
}

/** Helper functions of the ops used, and of numbers without a literal, that the text or another of them calls. */
function helpersOf(kernel: Kernel, body: string): string[] {
  const functions = new Map<string, string>();
  const offer = (text: string) => splitFunctions(text).forEach((fn) => functions.set(/fn (\w+)/.exec(fn)![1], fn));
  const visit = (expr: Expr): void => {
    if (expr.kind === 'op') offer(opDef(expr.op).wgsl!.helper ?? '');
    childrenOf(expr).forEach(visit);
  };
  offer(SPECIAL_NUMBERS);
  forEachExpr(kernel.body, visit);
  const calls = (text: string, name: string) => new RegExp(`\\b${name}\\(`).test(text);
  const needed = new Set<string>();
  const need = (text: string): void => {
    for (const [name, fn] of functions) {
      if (needed.has(name) || !calls(text, name)) continue;
      needed.add(name);
      need(fn);
    }
  };
  need(body);
  return [...functions].flatMap(([name, fn]) => (needed.has(name) ? [fn.trimEnd()] : []));
}

/** A function begins with the variable that it reads, if any. */
const splitFunctions = (text: string): string[] =>
  text.split(/(?<=^}\n)/m).flatMap((part) => (part.includes('fn ') ? [part.trim()] : []));

function forEachExpr(stmts: readonly Stmt[], visit: (expr: Expr) => void): void {
  for (const stmt of stmts) {
    if ('value' in stmt) visit(stmt.value);
    if ('index' in stmt && typeof stmt.index !== 'string') visit(stmt.index);
    if ('condition' in stmt) visit(stmt.condition);
    if (stmt.kind === 'array') stmt.values.forEach(visit);
    if ('body' in stmt) forEachExpr(stmt.body, visit);
  }
}
