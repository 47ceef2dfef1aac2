/** The memory of kernels run in this process: it knows who writes what, and refuses what no kernel may do. */
import type { Buffer, ElementType } from '../../compiler/kernel/ir.ts';
import { shapeOf } from '../../compiler/kernel/types.ts';
import { roundHalf } from './kernel-values.ts';

/** Elements are numbers: an array of vec4 has four for each. `invocation` is who asks. */
export interface Memory {
  /** Numbers of an element. */
  readonly lanes: number;
  load(i: number, invocation: number): number;
  store(i: number, value: number, invocation: number): void;
}

/** A buffer that knows which invocations write its elements. */
export class Watched implements Memory {
  readonly writer: Int32Array;
  readonly lanes: number;
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
    this.lanes = buffer.fours ? 4 : 1;
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

/** Numbers of one invocation: whatever they were before is not there to be read. */
export class Scratch implements Memory {
  readonly lanes: number;
  private readonly data: Float64Array;
  private readonly isWritten: Uint8Array;
  private readonly isHalf: boolean;

  constructor(
    protected readonly name: string,
    elements: number,
    type: ElementType,
  ) {
    const { of, lanes } = shapeOf(type);
    this.lanes = lanes;
    this.isHalf = of === 'f16';
    this.data = new Float64Array(elements * lanes);
    this.isWritten = new Uint8Array(elements * lanes);
  }

  load(i: number, _invocation: number): number {
    this.check(i, 'read');
    if (!this.isWritten[i]) throw new Error(`${this.name}[${i}] is read before it is written`);
    return this.data[i];
  }

  store(i: number, value: number, _invocation: number): void {
    this.check(i, 'written');
    this.data[i] = this.isHalf ? roundHalf(value) : value;
    this.isWritten[i] = 1;
  }

  private check(i: number, what: string): void {
    if (!(i >= 0 && i < this.data.length)) throw new Error(`${this.name}[${i}] of ${this.data.length} is ${what}`);
  }
}

/** More than one invocation: no number that one has. */
const SEVERAL = 0;

/**
 * Numbers in workgroup memory. Between two barriers nobody reads what another writes, or writes what another reads or writes: who
 * comes first is not known.
 */
export class Shared extends Scratch {
  private readonly written: Accesses;
  private readonly read: Accesses;

  constructor(
    name: string,
    elements: number,
    type: ElementType,
    /** How many barriers the workgroup has passed. */
    private readonly barriers: () => number,
  ) {
    super(name, elements, type);
    const count = elements * this.lanes;
    this.written = new Accesses(count);
    this.read = new Accesses(count);
  }

  override load(i: number, invocation: number): number {
    const value = super.load(i, invocation);
    if (this.written.byAnother(i, invocation, this.barriers()))
      throw new Error(`${this.name}[${i}] is read, which another invocation writes: a barrier is missing`);
    this.read.note(i, invocation, this.barriers());
    return value;
  }

  override store(i: number, value: number, invocation: number): void {
    super.store(i, value, invocation);
    for (const [how, accesses] of [['reads', this.read] as const, ['writes', this.written] as const])
      if (accesses.byAnother(i, invocation, this.barriers()))
        throw new Error(`${this.name}[${i}] is written, which another invocation ${how}: a barrier is missing`);
    this.written.note(i, invocation, this.barriers());
  }
}

/** Who had to do with each element, after which barrier. */
class Accesses {
  private readonly who: Int32Array;
  private readonly after: Int32Array;

  constructor(count: number) {
    this.who = new Int32Array(count);
    this.after = new Int32Array(count).fill(-1);
  }

  byAnother = (i: number, invocation: number, barriers: number): boolean =>
    this.after[i] === barriers && this.who[i] !== invocation;

  note(i: number, invocation: number, barriers: number): void {
    this.who[i] = this.byAnother(i, invocation, barriers) ? SEVERAL : invocation;
    this.after[i] = barriers;
  }
}
