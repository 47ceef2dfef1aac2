/**
 * Kernel IR run in this process, for tests that want many kernels or a look at every access. The invocations of a workgroup
 * go through the statements together, as loops have a fixed number of rounds.
 *
 * What an invocation reads of an element that another writes depends on who comes first: it is NaN here. It must not matter, and
 * does not where an invocation beyond a partial tile computes an element once more and drops it.
 */
import type { DType } from '../../compiler/ir/index.ts';
import { opDef } from '../../compiler/ops/index.ts';
import type { BinaryOp, Buffer, Expr, Intrinsic, Kernel, Stmt } from '../../compiler/kernel/ir.ts';

/** Of one expression: a number for each invocation; vectors are four of those. */
type Lanes = Float64Array;
type Value = Lanes | readonly Lanes[];

/**
 * Runs a kernel on memory that holds one number for each element of its buffers, in their order.
 * Throws where an access leaves its buffer or array, two invocations write one element, or what nobody has written is read.
 */
export function runKernel(kernel: Kernel, memory: readonly Float64Array[]): void {
  // A first run, on a copy, finds out who writes what.
  const trial = kernel.buffers.map((buffer, i) => new Watched(buffer, memory[i].slice()));
  runOn(kernel, trial);
  if (!trial.some((watched) => watched.isReadBack)) return trial.forEach(({ data }, i) => memory[i].set(data));
  runOn(
    kernel,
    kernel.buffers.map((buffer, i) => new Watched(buffer, memory[i], trial[i].writer)),
  );
}

function runOn(kernel: Kernel, memory: readonly Watched[]): void {
  const buffers = new Map(memory.map((watched) => [watched.buffer, watched]));
  const [x, y, z] = kernel.grid;
  for (let group = 0; group < x * y * z; group++)
    new Workgroup(kernel, buffers, [group % x, Math.floor(group / x) % y, Math.floor(group / (x * y))]).run();
}

/** A buffer that knows which invocations write its elements. */
class Watched {
  readonly writer: Int32Array;
  /** Whether it is both read and written. */
  isReadBack = false;

  constructor(
    readonly buffer: Buffer,
    readonly data: Float64Array,
    /** Who is going to write each element, where that is known. */
    private readonly owner?: Int32Array,
  ) {
    if (data.length !== buffer.elements) throw new Error(`${buffer.name}: ${data.length} elements given`);
    this.writer = new Int32Array(data.length);
  }

  load(i: number, invocation: number): number {
    if (!(i >= 0 && i < this.data.length)) throw new Error(`${this.buffer.name}[${i}] of ${this.data.length} is read`);
    if (this.buffer.access === 'read_write') this.isReadBack = true;
    const owner = this.owner?.[i];
    return owner && owner !== invocation ? NaN : this.data[i];
  }

  store(i: number, value: number, invocation: number): void {
    if (!(i >= 0 && i < this.data.length))
      throw new Error(`${this.buffer.name}[${i}] of ${this.data.length} is written`);
    if (this.buffer.access !== 'read_write') throw new Error(`${this.buffer.name} is written, bound for reading`);
    if (this.writer[i]) throw new Error(`${this.buffer.name}[${i}] is written twice`);
    this.writer[i] = invocation;
    this.data[i] = value;
  }
}

/** Numbers in workgroup memory, or of one invocation: whatever they were before is not there to be read. */
class Scratch {
  private readonly data: Float64Array;
  private readonly isWritten: Uint8Array;

  constructor(
    private readonly name: string,
    elements: number,
  ) {
    this.data = new Float64Array(elements);
    this.isWritten = new Uint8Array(elements);
  }

  load(i: number): number {
    this.check(i, 'read');
    if (!this.isWritten[i]) throw new Error(`${this.name}[${i}] is read before it is written`);
    return this.data[i];
  }

  store(i: number, value: number): void {
    this.check(i, 'written');
    this.data[i] = value;
    this.isWritten[i] = 1;
  }

  private check(i: number, what: string): void {
    if (!(i >= 0 && i < this.data.length)) throw new Error(`${this.name}[${i}] of ${this.data.length} is ${what}`);
  }
}

class Workgroup {
  private readonly lanes: number;
  private readonly first: number;
  private readonly names = new Map<string, Value>();
  private readonly shared = new Map<string, Scratch>();
  private readonly privates = new Map<string, readonly Scratch[]>();
  /** Invocations that have not returned and are inside all open ifs. */
  private active: Uint8Array;

  constructor(
    private readonly kernel: Kernel,
    private readonly buffers: ReadonlyMap<Buffer, Watched>,
    [x, y, z]: readonly number[],
  ) {
    this.lanes = kernel.workgroupSize;
    this.active = new Uint8Array(this.lanes).fill(1);
    this.first = ((z * kernel.grid[1] + y) * kernel.grid[0] + x) * this.lanes + 1;
    for (const [name, value] of Object.entries({ x, y, z }))
      this.names.set(
        `group.${name}`,
        this.all(() => value),
      );
    this.names.set(
      'lane',
      this.all((lane) => lane),
    );
    for (const { name, elements } of kernel.shared) this.shared.set(name, new Scratch(name, elements));
  }

