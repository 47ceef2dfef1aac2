/**
 * Kernel IR run in this process, for tests that want many kernels or a look at every access. The invocations of a workgroup
 * go through the statements together, as loops have a fixed number of rounds.
 *
 * What an invocation reads of an element that another writes depends on who comes first: it is NaN here. It must not matter, and
 * does not where an invocation beyond a partial tile computes an element once more and drops it.
 */
import type { DType } from '../../compiler/ir/index.ts';
import { opDef } from '../../compiler/ops/index.ts';
import type { Buffer, Expr, FragmentPlace, Kernel, SharedArray, Stmt } from '../../compiler/kernel/ir.ts';
import { isFragment, shapeOf, withScalar, type ElementType, type ValueType } from '../../compiler/kernel/types.ts';
import { verifyKernel } from '../../compiler/kernel/verify.ts';
import { callIntrinsic } from './kernel-calls.ts';
import { Scratch, Shared, Watched, type Memory } from './kernel-memory.ts';
import {
  converted,
  isFragments,
  isLanes,
  numbersIn,
  operate,
  partsOf,
  zip,
  type Fragments,
  type Lanes,
  type Value,
} from './kernel-values.ts';

/**
 * Runs a kernel on memory that holds one number for each element of its buffers, in their order.
 * Throws where an access leaves its buffer or array, two invocations write one element, what nobody has written is read, or a barrier
 * is missing or not passed by all.
 */
export function runKernel(
  kernel: Kernel,
  memory: readonly Float64Array[],
  { exact = false }: { readonly exact?: boolean } = {},
): void {
  verifyKernel(kernel);
  // A first run, on a copy, finds out who writes what.
  const trial = kernel.buffers.map((buffer, i) => new Watched(buffer, memory[i].slice()));
  runOn(kernel, trial, exact);
  if (!trial.some((watched) => watched.isReadBack)) return trial.forEach(({ data }, i) => memory[i].set(data));
  runOn(
    kernel,
    kernel.buffers.map((buffer, i) => new Watched(buffer, memory[i], trial[i].writer)),
    exact,
  );
}

function runOn(kernel: Kernel, memory: readonly Watched[], exact: boolean): void {
  const buffers = new Map(memory.map((watched) => [watched.buffer, watched]));
  const same = numbersOf(kernel.workgroupSize);
  const [x, y, z] = kernel.grid;
  for (let group = 0; group < x * y * z; group++)
    new Workgroup(
      kernel,
      buffers,
      same,
      [group % x, Math.floor(group / x) % y, Math.floor(group / (x * y))],
      exact,
    ).run();
}

/** One number for all invocations. Values are not changed once they are made, so those of a number serve everyone. */
function numbersOf(lanes: number): (value: number) => Lanes {
  const known = new Map<number, Lanes>();
  return (value) => {
    const made = known.get(value) ?? new Float64Array(lanes).fill(value);
    // A map takes −0 for 0.
    if (!Object.is(value, -0)) known.set(value, made);
    return Object.is(made[0], value) ? made : new Float64Array(lanes).fill(value);
  };
}

class Workgroup {
  private readonly lanes: number;
  private readonly first: number;
  private readonly names = new Map<string, Value>();
  private readonly shared = new Map<string, Shared>();
  private barriers = 0;
  private readonly privates = new Map<string, readonly Scratch[]>();
  /** Invocations that have not returned and are inside all open ifs. */
  private active: Uint8Array;
  private readonly returned: Uint8Array;

  constructor(
    private readonly kernel: Kernel,
    private readonly buffers: ReadonlyMap<Buffer, Watched>,
    private readonly same: (value: number) => Lanes,
    [x, y, z]: readonly number[],
    private readonly exact: boolean,
  ) {
    this.lanes = kernel.workgroupSize;
    this.active = new Uint8Array(this.lanes).fill(1);
    this.returned = new Uint8Array(this.lanes);
    this.first = ((z * kernel.grid[1] + y) * kernel.grid[0] + x) * this.lanes + 1;
    for (const [name, value] of Object.entries({ x, y, z })) this.names.set(`group.${name}`, same(value));
    this.names.set(
      'lane',
      this.all((lane) => lane),
    );
    for (const { name, elements, type } of kernel.shared)
      this.shared.set(name, new Shared(name, elements, this.held(type), () => this.barriers));
  }

