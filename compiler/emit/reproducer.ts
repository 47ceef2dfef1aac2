/**
 * Reproducers. When a part of the compiler fails on a graph that was sound, the error carries the graph it was given as
 * text, under a line that says how to fail again: `ditc opt FILE` takes that file as it is. Nothing is written here; the
 * command line does that.
 */
import { DitcError, printGraph, type Graph } from '../ir/index.ts';
import type { DeviceSpec } from '../device.ts';

/** What `ditc opt` can print, each after another part of the compiler. */
export const EMITS = ['ir', 'regions', 'memory', 'wgsl'] as const;
export type Emit = (typeof EMITS)[number];

const FAILED: Record<Emit, string> = {
  ir: 'reading the graph failed',
  regions: 'forming regions failed',
  memory: 'planning kernels and memory failed',
  wgsl: 'writing the kernels failed',
};

/** One part of the compiler at work, as the options of `ditc opt` name it. */
export interface Step {
  /** The pass; none when what follows the passes is at work. */
  readonly pass?: string;
  readonly emit?: Emit;
  readonly device: DeviceSpec;
  readonly verify?: boolean;
  /** Bytes that may be used. */
  readonly memory?: number;
  /** What the step was given. */
  readonly graphs: readonly Graph[];
}

/** A failure that is the compiler's own, with the text of a file that shows it again. */
export class CompilerBug extends DitcError {
  /** What failed: a pass, or what was to be made after the passes. */
  readonly part: string;
  readonly reproducer: string;

  constructor(step: Step, cause: unknown) {
    const part = step.pass ?? step.emit ?? 'ir';
    const what = step.pass ? `the pass ${part} failed` : FAILED[step.emit ?? 'ir'];
    const where = cause instanceof DitcError ? cause.where : undefined;
    const fix = 'this is a bug in ditc: report it with the reproducer; DITC_DEBUG=1 shows the stack';
    super({ code: 'internal', where, what, why: reason(cause), fix }, { cause });
    this.part = part;
    this.reproducer = reproducerText(step, `${what}: ${reason(cause)}`);
  }
}

/** Errors that say what is wrong with the graph or the device, not with the compiler. */
const REFUSALS: ReadonlySet<string> = new Set(['limit', 'gradient']);

/** Runs a step. What it throws becomes a CompilerBug, unless it refuses the graph. */
export function attempt<T>(step: Step, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof CompilerBug || (error instanceof DitcError && REFUSALS.has(error.code))) throw error;
    throw new CompilerBug(step, error);
  }
}

/** The message without the place: that is in the IR. */
function reason(cause: unknown): string {
  if (cause instanceof DitcError) return [cause.what, cause.why].filter(Boolean).join(': ');
  return cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);
}

function reproducerText({ pass, emit, device, verify, memory, graphs }: Step, message: string): string {
  const options = [
    `--passes ${pass ?? 'none'}`,
    ...(emit ? [`--emit ${emit}`] : []),
    ...(verify ? ['--verify'] : []),
    ...(memory === undefined ? [] : [`--memory ${memory}`]),
    `--device ${quoted(JSON.stringify(device))}`,
  ];
  const header = [`// RUN: ditc opt %s ${options.join(' ')}`, ...message.split('\n').map((line) => `// ${line}`)];
  return [...header, '', ...graphs.map((graph) => printGraph(graph))].join('\n');
}

/** As a shell reads it. */
const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;