  run(): void {
    this.block(this.kernel.body);
  }

  private all(f: (lane: number) => number): Lanes {
    const lanes = new Float64Array(this.lanes);
    for (let lane = 0; lane < lanes.length; lane++) lanes[lane] = f(lane);
    return lanes;
  }

  private block(stmts: readonly Stmt[]): void {
    stmts.forEach((stmt) => this.run1(stmt));
  }

  private run1(stmt: Stmt): void {
    switch (stmt.kind) {
      case 'let':
        return void this.names.set(stmt.name, this.value(stmt.value));
      case 'var':
        return void this.names.set(stmt.variable.name, this.value(stmt.value));
      case 'assign':
        return this.assign(stmt.variable.name, this.value(stmt.value));
      case 'for':
        for (let round = 0; round < stmt.count; round++) {
          this.names.set(
            stmt.index,
            this.all(() => round),
          );
          this.block(stmt.body);
        }
        return;
      case 'if': {
        const before = this.active;
        const holds = this.numbers(stmt.condition);
        this.active = before.map((on, lane) => on && Number(holds[lane] !== 0));
        if (this.active.some(Boolean)) this.block(stmt.body);
        this.active = before;
        return;
      }
      case 'returnIf': {
        // Written at the top of a kernel, outside all ifs.
        const leaves = this.numbers(stmt.condition);
        this.active = this.active.map((on, lane) => on && Number(leaves[lane] === 0));
        return;
      }
      case 'store': {
        const [at, value] = [this.numbers(stmt.index), this.numbers(stmt.value)];
        const buffer = this.buffers.get(stmt.buffer)!;
        return this.each((lane) => buffer.store(at[lane], value[lane], this.first + lane));
      }
      case 'storeShared': {
        const [at, value] = [this.numbers(stmt.index), this.numbers(stmt.value)];
        return this.each((lane) => this.scratch(stmt.array.name, lane).store(at[lane], value[lane]));
      }
      case 'array': {
        const values = stmt.values.map((value) => this.numbers(value));
        const { name, elements } = stmt.array;
        const own = Array.from({ length: this.lanes }, () => new Scratch(name, elements));
        own.forEach((array, lane) => values.forEach((value, i) => array.store(i, value[lane])));
        return void this.privates.set(name, own);
      }
      case 'barrier':
      case 'comment':
    }
  }

  private scratch = (name: string, lane: number): Scratch => this.shared.get(name) ?? this.privates.get(name)![lane];

  private each(f: (lane: number) => void): void {
    for (let lane = 0; lane < this.lanes; lane++) if (this.active[lane]) f(lane);
  }

  private assign(name: string, value: Value): void {
    const old = this.names.get(name)!;
    const mixed = (before: Lanes, after: Lanes) => this.all((lane) => (this.active[lane] ? after[lane] : before[lane]));
    this.names.set(
      name,
      value instanceof Float64Array
        ? mixed(old as Lanes, value)
        : value.map((part, i) => mixed((old as readonly Lanes[])[i], part)),
    );
  }

  private numbers(expr: Expr): Lanes {
    const value = this.value(expr);
    if (!(value instanceof Float64Array)) throw new Error('a number is wanted, not a vector');
    return value;
  }

  private value(expr: Expr): Value {
    switch (expr.kind) {
      case 'literal':
        return this.all(() => Number(expr.value));
      case 'name':
        return this.names.get(expr.name)!;
      case 'binary': {
        const [a, b] = [this.value(expr.a), this.value(expr.b)];
        return zip(a, b, (x, y) => binary(expr, x, y));
      }
      case 'call':
        return this.call(expr.fn, expr.args);
      case 'op':
        return this.op(expr);
      case 'load': {
        const at = this.numbers(expr.index);
        const buffer = this.buffers.get(expr.buffer)!;
        const loaded = (place: (index: number) => number): Lanes => {
          const values = new Float64Array(this.lanes);
          this.each((lane) => void (values[lane] = buffer.load(place(at[lane]), this.first + lane)));
          return values;
        };
        return expr.buffer.fours ? [0, 1, 2, 3].map((i) => loaded((index) => 4 * index + i)) : loaded((index) => index);
      }
      case 'shared': {
        const at = this.numbers(expr.index);
        const values = new Float64Array(this.lanes);
        this.each((lane) => void (values[lane] = this.scratch(expr.array.name, lane).load(at[lane])));
        return values;
      }
      case 'component':
        return (this.value(expr.of) as readonly Lanes[])[expr.lane];
      case 'convert':
        return this.numbers(expr.of).map((x) => (expr.type === 'u32' ? x >>> 0 : x));
    }
  }