  /** What numbers of a type are held as: those of f16 as they are, where they are not to be rounded. */
  private held<T extends ValueType>(type: T): T | ElementType {
    if (!this.exact || isFragment(type) || shapeOf(type).of !== 'f16') return type;
    return withScalar(type as ElementType, 'f32');
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
          this.names.set(stmt.index, this.same(round));
          this.block(stmt.body);
        }
        return;
      case 'if': {
        const before = this.active;
        const holds = this.numbers(stmt.condition);
        this.active = before.map((on, lane) => on && Number(holds[lane] !== 0));
        if (this.active.includes(1)) this.block(stmt.body);
        this.active = before.map((on, lane) => on && 1 - this.returned[lane]);
        return;
      }
      case 'returnIf': {
        const leaves = this.numbers(stmt.condition);
        this.each((lane) => (this.returned[lane] = Number(leaves[lane] !== 0)));
        this.active = this.active.map((on, lane) => on && 1 - this.returned[lane]);
        return;
      }
      case 'store':
        return this.store(stmt.buffer, stmt.index, stmt.value);
      case 'storeShared':
        return this.store(stmt.array, stmt.index, stmt.value);
      case 'storeFragment':
        return this.storeFragment(this.value(stmt.value), stmt);
      case 'array': {
        const values = stmt.values.map((value) => partsOf(this.value(value)));
        const { name, elements, type } = stmt.array;
        const own = Array.from({ length: this.lanes }, () => new Scratch(name, elements, this.held(type)));
        own.forEach((array, lane) =>
          values.flat().forEach((value, i) => array.store(i, value[lane], this.first + lane)),
        );
        return void this.privates.set(name, own);
      }
      case 'barrier':
        if (!this.active.every(Boolean)) throw new Error('a barrier is not passed by all invocations');
        this.barriers++;
        return;
      case 'comment':
    }
  }

  private memory(array: Buffer | SharedArray, lane: number): Memory {
    if ('access' in array) return this.buffers.get(array)!;
    return this.shared.get(array.name) ?? this.privates.get(array.name)![lane];
  }

  private isPrivate = (array: Buffer | SharedArray): boolean => !('access' in array) && !this.shared.has(array.name);

  private store(array: Buffer | SharedArray, index: Expr, value: Expr): void {
    const [at, parts] = [this.numbers(index), partsOf(this.value(value))];
    const whole = this.memory(array, 0);
    const own = this.isPrivate(array);
    if (whole.lanes !== parts.length) throw new Error(`${array.name} has vectors of ${whole.lanes}`);
    parts.forEach((part, i) =>
      this.each((lane) => {
        const memory = own ? this.memory(array, lane) : whole;
        memory.store(at[lane] * parts.length + i, part[lane], this.first + lane);
      }),
    );
  }

  private load(array: Buffer | SharedArray, index: Expr): Value {
    const at = this.numbers(index);
    const whole = this.memory(array, 0);
    const own = this.isPrivate(array);
    const loaded = Array.from({ length: whole.lanes }, (_, i) => {
      const values = new Float64Array(this.lanes);
      for (let lane = 0; lane < this.lanes; lane++) {
        if (!this.active[lane]) continue;
        const memory = own ? this.memory(array, lane) : whole;
        values[lane] = memory.load(at[lane] * whole.lanes + i, this.first + lane);
      }
      return values;
    });
    return loaded.length === 1 ? loaded[0] : loaded;
  }

  private get subgroup(): number {
    return this.kernel.subgroupSize ?? this.lanes;
  }

  /** Calls `visit` for each subgroup with its first invocation; all of them must be there and say the same. */
  private bySubgroup(values: readonly Lanes[], visit: (first: number, agreed: readonly number[]) => void): void {
    for (let first = 0; first < this.lanes; first += this.subgroup) {
      for (let lane = first; lane < first + this.subgroup; lane++) {
        if (!this.active[lane]) throw new Error('a fragment is used where not all of a subgroup are');
        if (values.some((value) => value[lane] !== value[first])) throw new Error('a subgroup disagrees on a fragment');
      }
      visit(
        first,
        values.map((value) => value[first]),
      );
    }
  }

  /** Calls `visit` with each element of each subgroup's fragment: where it is in memory, and in the fragment. */
  private eachElement(
    { array, offset, stride, by }: FragmentPlace,
    { rows, columns }: Pick<Fragments, 'rows' | 'columns'>,
    visit: (memory: Memory, place: number, subgroup: number, at: number) => void,
  ): void {
    this.bySubgroup([this.numbers(offset), this.numbers(stride)], (first, [start, step]) => {
      const memory = this.memory(array, first);
      const { lanes } = memory;
      const least = Math.ceil((by === 'rows' ? columns : rows) / lanes);
      if (step < least) throw new Error(`${array.name}: rows of a fragment overlap at a stride of ${step}`);
      for (let i = 0; i < rows; i++)
        for (let j = 0; j < columns; j++) {
          const place = (start + (by === 'rows' ? i : j) * step) * lanes + (by === 'rows' ? j : i);
          visit(memory, place, first / this.subgroup, i * columns + j);
        }
    });
  }

  private fragments(type: ValueType): Fragments {
    const { rows, columns } = shapeOf(type).fragment!;
    const count = this.lanes / this.subgroup;
    return { rows, columns, data: Array.from({ length: count }, () => new Float64Array(rows * columns)) };
  }

  private loadFragment(expr: Extract<Expr, { kind: 'loadFragment' }>): Fragments {
    const loaded = this.fragments(expr.type);
    this.eachElement(expr, loaded, (memory, place, subgroup, at) => {
      loaded.data[subgroup][at] = memory.load(place, this.together(subgroup));
    });
    return loaded;
  }

  private storeFragment(value: Value, place: FragmentPlace): void {
    if (!isFragments(value)) throw new Error('what is stored is no fragment');
    this.eachElement(place, value, (memory, to, subgroup, at) => {
      memory.store(to, value.data[subgroup][at], this.together(subgroup));
    });
  }

  /** A subgroup as who reads and writes its fragments: which of its invocations has an element is not known. */
  private together = (subgroup: number): number => -(this.first + subgroup * this.subgroup);

  private each(f: (lane: number) => void): void {
    for (let lane = 0; lane < this.lanes; lane++) if (this.active[lane]) f(lane);
  }

  private assign(name: string, value: Value): void {
    const old = this.names.get(name)!;
    const mixed = (before: Lanes, after: Lanes) => this.all((lane) => (this.active[lane] ? after[lane] : before[lane]));
    // A fragment is assigned where all of its subgroup are (kernel/verify.ts).
    if (isFragments(value)) return void this.names.set(name, value);
    const made = isLanes(value)
      ? mixed(old as Lanes, value)
      : value.map((x, i) => mixed((old as readonly Lanes[])[i], x));
    this.names.set(name, made);
  }

  private numbers = (expr: Expr): Lanes => numbersIn(this.value(expr));

  private value(expr: Expr): Value {
    switch (expr.kind) {
      case 'literal':
        return this.same(Number(expr.value));
      case 'name':
        return this.names.get(expr.name)!;
      case 'binary': {
        const [a, b] = [this.value(expr.a), this.value(expr.b)];
        return zip(a, b, (x, y) => operate(expr, x, y));
      }
      case 'call':
        return this.call(expr);
      case 'op':
        return this.op(expr);
      case 'load':
        return this.load(expr.buffer, expr.index);
      case 'shared':
        return this.load(expr.array, expr.index);
      case 'component':
        return partsOf(this.value(expr.of))[expr.lane];
      case 'convert':
        return converted(this.value(expr.of), this.held(expr.type));
      case 'fill': {
        const filled = this.fragments(expr.type);
        filled.data.forEach((data) => data.fill(expr.value));
        return filled;
      }
      case 'loadFragment':
        return this.loadFragment(expr);
    }
  }

  private call({ fn, args }: Extract<Expr, { kind: 'call' }>): Value {
    const given = args.map((arg) => this.value(arg));
    if (fn === 'multiplyAccumulate') this.bySubgroup([], () => undefined);
    const { lanes, subgroup, active } = this;
    return callIntrinsic(fn, given, args[0].type, { lanes, subgroup, active });
  }

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
