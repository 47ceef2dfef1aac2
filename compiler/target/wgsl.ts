/** WGSL text of a kernel. The only place where shader text is written. */
import type { SubgroupMatrixShape } from '../device.ts';
import type { DType } from '../ir/index.ts';
import { literal, opDef, SPECIAL_NUMBERS } from '../ops/index.ts';
import type { Buffer, ElementType, Expr, FragmentPlace, Kernel, SharedArray, Stmt, ValueType } from '../kernel/ir.ts';
import { isFragment, shapeOf, vec } from '../kernel/types.ts';
import { forEachExpr } from '../kernel/walk.ts';

/** The shader; `header` lines become comments at its top. */
export function printKernel(kernel: Kernel, header: readonly string[]): string {
  const body = kernel.body.flatMap((stmt) => printStmt(stmt, '  '));
  const lines = [
    ...header.map((line) => `// ${line}`.trimEnd()),
    ...enabled(kernel),
    '',
    ...kernel.buffers.map(printBinding),
    ...kernel.shared.map((a) => `var<workgroup> ${a.name}: array<${wgslType(a.type)}, ${a.elements}>;`),
    ...helpersOf(kernel, body.join('\n')),
    '',
    `@compute @workgroup_size(${kernel.workgroupSize})${kernel.subgroupSized ? ` @subgroup_size(${kernel.subgroupSize})` : ''}`,
    `fn main(@builtin(workgroup_id) group: vec3u, ${laneParameters(kernel)}) {`,
    ...(isDealt(kernel) ? [laneOf(kernel)] : []),
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

/** Whether a workgroup has several subgroups. WGSL does not say which invocations, by their number, make one: subgroups are asked which they are. */
const isDealt = ({ usesSubgroups, subgroupSize }: Kernel): boolean => usesSubgroups && subgroupSize !== undefined;

/** A kernel of one subgroup numbers its lanes as the subgroup does: broadcasts address them by that number. */
function laneParameters(kernel: Kernel): string {
  if (isDealt(kernel)) return '@builtin(subgroup_id) subgroup: u32, @builtin(subgroup_invocation_id) place: u32';
  return `@builtin(${kernel.usesSubgroups ? 'subgroup_invocation_id' : 'local_invocation_index'}) lane: u32`;
}

/** The invocation's number, by which subgroup i has those from i·size on. Compilers are told how large it is: they then know that what it indexes is inside. */
const laneOf = ({ workgroupSize, subgroupSize }: Kernel): string =>
  `  let lane = min(subgroup * ${subgroupSize}u + place, ${workgroupSize - 1}u);`;

export function featuresOf(kernel: Kernel): string[] {
  const features: string[] = [];
  if (kernel.usesSubgroups) features.push('subgroups');
  const halves = [...kernel.buffers.map(({ dtype }) => dtype), ...kernel.shared.map(({ type }) => shapeOf(type).of)];
  if (halves.includes('f16') || typesIn(kernel).some((type) => shapeOf(type).of === 'f16')) features.push('shader-f16');
  if (typesIn(kernel).some(isFragment)) features.push('chromium-experimental-subgroup-matrix');
  if (kernel.subgroupSized) features.push('subgroup-size-control');
  return features;
}

/** The shapes that a kernel multiplies on matrix units. */
export function matrixShapesOf(kernel: Kernel): SubgroupMatrixShape[] {
  const shapes = new Map<string, SubgroupMatrixShape>();
  forEachExpr(kernel.body, (expr) => {
    if (expr.kind !== 'call' || expr.fn !== 'multiplyAccumulate') return;
    const [left, right, sum] = expr.args.map(({ type }) => shapeOf(type));
    const { rows: M, columns: K } = left.fragment!;
    const { of: componentType } = left;
    const shape = { componentType, resultComponentType: sum.of, M, N: right.fragment!.columns, K };
    shapes.set(JSON.stringify(shape), shape);
  });
  return [...shapes.values()];
}

/** What WGSL calls the features that it has to be told of; and that fragments lie where all of a subgroup agree, kernel/verify.ts has seen to. */
function enabled(kernel: Kernel): string[] {
  const features = featuresOf(kernel);
  const words = features.map((feature) => (feature === 'shader-f16' ? 'f16' : feature.replaceAll('-', '_')));
  const hasFragments = features.includes('chromium-experimental-subgroup-matrix');
  return [
    ...words.map((word) => `enable ${word};`),
    ...(isDealt(kernel) ? ['requires subgroup_id;'] : []),
    ...(hasFragments ? ['diagnostic(off, chromium.subgroup_matrix_uniformity);'] : []),
  ];
}

function typesIn(kernel: Kernel): ValueType[] {
  const types = new Set<ValueType>();
  forEachExpr(kernel.body, ({ type }) => types.add(type));
  return [...types];
}

function wgslType(type: ValueType): string {
  const { of, lanes, fragment } = shapeOf(type);
  if (fragment) return `subgroup_matrix_${fragment.use}<${of}, ${fragment.columns}, ${fragment.rows}>`;
  return of === 'bool' && lanes > 1 ? `vec${lanes}<bool>` : type;
}

function printBinding(buffer: Buffer, i: number): string {
  const { name, access, fours, elements } = buffer;
  const of = elementType(buffer);
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
      return [`${indent}var ${stmt.variable.name}: ${wgslType(stmt.variable.type)} = ${top(stmt.value)};`];
    case 'assign':
      return [indent + printAssign(stmt.variable.name, stmt.value)];
    case 'for':
      return block(`for (var ${stmt.index} = 0u; ${stmt.index} < ${countOf(stmt)}; ${stmt.index}++)`, stmt.body);
    case 'if':
      return block(`if (${top(stmt.condition)})`, stmt.body);
    case 'store':
      return [`${indent}${stmt.buffer.name}[${top(stmt.index)}] = ${toMemory(stmt.buffer, stmt.value)};`];
    case 'storeShared':
      return [`${indent}${stmt.array.name}[${top(stmt.index)}] = ${converted(stmt.value, stmt.array.type)};`];
    case 'storeFragment':
      return [
        `${indent}subgroupMatrixStore<${layoutOf(stmt)}>(&${stmt.array.name}, ${top(stmt.offset)}, ${top(stmt.value)}, ${top(stmt.stride)});`,
      ];
    case 'array':
      return printArray(stmt.array, stmt.values.map(print), indent);
    case 'returnIf':
      return [`${indent}if (${top(stmt.condition)}) { return; }`];
    case 'barrier':
      return [`${indent}workgroupBarrier();`];
    case 'comment':
      return [`${indent}// ${stmt.text}`];
  }
}

const countOf = ({ count, rolled }: Stmt & { kind: 'for' }) => (rolled ? `${count}u + zero` : `${count}u`);

const layoutOf = ({ by }: FragmentPlace): string => (by === 'rows' ? 'row_major' : 'col_major');

/** A value as a type that may be narrower. */
const converted = (value: Expr, type: ValueType): string =>
  value.type === type ? top(value) : `${wgslType(type)}(${top(value)})`;

/** `x += y` where the value is the variable plus something. */
function printAssign(name: string, value: Expr): string {
  if (value.kind === 'binary' && value.op === '+' && value.a.kind === 'name' && value.a.name === name) {
    return `${name} += ${top(value.b)};`;
  }
  return `${name} = ${top(value)};`;
}

function printArray({ name, type }: SharedArray, values: string[], indent: string): string[] {
  const rows: string[] = [];
  for (let i = 0; i < values.length; i += 8) rows.push(`${indent}  ${values.slice(i, i + 8).join(', ')},`);
  return [`${indent}var ${name} = array<${wgslType(type)}, ${values.length}>(`, ...rows, `${indent});`];
}

const toMemory = (buffer: Buffer, value: Expr): string =>
  buffer.dtype === 'bool' ? `select(0u, 1u, ${top(value)})` : converted(value, elementType(buffer));

/** A value that memory holds as another type. */
function fromMemory(held: ElementType, type: ValueType, value: string): string {
  if (type === 'bool' && held === 'u32') return `(${value} != 0u)`;
  return held === type ? value : `${wgslType(type)}(${value})`;
}

/** What an element of a buffer is to WGSL. */
const elementType = ({ dtype, fours }: Buffer): ElementType => {
  const of = dtype === 'bool' ? 'u32' : dtype;
  return fours ? vec(of, 4) : of;
};

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
      return `${functionOf(expr)}(${expr.args.map(top).join(', ')})`;
    case 'op': {
      // Each operand is printed once: twice would double the work at every level of a long chain.
      const args = expr.args.map((arg) => printOperand(expr.op, arg));
      const code = opDef(expr.op).wgsl!;
      if (expr.type === 'vec4u') return code.vector!(args);
      const inputs = expr.args.map((arg) => arg.type as DType);
      return code.expression(args, { output: expr.type as DType, inputs, attrs: expr.attrs });
    }
    case 'load':
      return fromMemory(elementType(expr.buffer), expr.type, `${expr.buffer.name}[${top(expr.index)}]`);
    case 'shared':
      return fromMemory(expr.array.type, expr.type, `${expr.array.name}[${top(expr.index)}]`);
    case 'component':
      return `${print(expr.of)}.${'xyzw'[expr.lane]}`;
    case 'convert':
      return `${wgslType(expr.type)}(${top(expr.of)})`;
    case 'fill':
      return `${wgslType(expr.type)}(${expr.value ? literal(expr.value, shapeOf(expr.type).of) : ''})`;
    case 'loadFragment':
      return `subgroupMatrixLoad<${wgslType(expr.type)}, ${layoutOf(expr)}>(&${expr.array.name}, ${top(expr.offset)}, ${top(expr.stride)})`;
  }
}

function functionOf({ fn, type }: Extract<Expr, { kind: 'call' }>): string {
  if (fn === 'multiplyAccumulate') return 'subgroupMatrixMultiplyAccumulate';
  return fn === 'select' && type === 'vec4h' ? 'select_words' : fn;
}

/** Drivers take halves apart to choose one by one: 64 instructions of a convolution's loop of 240, on RDNA 3. */
const SELECT_WORDS = `fn select_words(x: vec4h, y: vec4h, holds: bool) -> vec4h {
  return bitcast<vec4h>(select(bitcast<vec2u>(x), bitcast<vec2u>(y), holds));
}
`;

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
  offer(SPECIAL_NUMBERS + SELECT_WORDS);
  forEachExpr(kernel.body, (expr) => {
    if (expr.kind === 'op') offer(opDef(expr.op).wgsl!.helper ?? '');
  });
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