  private call(fn: Intrinsic, args: readonly Expr[]): Value {
    const given = args.map((arg) => this.value(arg));
    const [a, b, c] = given as Lanes[];
    const over = (combine: (x: number, y: number) => number) => {
      const on = [...a].filter((_, lane) => this.active[lane]);
      return this.all(() => on.reduce(combine));
    };
    switch (fn) {
      case 'min':
        return zip(a, b, (x, y) => this.all((lane) => Math.min(x[lane], y[lane])));
      case 'max':
        return zip(a, b, (x, y) => this.all((lane) => Math.max(x[lane], y[lane])));
      case 'exp':
        return zip(a, a, (x) => x.map(Math.exp));
      case 'fma':
        return zip(zip(a, b, BOTH('*', this)), c, BOTH('+', this));
      case 'dot': {
        const [x, y] = given as (readonly Lanes[])[];
        return this.all((lane) => x.reduce((sum, part, i) => sum + part[lane] * y[i][lane], 0));
      }
      case 'select':
        return zip(a, b, (x, y) => this.all((lane) => (c[lane] ? y[lane] : x[lane])));
      case 'subgroupAdd':
        return over((x, y) => x + y);
      case 'subgroupMul':
        return over((x, y) => x * y);
      case 'subgroupMin':
        return over((x, y) => Math.min(x, y));
      case 'subgroupMax':
        return over((x, y) => Math.max(x, y));
      case 'subgroupShuffleXor':
        return this.all((lane) => a[lane ^ b[lane]]);
      case 'subgroupBroadcast':
      case 'subgroupShuffle':
        return given[0] instanceof Float64Array
          ? this.all((lane) => a[b[lane]])
          : given[0].map((part) => this.all((lane) => part[b[lane]]));
      case 'vec4f':
        return given.length === 1 ? [a, a, a, a] : (given as Lanes[]);
    }
  }

  lanesOf = (f: (lane: number) => number): Lanes => this.all(f);

  /** An op whose helper gives four results at once asks for each by its `lane`. */
  private op(expr: Extract<Expr, { kind: 'op' }>): Value {
    if (expr.type === 'vec4u')
      return [0, 1, 2, 3].map((lane) => this.scalarOp({ ...expr, type: 'u32', attrs: { lane } }));
    return this.scalarOp(expr);
  }

  private scalarOp(expr: Extract<Expr, { kind: 'op' }>): Lanes {
    const dense = (arg: Expr) => ({ dtype: arg.type as DType, shape: [this.lanes], data: this.numbers(arg) });
    const type = { dtype: expr.type as DType, shape: [this.lanes] };
    return opDef(expr.op).reference(expr.args.map(dense), expr.attrs, type).data;
  }
}

/** An operator on each invocation's numbers; what is not float wraps around. */
function binary({ op, type, a: { type: of } }: Extract<Expr, { kind: 'binary' }>, x: Lanes, y: Lanes): Lanes {
  const lanes = new Float64Array(x.length);
  const isWhole = of === 'u32' || of === 'i32';
  const two = op === '*' && isWhole ? Math.imul : BINARY[op];
  for (let lane = 0; lane < lanes.length; lane++) lanes[lane] = two(x[lane], y[lane]);
  if (op === '/' && isWhole) for (let lane = 0; lane < lanes.length; lane++) lanes[lane] = Math.trunc(lanes[lane]);
  if (type === 'u32') for (let lane = 0; lane < lanes.length; lane++) lanes[lane] >>>= 0;
  if (type === 'i32') for (let lane = 0; lane < lanes.length; lane++) lanes[lane] |= 0;
  return lanes;
}

/** By parts where one of them is a vector. */
function zip(a: Value, b: Value, f: (x: Lanes, y: Lanes) => Lanes): Value {
  if (a instanceof Float64Array && b instanceof Float64Array) return f(a, b);
  const part = (value: Value, i: number): Lanes => (value instanceof Float64Array ? value : value[i]);
  return [0, 1, 2, 3].map((i) => f(part(a, i), part(b, i)));
}

const BOTH = (op: BinaryOp, group: Workgroup) => (x: Lanes, y: Lanes) =>
  group.lanesOf((lane) => BINARY[op](x[lane], y[lane]));

const BINARY: Record<BinaryOp, (x: number, y: number) => number> = {
  '+': (x, y) => x + y,
  '-': (x, y) => x - y,
  '*': (x, y) => x * y,
  '/': (x, y) => x / y,
  '%': (x, y) => x % y,
  '<': (x, y) => Number(x < y),
  '<=': (x, y) => Number(x <= y),
  '>': (x, y) => Number(x > y),
  '>=': (x, y) => Number(x >= y),
  '==': (x, y) => Number(x === y),
  '!=': (x, y) => Number(x !== y),
  '&&': (x, y) => Number(x && y),
  '||': (x, y) => Number(x || y),
};
